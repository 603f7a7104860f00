"""Text from outside made safe for a terminal or a log: everything in it is visible, and nothing takes effect.

An endpoint's or a model's text, or a file's name or content, may hold control characters that move the cursor, hide a
line, reverse the order of letters or are invisible. They are escaped as in Python.
"""

import unicodedata

_KEPT_IN_LINES = "\n\t"


def shown(text: str) -> str:
    r"""Return `text` as one line, with whatever is not visible escaped, as `\n`, `\x1b`, `\u202e`.

    That is every control and format character (bidirectional overrides, zero-width ones), line separators, lone
    surrogates and unassigned code points. All else stays.
    """
    if text.isprintable():
        return text
    return "".join(one if _can_be_seen(one) else _spelled(one) for one in text)


def shown_lines(text: str) -> str:
    """The same for a text of several lines; its line feeds and tabs stay."""
    return "".join(one if _can_be_seen(one) or one in _KEPT_IN_LINES else _spelled(one) for one in text)


def _can_be_seen(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _spelled(character: str) -> str:
    # Not the codec `unicode_escape`, which fails on a lone surrogate.
    return repr(character)[1:-1]
