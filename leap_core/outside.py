"""Text and JSON that somebody else wrote, read so that nothing in them can stop what reads them later."""

import json
import re

from pydantic import JsonValue

_SURROGATES = re.compile("[\ud800-\udfff]")
_MOST_DIGITS = 4000
"""Of a whole number: Python refuses to read longer ones."""
_DEEPEST = 200
"""Of JSON: deeper than anything that is meant, and shallow enough for everything that walks it."""


def mended(text: str) -> str:
    """Replace what is no Unicode text: halves of a pair of surrogates, which no file and no request can hold."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


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
