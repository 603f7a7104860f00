"""Keys of endpoints: read from the environment, and cut out of whatever an endpoint sends.

No endpoint should repeat a key. Where one does, in whatever spelling, it goes no further: not into the journal, an
artifact, an error or a log.
"""

import base64
import os
import re
from functools import cache

from leap_core.errors import ConfigError

_SHORTEST = 6
"""Of a key that is looked for: servers that need none are given words like EMPTY, which may well occur in replies."""
_MARKS = ("\\u", "\\U", "\\x", "\\/", "%", "&#")
"""What a character begins with that is spelled in another way."""
_SHOWN = "<key>"
_known: set[str] = set()
"""Every key that this process has read, whichever endpoint it is for."""


def read_key(variable: str) -> str:
    """Read a key from an environment variable; empty where it is not set, or holds nothing but blanks.

    Raises:
        ConfigError: it cannot be a key.
    """
    return plain_key(os.environ.get(variable, ""), f"The environment variable {variable}")


def plain_key(text: str, where: str) -> str:
    """The key in a text that may have blanks or line ends around it, as files have them. It is known from now on.

    `where` says in messages where it stands.

    Raises:
        ConfigError: what is left has blanks, control characters or letters that no key has.
    """
    key = text.strip(" \t\r\n")
    if not all("!" <= character <= "~" for character in key):
        raise ConfigError(
            f"{where} holds no key: there are blanks, line breaks or other characters in it that cannot be sent in a "
            "header. Set it to the key alone, in one line."
        )
    if len(key) >= _SHORTEST:
        _known.add(key)
    return key


def without_keys(text: str) -> str:
    """A text as it may be kept or shown: every known key in it is replaced, however it is spelled.

    That is: as it is, with some of its characters escaped (JSON, URL, HTML), in base64 or in hex.
    """
    # The longest first: of a key that another one begins with, the end would be left.
    for key in sorted(_known, key=len, reverse=True):
        for form in _whole_forms(key):
            if form in text:
                text = text.replace(form, _SHOWN)
        if any(mark in text for mark in _MARKS):
            text = _escaped(key).sub(_SHOWN, text)
    return text


@cache
def _whole_forms(key: str) -> tuple[str, ...]:
    return (key, *_in_base64(key.encode()), key.encode().hex(), key.encode().hex().upper())


def _in_base64(content: bytes) -> list[str]:
    """What base64 of any text that holds the content has in common, by where in three bytes it begins."""
    forms = []
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + content).decode().rstrip("=")
        whole = encoded[-(-offset * 4 // 3) :][: (len(content) - 2) * 4 // 3]
        forms += [whole, whole.replace("+", "-").replace("/", "_")]
    return forms


@cache
def _escaped(key: str) -> re.Pattern[str]:
    return re.compile("".join(map(_spellings, key)))


def _spellings(character: str) -> str:
    """A pattern for one character, as it is or escaped, with as many backslashes as there are layers."""
    number = ord(character)
    in_hex = "".join(f"[{digit.lower()}{digit.upper()}]" for digit in f"{number:02x}")
    escaped = [rf"\\+(?:u00|U000000|u\{{0*|x){in_hex}\}}?", f"%(?:25)*{in_hex}", f"&#[xX]0*{in_hex};", f"&#0*{number};"]
    return rf"(?:\\*{re.escape(character)}|{'|'.join(escaped)})"
