"""What of an identity is in a stage's key, so that a new setting changes no key that was made before it.

`keys.json` knows for each stage, by its present version, what its keys hold:

- `kept`: settings that have a default and are in every key nevertheless, as they were when the version was declared;
- `defaults`: settings that are left out of the key at this value: the default that they had when they were declared.
  So a default that is changed later changes the key of who relies on it, and a stale result is never served;
- `removed`: settings that the version once had, at the value that stands for all who are left.

A setting without a default is always in the key. Who raises a version begins its entry anew.
"""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, Self, get_args

from pydantic import BaseModel, Field, JsonValue, model_validator
from pydantic_core import to_jsonable_python

from leap_core.config import Section
from leap_core.disk.canonical import canonical_json
from leap_core.types import Record

TABLE = Path(__file__).with_name("keys.json")


class DeclaredKey(Record):
    """What the keys of one version of one stage hold; paths are dotted: `training.lora.rank`."""

    version: int
    kept: tuple[str, ...] = ()
    defaults: dict[str, JsonValue] = Field(default_factory=dict)
    removed: dict[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_gone(self) -> Self:
        back = sorted(self.removed.keys() & {*self.kept, *self.defaults})
        if back:  # its value would stand in no key
            raise ValueError(f"{', '.join(back)} cannot be removed and a setting: raise the version for that")
        return self


@cache
def declared_keys() -> Mapping[str, DeclaredKey]:
    """The table, by stage."""
    return {stage: DeclaredKey.model_validate(entry) for stage, entry in json.loads(TABLE.read_bytes()).items()}


def declared_key(stage: str, version: int) -> DeclaredKey:
    """The entry of a stage; an empty one for a version that the table does not know."""
    found = declared_keys().get(stage)
    return found if found is not None and found.version == version else DeclaredKey(version=version)


def key_content(declared: DeclaredKey, identity: Section) -> dict[str, Any]:
    """The part of an identity that its key is made from."""
    content: dict[str, Any] = to_jsonable_python(identity)
    for path, default in _defaults(declared, type(identity)).items():
        parent, name = _parent(content, path)
        if path not in declared.kept and name in parent and _is_same(parent[name], default):
            del parent[name]
    for path, value in declared.removed.items():
        parent, name = _parent(content, path)
        if name in parent:
            raise ValueError(f"{path} cannot be removed in keys.json and a setting: raise the version for that")
        parent[name] = deepcopy(value)
    return content


def as_today(declared: DeclaredKey, kind: type[Section], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a record, as JSON values, to be compared with those of today.

    What it lacks stands at its default; what is no setting any more is left out, unless it was not at what stands for
    all who are left.
    """
    content = deepcopy(dict(settings))
    for path, default in _defaults(declared, kind).items():
        parent, name = _parent(content, path)
        parent.setdefault(name, default)
    for path, value in declared.removed.items():
        parent, name = _parent(content, path)
        if name in parent and _is_same(parent[name], value):
            del parent[name]
    return content


def _defaults(declared: DeclaredKey, kind: type[BaseModel]) -> dict[str, JsonValue]:
    return {**dict(settings_with_defaults(kind)), **declared.defaults}


def settings_with_defaults(kind: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, JsonValue]]:
    """The settings of an identity that have a default, by dotted path.

    A section is never left out as a whole, but one that may be None is None in keys, too.
    """
    for name, field in kind.model_fields.items():
        inner = [kind for kind in (field.annotation, *get_args(field.annotation)) if _is_section(kind)]
        for section in inner:
            yield from settings_with_defaults(section, f"{prefix}{name}.")
        if not inner and not field.is_required():
            yield f"{prefix}{name}", to_jsonable_python(field.get_default(call_default_factory=True))


def _is_section(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _is_same(value: JsonValue, other: JsonValue) -> bool:
    """Whether two values are the same in a key: to Python, 1, 1.0 and true are equal."""
    return canonical_json(value) == canonical_json(other)


def _parent(content: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    """The section that holds a setting, and the setting's own name; what is there and no section is an empty one."""
    *sections, name = path.split(".")
    for part in sections:
        inner = content.get(part)
        content = inner if isinstance(inner, dict) else {}
    return content, name
