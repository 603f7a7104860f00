"""The house stays small: files, functions, and one way to change a record."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for package in ("flows", "tasks", "leap_core") for path in (ROOT / package).rglob("*.py"))
MOST_LINES = 400
"""Of a file."""
SHORT = 25
"""Lines: a function should have fewer."""
LEAST_SHORT = 0.95
"""Share of all functions that are short."""


def functions():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.end_lineno - node.lineno + 1, f"{path.relative_to(ROOT)}:{node.name}"


def test_no_file_is_long():
    lines = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert len(lines) > 100
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_most_functions_are_short():
    lengths = sorted(functions(), reverse=True)
    long = [one for one in lengths if one[0] >= SHORT]
    assert len(lengths) > 1000
    assert 1 - len(long) / len(lengths) >= LEAST_SHORT, long


@pytest.mark.parametrize("word", ["model_copy", "model_construct"])
def test_records_are_never_changed_or_made_unchecked(word):
    """`with_` runs every validator; pydantic's own ways around them do not."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == word
    ]
    assert found == []
