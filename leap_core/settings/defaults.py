"""The settings that experiments in one environment start from: `leap_core/envs/<name>/defaults.toml`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leap_core.settings.files import read_toml

_ENVIRONMENTS = Path(__file__).parents[1] / "envs"


def read_defaults(environment: object) -> dict[str, Any]:
    """Read the defaults of an environment; nothing where no environment has this name, which others report.

    Raises:
        ConfigError: the file is not TOML.
    """
    files = {path.parent.name: path for path in _ENVIRONMENTS.glob("*/defaults.toml")}
    if not isinstance(environment, str) or environment not in files:
        return {}
    return read_toml(files[environment], f"the defaults of {environment}", "Install the package again.")


def lay_over(defaults: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` with what only `defaults` has, section by section."""
    merged = {**defaults, **values}
    for key, default in defaults.items():
        if isinstance(default, Mapping) and isinstance(values.get(key), Mapping):
            merged[key] = lay_over(default, values[key])
    return merged
