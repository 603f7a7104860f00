"""Text and JSON that somebody else wrote, read so that nothing in them can stop what reads them later."""

import json
import re
from collections.abc import Sequence
from typing import Any

from pydantic import JsonValue

_SURROGATES = re.compile("[\ud800-\udfff]")
_MOST_DIGITS = 4000
"""Of a whole number: Python refuses to read longer ones."""
_DEEPEST = 200
"""Of JSON: deeper than anything that is meant, and shallow enough for everything that walks it."""


def mended(text: str) -> str:
    """Replace what is no Unicode text: halves of a pair of surrogates, which no file and no request can hold."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def mended_in(value: object) -> object:
    """Replace it in all text of a value, in whatever depth of dicts, lists and tuples."""
    if isinstance(value, str):
        return mended(value)
    if isinstance(value, dict):
        return {key: mended_in(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return value if _are_plain(value) else [mended_in(item) for item in value]
    return value


def _are_plain(values: Sequence[Any]) -> bool:
    """Whether there is nothing but text in which nothing is to be mended."""
    try:
        return "".join(values).isascii()
    except TypeError:  # not all of them are text
        return False


def read_json(content: str | bytes) -> JsonValue:
    """Read JSON; all text in it is mended. Of two equal keys the last counts, and numbers may be infinite or NaN.

    Raises:
        ValueError: it is not JSON, or nested too deep.
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
