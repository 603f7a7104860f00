"""Canonical JSON: one exact text for a value, and the keys and differences derived from it.

The key of a stage decides whether its result is reused. So a value without an exact, stable form is an error, never a
guess: a guess would silently serve a stale result, or none.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, JsonValue
from pydantic_core import to_jsonable_python

from leap_core.errors import ConfigError
from leap_core.types import ArtifactRef

_ABSENT = object()


def canonical_json(value: Any) -> str:
    """Return the one JSON text of `value`: sorted keys, no whitespace. Equal values give equal text, on any machine.

    Pydantic models count as their JSON form. `1` and `1.0` are different values: let a typed model decide which.

    Raises:
        ConfigError: something in it has no exact form (a set, NaN, bytes, a path, an object, a key that is not a
            string); `item` is where it is.
    """
    return json.dumps(_plain(value, "value"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sha256_text(text: str) -> str:
    """Return the sha256 of the UTF-8 bytes of `text`, in hex."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def stage_key(
    stage: str, version: int, config: Mapping[str, Any] | BaseModel, inputs: Mapping[str, ArtifactRef]
) -> str:
    """Return the sha256 (64 hex digits) of everything that decides the output of a stage.

    Args:
        stage: its name.
        version: raised when the stage's code changes its output for the same inputs.
        config: only what bears identity: no paths, times, devices or worker counts.
        inputs: role -> artifact. Only the digests count, so an input rebuilt to the same bytes changes nothing.

    Raises:
        ConfigError: `config` holds something that has no exact form.
    """
    digests = {role: ref.digest for role, ref in inputs.items()}
    return sha256_text(canonical_json({"stage": stage, "version": version, "config": config, "inputs": digests}))


def files_digest(sha256_by_path: Mapping[str, str]) -> str:
    """Return the digest of an artifact: of its files' paths and bytes, so not of their times or its name."""
    return sha256_text(canonical_json(dict(sha256_by_path)))


def diff_configs(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return one line for each value that differs, `training.learning_rate 0.003 -> 0.001`, sorted by path.

    A key that one side lacks is shown as `(absent)`.
    """
    before, after = dict(_flat(old, "")), dict(_flat(new, ""))
    lines = []
    for path in sorted(before.keys() | after.keys()):
        left, right = _shown(before.get(path, _ABSENT)), _shown(after.get(path, _ABSENT))
        if left != right:
            lines.append(f"{path} {left} -> {right}")
    return lines


def _plain(value: Any, path: str) -> JsonValue:
    if isinstance(value, str):  # first: most values are text, and the checks for a model or a Mapping are slow
        return _plain_text(value, path)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        raise ConfigError(f"{path} is {value}, which JSON cannot represent. Use a finite number or None.", item=path)
    if isinstance(value, list | tuple):
        return [_plain(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        return {_plain_key(key, path): _plain(item, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, BaseModel):
        # Not `model_dump(mode="json")`, which would turn NaN and infinity into null, and so hide them.
        return _plain(to_jsonable_python(value, by_alias=False), path)
    raise ConfigError(
        f"{path} is a {type(value).__name__}, which has no exact JSON form: {value!r}. "
        "Use None, bool, int, float, str, lists and dicts of them, or a pydantic model.",
        item=path,
    )


def _plain_text(text: str, path: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        why = f"{path} is not valid Unicode: {text!r}. Remove the lone surrogate."
        raise ConfigError(why, item=path) from error
    return str(text)


def _plain_key(key: Any, path: str) -> str:
    if not isinstance(key, str):
        raise ConfigError(f"{path} has the key {key!r}, a {type(key).__name__}. Keys must be strings.", item=path)
    return _plain_text(key, f"a key of {path}")


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    if isinstance(value, Mapping) and (value or not path):
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "(absent)"
    return value if isinstance(value, str) and _is_plain_word(value) else canonical_json(value)


def _is_plain_word(text: str) -> bool:
    """Whether a text can be shown without quotes and not be mistaken for another value."""
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return text.isprintable() and text != "" and not text.startswith("(")
    return False
