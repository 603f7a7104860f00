"""Lists of words as the gate writes them: in plain text, phrases between commas or words between spaces."""

import re


def words(text: str) -> str:
    """A regular expression for one of the phrases, which stand between commas and may be expressions themselves."""
    return f"(?:{'|'.join(' '.join(phrase.split()) for phrase in text.split(','))})"


def word(text: str) -> re.Pattern[str]:
    """What finds one of the phrases in a text that has a space before and behind each word."""
    return re.compile(f" {words(text)}(?= )")


def word_set(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())
