"""From text to search terms, as Lucene's English analyzer makes them (Anserini's default, which the original uses).

Word boundaries of Unicode's annex 29, possessive 's taken off, lower case, 33 stop words left out, and Porter's stemmer
with its author's later changes.
"""

import re

from lunr.stemmer import PorterStemmer

_STOP_WORDS_TEXT = """
a an and are as at be but by for if in into is it no not of on or such that the their then there these they this to was
will with
"""
STOP_WORDS = frozenset(_STOP_WORDS_TEXT.split())
MAX_TOKEN_LENGTH = 255
"""Lucene cuts longer tokens into pieces of this length."""

_PICTURES = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2194-\u2199\u21a9-\u21aa\u231a-\u231b\u2328\u2388\u23cf\u23e9-\u23f3"
    "\u23f8-\u23fa\u25aa-\u25ab\u25b6\u25c0\u25fb-\u25fe\u2600-\u2605\u2607-\u2612\u2614-\u2685\u2690-\u2705"
    "\u2708-\u2712\u2714\u2716\u271d\u2721\u2728\u2733-\u2734\u2744\u2747\u274c\u274e\u2753-\u2755\u2757"
    "\u2763-\u2767\u2795-\u2797\u27a1\u27b0\u27bf\u2934-\u2935\u2b05-\u2b07\u2b1b-\u2b1c\u2b50\u2b55\u3030\u303d"
    "\u3297\u3299\U0001f000-\U0001f0ff\U0001f18e\U0001f191-\U0001f19a\U0001f300-\U0001f53d"
    "\U0001f546-\U0001f64f\U0001f680-\U0001f6ff\U0001f90c-\U0001f93a\U0001f93c-\U0001f945\U0001f947-\U0001faff"
)
"""Signs that are words: (c), (R), TM, stars, ticks, emoji."""
_ALONE = "\u3041-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Hiragana and Han: each sign is a token."""
_RUNS = "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ede\u1000-\u109f\u1780-\u17d3"
"""Thai and its kin, which have no spaces between words: a run of them is a token."""
_KATAKANA = "\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9d"
"""Runs of these are tokens, too."""
_NO_LETTERS = "\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u2079\u2080-\u2089\u2150-\u215f\u2189\u2460-\u249b\u2776-\u2793"
"""Superscripts, fractions and numbers in circles: Python takes them for letters or digits, Unicode's annex does not."""
_JOINED = "\u00ad\u0300-\u036f\u200c-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff\U0001f3fb-\U0001f3ff"
"""Marks and invisible signs that stay with what is before them."""
_LETTER = rf"[^\W\d_{_ALONE}{_RUNS}{_KATAKANA}{_NO_LETTERS}]"
_BETWEEN_BOTH = ".'\u2018\u2019\u2024\ufe52\uff07\uff0e"
_BETWEEN_LETTERS = rf"[{_BETWEEN_BOTH}:\u00b7\u0387\u2027\ufe13\ufe55\uff1a]"
_BETWEEN_DIGITS = rf"[{_BETWEEN_BOTH},;\u037e\u0589\u060c\u2044\ufe10\ufe14\ufe50\ufe54\uff0c\uff1b]"
_WORD = (
    rf"_*(?:{_LETTER}|\d)(?:{_LETTER}|[\d_{_JOINED}]"
    rf"|(?<={_LETTER}){_BETWEEN_LETTERS}(?={_LETTER})|(?<=\d){_BETWEEN_DIGITS}(?=\d))*"
)
_RUN = rf"[{_RUNS}][{_RUNS}{_JOINED}]*|[{_KATAKANA}][{_KATAKANA}{_JOINED}]*|[{_ALONE}][{_JOINED}]*"
_SIGN = rf"[{_PICTURES}][{_JOINED}\u20e3]*(?:(?<=\u200d)[{_PICTURES}][{_JOINED}]*)*"
_TOKEN = re.compile(f"{_WORD}|{_RUN}|{_SIGN}")
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
    tokens: list[str] = pattern.findall(lower)
    if max(map(len, tokens), default=0) <= MAX_TOKEN_LENGTH:
        return tokens
    starts = ((token, start) for token in tokens for start in range(0, len(token), MAX_TOKEN_LENGTH))
    return [token[start : start + MAX_TOKEN_LENGTH] for token, start in starts]


def stem(token: str) -> str:
    """The search term of one word in lower case; empty for a stop word."""
    if token.endswith(_POSSESSIVES):
        token = token[:-2]
    # A new one each time, as it holds the word that it works on. Snowball's "porter" is not Lucene's: "technology".
    return "" if token in STOP_WORDS else str(PorterStemmer().stem(token))
