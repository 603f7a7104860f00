"""From nested dicts to models of settings, with errors that name the setting."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from leap_core.errors import ConfigError, UnknownNameError
from leap_core.settings.files import check_values

SettingsT = TypeVar("SettingsT", bound=BaseModel)

_LONGEST_SHOWN = 120
_INPUT_HIDDEN = ("missing", "value_error", "blank", "too_long", "unprintable")
"""Kinds of errors whose message leaves the input out: it may hold a secret."""
_IN_WORDS = {
    "int_type": "must be a whole number, without a point or quotes",
    "float_type": "must be a number, such as 0.5, without quotes",
    "bool_type": "must be true or false",
    "string_type": "must be a text",
    "too_short": "must not be empty",
}


def read_params(params: Mapping[str, JsonValue], kind: type[SettingsT], path: str) -> SettingsT:
    """Validate the settings of one kind of environment, student, teacher or trainer, such as `correction.params`.

    Raises:
        ConfigError: names the key, from `path` on, that is missing, unknown or wrong.
    """
    check_values(params, "", path)
    check_keys(params, kind, f"{path}.")
    return validate(params, kind, path)


def validate(values: Mapping[str, Any], kind: type[SettingsT], path: str) -> SettingsT:
    """Validate `values`, which stand at `path` in the configuration.

    Raises:
        ConfigError: names the first bad setting, what was expected and, unless it may be secret, what came.
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        errors = error.errors()
        # A value that may be of two types fails as both: report the one that it was meant as.
        first = next((one for one in errors if one["type"] not in ("string_type", "tuple_type")), errors[0])
        parts = [path, *(shorten(part).strip("'") for part in first["loc"] if "[" not in str(part))]
        where = ".".join(part for part in parts if part)
        came = "" if first["type"] in _INPUT_HIDDEN else f" (came: {shorten(first['input'])})"
        prefix = f"Config {where}: " if where else "Config: "
        what = _IN_WORDS.get(first["type"], first["msg"].removeprefix("Value error, "))
        raise ConfigError(f"{prefix}{what}{came}.", item=where) from error


def check_keys(values: Mapping[str, Any], model: type[BaseModel], path: str = "") -> None:
    """Raise UnknownNameError, with the nearest known key, for any key that `model` does not have."""
    for key, value in values.items():
        if key not in model.model_fields:
            raise UnknownNameError("config key", path + key, [path + known for known in model.model_fields])
        inner = model.model_fields[key].annotation
        if isinstance(value, Mapping) and isinstance(inner, type) and issubclass(inner, BaseModel):
            check_keys(value, inner, f"{path}{key}.")


def shorten(value: object) -> str:
    """How a value is written in an error: as in Python, a long one cut."""
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}... ({len(text)} characters)"
