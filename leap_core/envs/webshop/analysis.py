"""From text to search terms, as Lucene's English analyzer makes them (Anserini's default, which the original uses).

Word boundaries of Unicode's annex 29, possessive 's taken off, lower case, 33 stop words left out, Porter's stemmer.
"""

import re
from functools import cache
from typing import cast

import Stemmer

_STOP_WORDS = (
    "a an and are as at be but by for if in into is it no not of on or such that the their then there these they this "
    "to was will with"
)
STOP_WORDS = frozenset(_STOP_WORDS.split())
MAX_TOKEN_LENGTH = 255
"""Lucene cuts longer tokens into pieces of this length."""

_ALONE = "\u3041-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Hiragana and Han: each sign is a token."""
_NO_LETTERS = "\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u2079\u2080-\u2089\u2150-\u215f\u2189\u2460-\u249b\u2776-\u2793"
"""Superscripts, fractions and numbers in circles: Python takes them for letters or digits, Unicode's annex does not."""
_JOINED = r"\u00ad\u0300-\u036f\u200c-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff"
"""Marks and invisible signs that stay with the letter before them."""
_LETTER = rf"[^\W\d_{_ALONE}{_NO_LETTERS}]"
_BETWEEN_LETTERS = r"[:\u00b7\u0387\u2027\ufe13\ufe55\uff1a.'\u2018\u2019\u2024\ufe52\uff07\uff0e]"
_BETWEEN_DIGITS = (
    r"[,;\u037e\u0589\u060c\u2044\ufe10\ufe14\ufe50\ufe54\uff0c\uff1b.'\u2018\u2019\u2024\ufe52\uff07\uff0e]"
)
_TOKEN = re.compile(
    rf"_*(?:{_LETTER}|\d)(?:{_LETTER}|[\d_{_JOINED}]"
    rf"|(?<=[^\W\d_{_ALONE}{_NO_LETTERS}{_JOINED}]){_BETWEEN_LETTERS}(?={_LETTER})|(?<=\d){_BETWEEN_DIGITS}(?=\d))*"
    rf"|[{_ALONE}]"
)
_ASCII_TOKEN = re.compile(r"_*[a-z0-9](?:[a-z0-9_]|(?<=[a-z])[:.'](?=[a-z])|(?<=[0-9])[,;.'](?=[0-9]))*", re.IGNORECASE)
_POSSESSIVES = ("'s", "\u2019s", "\uff07s")


def terms_of(text: str) -> list[str]:
    """The search terms of a text, in order, repeated as often as they occur."""
    stems = (stem(token) for token in tokens_of(text))
    return [term for term in stems if term]


def tokens_of(text: str) -> list[str]:
    """The words of a text in lower case, before stop words are left out."""
    lower = text.lower()
    pattern = _ASCII_TOKEN if lower.isascii() else _TOKEN
    tokens = pattern.findall(lower)
    if any(len(token) > MAX_TOKEN_LENGTH for token in tokens):
        return [piece for token in tokens for piece in _pieces(token)]
    return cast(list[str], tokens)


def stem(token: str) -> str:
    """The search term of one word in lower case; empty for a stop word."""
    if token.endswith(_POSSESSIVES):
        token = token[:-2]
    return "" if token in STOP_WORDS else cast(str, _stemmer().stemWord(token))


def _pieces(token: str) -> list[str]:
    return [token[start : start + MAX_TOKEN_LENGTH] for start in range(0, len(token), MAX_TOKEN_LENGTH)]


@cache
def _stemmer() -> Stemmer.Stemmer:
    return Stemmer.Stemmer("porter", 0)  # no cache of its own: what is stemmed often is remembered by who asks
