"""What can be told from an instruction's words alone: what to search for, and how well a text fits it."""

import re

_PRICE = re.compile(r",? and price lower than (\d+(?:\.\d+)?) dollars\s*$")
_WORD = re.compile(r"[a-z0-9]+(?:[.'-][a-z0-9]+)*")
_NOT_TELLING_TEXT = """
a about all also am an and any are as at be buy but by can choose come comes could do does find for from get give go
good great has have help i i'd i'll i'm if im in into is it it's item its kind let like locate look looking made
make me might must my need needs new not of on one ones only or order out over pick please preferably prefer product
purchase search see select shop shopping should show size so some something sort specifically such than that the
their them there these they this those to too type up us use very want wanted wants was we what which will with
would you your color colour style price lower dollars
"""
_NOT_TELLING = frozenset(_NOT_TELLING_TEXT.split())


def price_limit(instruction: str) -> float | None:
    """The limit in dollars that an instruction ends with; None where it has none."""
    found = _PRICE.search(instruction)
    return float(found[1]) if found else None


def without_price(instruction: str) -> str:
    """An instruction without its price limit, which no search finds anything by."""
    return _PRICE.sub("", instruction).strip()


def telling_words(text: str) -> list[str]:
    """The words of a text that say what is wanted, in order, each once."""
    words = _WORD.findall(text.lower())
    return list(dict.fromkeys(word for word in words if word not in _NOT_TELLING))


def queries(instruction: str) -> list[str]:
    """Searches for what an instruction asks for, made of its own words; the most promising first."""
    wanted = without_price(instruction)
    words = telling_words(wanted)
    found = [
        " ".join(words),
        wanted.lower(),
        " ".join(words[: (len(words) + 1) // 2]),
        " ".join(words[len(words) // 2 :]),
    ]
    return [query for query in dict.fromkeys(found) if query.strip()]


def fit(words: list[str], text: str) -> float:
    """The share of `words` that a text has, as words or as the beginnings of words ("shoe" in "Shoes")."""
    have = set(_WORD.findall(text.lower()))
    return sum(_has(have, word) for word in words) / len(words) if words else 0.0


def _has(have: set[str], word: str) -> bool:
    stem = word.removesuffix("s") if len(word) > 3 else word
    return word in have or (len(stem) > 2 and any(other.startswith(stem) for other in have))
