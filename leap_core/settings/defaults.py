"""The settings that experiments in one environment start from: `leap_core/envs/<name>/defaults.toml`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leap_core.settings.files import read_toml

_ENVIRONMENTS = Path(__file__).parents[1] / "envs"


def add_defaults(values: Mapping[str, Any], usual: str) -> dict[str, Any]:
    """Add to the sections of an experiment what they lack and the folder of its environment states.

    Args:
        values: the sections, as a preset has them. A table inside one, such as `params`, is taken as it is.
        usual: the environment, where `values` names none. One without a folder has no defaults.

    Raises:
        ConfigError: the file of defaults is not TOML.
    """
    files = {path.parent.name: path for path in _ENVIRONMENTS.glob("*/defaults.toml")}
    section = values.get("environment")
    name = section.get("name", usual) if isinstance(section, Mapping) else usual
    if not isinstance(name, str) or name not in files:
        return dict(values)
    defaults = read_toml(files[name], f"the defaults of {name}", "Install the package again.")
    sections = {
        key: {**default, **values[key]} for key, default in defaults.items() if isinstance(values.get(key), Mapping)
    }
    return {**defaults, **values, **sections}
