"""Writes docs/settings-reference.md from the settings' own types, defaults and descriptions.

python docs/generate_settings.py
"""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import leap_core
from leap_core.config import LeapConfig, Section
from leap_core.settings.bounds import Within

PAGE = Path(__file__).with_name("settings-reference.md")
HEAD = """# Every setting

<!-- Written by docs/generate_settings.py from the code; edit the descriptions there. -->

[Settings](settings.md) says how to change one, and which of them decide a result.
"""
PARAMS_HEAD = """
## Settings of one kind alone

`environment.params`, `student.params`, `correction.params` and the like hold what only one kind of environment,
student, teacher or trainer understands.
"""
_OWNERS = {"envs": "Environment", "students": "Student", "teachers": "Teacher", "trainers": "Trainer"}
_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", dict: "table", tuple: "list"}


def render() -> str:
    """The whole page."""
    parts = [HEAD, *_sections(LeapConfig, ""), PARAMS_HEAD]
    parts += [f"\n### {_title(kind)}\n\n{_first_line(kind)}\n{_table(kind)}" for kind in _params()]
    return "".join(parts)


def _title(kind: type[Section]) -> str:
    """What the settings of one kind belong to: `Environment webshop`, `Teacher openai`."""
    _, package, name, *_ = kind.__module__.split(".")
    if package != "envs":
        name = re.sub("(Student|Teacher|Trainer)?Params$", "", kind.__name__).lower()
    return f"{_OWNERS[package]} {name}"


def _sections(section: type[Section], path: str) -> Iterator[str]:
    """The table of a section, then those of the sections in it; two of one type share a table."""
    yield f"\n## {path or 'The experiment'}\n\n{_first_line(section)}\n{_table(section)}"
    inner: dict[type[Section], list[str]] = {}
    for name, field in section.model_fields.items():
        if _is_section(field):
            inner.setdefault(field.annotation, []).append(f"{path}.{name}".strip("."))
    for kind, paths in inner.items():
        yield from _sections(kind, ", ".join(paths))


def _table(section: type[Section]) -> str:
    rows = [_row(name, field) for name, field in section.model_fields.items() if not _is_section(field)]
    return "\n".join(["", "| setting | default | allowed | meaning |", "|---|---|---|---|", *rows, ""])


def _row(name: str, field: FieldInfo) -> str:
    default = "required" if field.default is PydanticUndefined and field.default_factory is None else _default(field)
    cells = (f"`{name}`", default, _allowed(field.annotation, field.metadata), field.description or "")
    return "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells) + " |"


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{list(value)}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def _allowed(annotation: Any, metadata: list[Any] | tuple[Any, ...] = ()) -> str:
    """What a setting may be, in words: `whole number from 1 to 100, or none`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    bounds = next((f" {each.range} ({each.why})" for each in metadata if isinstance(each, Within)), "")
    if origin is Annotated:
        return _allowed(arguments[0], arguments[1:]) + bounds
    if origin in (Union, UnionType):
        return ", or ".join(_allowed(each) + bounds for each in arguments if each is not NoneType) + (
            ", or none" if NoneType in arguments else ""
        )
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    return _WORDS.get(origin or annotation, "text") + bounds


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, Section)


def _first_line(section: type[Section]) -> str:
    return (section.__doc__ or "").splitlines()[0]


def _params() -> Iterator[type[Section]]:
    """The sections for the settings of one kind. Modules without one are not imported: some take seconds."""
    root = Path(leap_core.__file__).parent
    for path in sorted(root.rglob("*.py")):
        for name in re.findall(r"^class (\w+Params)\(", path.read_text(encoding="utf-8"), re.MULTILINE):
            module = ".".join(("leap_core", *path.relative_to(root).with_suffix("").parts))
            kind = getattr(import_module(module), name)
            if issubclass(kind, Section) and kind.model_fields:
                yield kind


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
