"""Opening a run: from the name of a preset, overrides and a home to a `Run`. Imports no Prefect."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from leap_core.config import LeapConfig, StudentConfig, load_config
from leap_core.errors import ConfigError, UnknownNameError
from leap_core.loading import check_names
from leap_core.prompts import has_prompts
from leap_core.students.smollm2 import is_on_disk
from leap_core.students.weights import TINY
from leap_core.text.shown import shown
from leap_core.types import Split

PRESETS = Path(__file__).parent / "presets"
HOME_VARIABLE = "LEAP_HOME"
DEFAULT_HOME = "data"
BASE_MODEL = "base"
"""In place of a training artifact: the model that `student.model` names."""
_AS_IT_IS = "openai:"
"""Before the name of a model at an endpoint, in place of a training artifact."""
_REACT = "react"
SPLITS: tuple[Split, ...] = ("train", "dev", "test")


def find_preset(preset: str) -> Path:
    """Return the file of a preset: a name in flows/presets, or a path that ends in .toml.

    Raises:
        UnknownNameError: neither.
    """
    path = Path(preset).expanduser()
    if path.suffix == ".toml":
        return path
    known = {file.stem: file for file in PRESETS.glob("*.toml")}
    if preset not in known:
        raise UnknownNameError("preset", preset, known, "A path to a TOML file is a preset, too.")
    return known[preset]


def resolve_home(home: str | Path | None) -> Path:
    """Return where everything goes: the argument, else LEAP_HOME, else ./data.

    Raises:
        ConfigError: it is no name that a directory can have, a link to nothing, or nobody may look there.
    """
    named = str(home or os.environ.get(HOME_VARIABLE) or DEFAULT_HOME)
    if shown(named) != named:
        raise ConfigError(f"--home {shown(named)!r} holds what cannot be seen. Choose another name.")
    try:
        where = Path(named).expanduser().absolute()
        where.stat()
    except FileNotFoundError:
        return _check_link(Path(named).expanduser())
    except NotADirectoryError:
        pass  # the store says so
    except (OSError, RuntimeError) as error:  # RuntimeError: no home directory to put for ~
        why = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"Cannot read {named[:200]}: {why}. Choose another --home, or allow it.") from error
    return where


def _check_link(home: Path) -> Path:
    """Return a home that may come to be.

    Raises:
        ConfigError: it is a link to what is not there, or relative to a directory that is gone.
    """
    if home.is_symlink():
        raise ConfigError(f"{home} is a link to {home.readlink()}, which is not there. Make that, or choose a --home.")
    try:
        return home.absolute()
    except FileNotFoundError as error:
        raise ConfigError("The current directory is gone. Change to another one, or give --home in full.") from error


def read_config(preset: str, overrides: Sequence[str]) -> LeapConfig:
    """Read a preset with overrides, and keep the hub out of runs that need nothing from it.

    Raises:
        LeapError: the preset, a key, a value, or a name or path in it is wrong.
    """
    path = find_preset(preset)
    config = load_config(path, [*_settings_of_a_baseline(path, overrides), *overrides])
    check_names(config)
    if config.student.model == TINY or is_on_disk(config.student.model):
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    return config


def plays_as_it_is(model: str) -> bool:
    """Whether a model is named as one at an endpoint: `openai:NAME`."""
    return model.startswith(_AS_IT_IS)


def overrides_for(model: str, overrides: Sequence[str]) -> list[str]:
    """The overrides with which a model is judged: the given ones, and for `openai:NAME` those that name it.

    Raises:
        ConfigError: there is no name after `openai:`, or another word before the colon.
    """
    kind, colon, name = model.partition(":")
    if colon and "/" not in kind and not plays_as_it_is(model):  # a path may have a colon
        raise UnknownNameError(
            "kind of model", f"{kind}:", [_AS_IT_IS], f"A model at an endpoint is named {_AS_IT_IS}{name or 'NAME'}."
        )
    if not plays_as_it_is(model):
        return list(overrides)
    if not name:
        raise ConfigError(f"{model!r} names no model. Say what the endpoint calls it: {_AS_IT_IS}gpt-4o.")
    # A served model's name can look like a path, which student.model takes for weights on this machine.
    named = {"kind": "openai", "model": name.rpartition("/")[2], "serve": None, "params": {"model": name}}
    return [*overrides, *(f"student.{key}={json.dumps(value)}" for key, value in named.items())]


def _settings_of_a_baseline(preset: Path, overrides: Sequence[str]) -> list[str]:
    """What a model at an endpoint plays with in place of what the preset says for its own student.

    Nothing where the preset has such a student, or where it is weights of the experiment that are served.
    """
    before, after = load_config(preset).student, load_config(preset, overrides)
    if before.kind == "openai" or after.student.kind != "openai" or after.student.serve is not None:
        return []
    return [
        f"student.prompt={_REACT if has_prompts(after.environment.name, _REACT) else 'default'}",
        f"student.max_new_tokens={max(before.max_new_tokens, StudentConfig().max_new_tokens)}",
        "student.constrain=false",
        "student.params={}",
    ]


def artifacts_of(home: Path) -> Path:
    """Where the artifact store of a home is."""
    return home / "artifacts"


def experiment_directory(home: Path, experiment: str) -> Path:
    """Where the summary and the report of an experiment are."""
    return home / "experiments" / experiment


def check_split(split: str) -> Split:
    """Return `split`, known to be one.

    Raises:
        UnknownNameError: it is none.
    """
    known = {name: name for name in SPLITS}
    if split not in known:
        raise UnknownNameError("split", split, known)
    return known[split]
