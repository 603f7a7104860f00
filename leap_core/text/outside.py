"""Reading text and JSON from outside, so that nothing in them can break what handles them later."""

import json
import re
from collections.abc import Sequence
from typing import Any

from pydantic import JsonValue

_SURROGATES = re.compile("[\ud800-\udfff]")
_MOST_DIGITS = 4000
"""Of a whole number: Python refuses to parse longer ones."""
_DEEPEST = 200
"""Of JSON: deeper than anything meaningful, and shallow enough for recursive code."""


def mended(text: str) -> str:
    """Replace lone surrogates, which no file and no request can hold."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def mended_in(value: object) -> object:
    """Replace lone surrogates in all text of a value, however deep in dicts, lists and tuples."""
    if isinstance(value, str):
        return mended(value)
    if isinstance(value, dict):
        return {key: mended_in(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return value if _are_plain(value) else [mended_in(item) for item in value]
    return value


def _are_plain(values: Sequence[Any]) -> bool:
    """Whether all are ASCII texts, in which there is nothing to replace: a quick check for the common case."""
    try:
        return "".join(values).isascii()
    except TypeError:  # not all of them are text
        return False


def read_json(content: str | bytes) -> JsonValue:
    """Read JSON, lone surrogates replaced. Of two equal keys the last counts; numbers may be infinite or NaN.

    Raises:
        ValueError: not JSON, or nested too deeply.
    """
    try:
        value = json.loads(content, strict=False, parse_int=_number)
    except RecursionError:
        raise ValueError("nested too deep") from None
    return _mend(value, 0)


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) < _MOST_DIGITS else float(digits)


def _mend(value: JsonValue, depth: int) -> JsonValue:
    if isinstance(value, str):
        return mended(value)
    if depth > _DEEPEST:
        raise ValueError("nested too deep")
    if isinstance(value, list):
        return [_mend(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {mended(key): _mend(item, depth + 1) for key, item in value.items()}
    return value
