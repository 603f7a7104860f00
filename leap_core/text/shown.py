"""Text from outside as it may be shown in a terminal or a log: what is there can be seen, and nothing steers.

An endpoint, a model, a file's name or its content may hold control characters that move the cursor, hide a line, turn
the order of letters around or stand for nothing visible. They are spelled out, as Python would.
"""

import unicodedata

_KEPT_IN_LINES = "\n\t"


def shown(text: str) -> str:
    r"""Return `text` as one line, with whatever cannot be seen written as `\n`, `\x1b`, `\u202e`.

    That is every control and format character (bidirectional overrides, zero-width ones), separators of lines, lone
    surrogates, and what no letter is assigned to. All else stays.
    """
    if text.isprintable():
        return text
    return "".join(one if _can_be_seen(one) else _spelled(one) for one in text)


def shown_lines(text: str) -> str:
    """Return a text of several lines likewise; its line feeds and tabs stay."""
    return "".join(one if _can_be_seen(one) or one in _KEPT_IN_LINES else _spelled(one) for one in text)


def _can_be_seen(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _spelled(character: str) -> str:
    # Not by the codec `unicode_escape` alone: for a lone surrogate there is none.
    return repr(character)[1:-1]
