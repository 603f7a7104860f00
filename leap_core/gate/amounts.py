"""Amounts of money in a text, however they are written: 74, 74.0, $74.00 and "74 dollars" are one.

What is compared are cents. Only environments whose facts hold prices ask for any of this.
"""

import re
from collections.abc import Iterator
from decimal import Decimal

_CENT = Decimal("0.01")
_WHOLE = r"\d{1,3}(?:,\d{3}){1,3}|\d{1,9}"
_AMOUNT = re.compile(
    rf"(?<![\w.])(?<![a-z]-)(?P<sign>(?:(?:us)?\$|usd)\s?)?(?P<whole>{_WHOLE})(?:[.](?P<part>\d{{1,6}})|,(?P<cents>\d\d))?"
    r"(?:\s?(?P<unit>dollars?|usd|bucks)\b|(?![\w%]|\s%|[.,]\d))",
    re.IGNORECASE,
)
_DOLLARS_AND_CENTS = re.compile(
    rf"\b(?P<whole>{_WHOLE}) dollars?(?: and|,)? (?P<part>\d{{1,2}}) cents?\b", re.IGNORECASE
)
_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,6})?")
_PRICE_TAG = re.compile(r"\$\d{1,9}\.\d{1,6}(?: to \$\d{1,9}\.\d{1,6})*")
_SENTENCE_END = re.compile(r"[;!?\n]|[.](?!\d)")
_MONEY = re.compile(
    r"\b(pric\w*|costs?|costing|pay\w*|paid|sold|sells?|spend\w*|dollars?|cheap\w*|expensive|budget|afford\w*|worth)\b",
    re.IGNORECASE,
)
_FEWEST_DIGITS = 2
"""Bare numbers (no sign, unit or decimals) below this are taken for counts, as in "the 2 items"."""


def amounts_of(value: float | str) -> Iterator[Decimal]:
    """The amounts that a fact is: a number with decimals, or a price tag, as "$5.0" or "$5.0 to $8.0"."""
    if isinstance(value, float):
        yield Decimal(value).quantize(_CENT) if abs(value) < 1e9 else Decimal(value)
    elif is_price_tag(value):
        yield from (_cents(number) for number in _NUMBER.findall(value))


def is_price_tag(text: str) -> bool:
    """Whether a text is a price and nothing else."""
    return _PRICE_TAG.fullmatch(text) is not None


def amounts_said(text: str) -> dict[Decimal, str]:
    """The amounts that a text speaks of, and the words that it puts each in."""
    said: dict[Decimal, str] = {}
    for sentence in _SENTENCE_END.split(text):
        is_about_money = _MONEY.search(sentence) is not None
        for match in _AMOUNT.finditer(sentence):
            whole, part = match["whole"].replace(",", ""), match["part"] or match["cents"]
            is_marked = match["sign"] or match["unit"] or part
            if is_marked or (is_about_money and len(whole) >= _FEWEST_DIGITS):
                said.setdefault(_cents(f"{whole}.{part or 0}"), match.group().strip())
        for match in _DOLLARS_AND_CENTS.finditer(sentence):
            value = _cents(match["whole"].replace(",", "")) + int(match["part"]) * _CENT
            said.setdefault(value, match.group())
    return said


def amounts_shown(text: str) -> set[Decimal]:
    """Every number that a text holds, money or not: who has seen it may say it in any form."""
    return {*map(_cents, _NUMBER.findall(text)), *amounts_said(text)}


def _cents(number: str) -> Decimal:
    return Decimal(number).quantize(_CENT)
