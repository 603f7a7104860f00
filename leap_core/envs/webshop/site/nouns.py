"""The nouns of a product's title, which decide how alike two kinds of product are.

The original asks spaCy's small English model which words are nouns. Where that is not installed, `rule_nouns` stands
in: titles are strings of names and nouns for the most part, and spaCy takes nearly every capitalised word of one for a
noun, so the rules only leave out what is hardly ever a noun. `LOG.md` has how often the two lead to another score.
"""

import re
from collections.abc import Callable
from functools import cache, lru_cache
from importlib.util import find_spec
from typing import Literal

from leap_core.errors import MissingPackageError

NounStep = Literal["spacy", "rules"]
NounChoice = Literal["auto", "spacy", "rules"]
Nouns = Callable[[str], tuple[str, ...]]
"""From a title to its nouns in lower case, in order; one that stands there twice is twice there."""

SPACY_MODEL = "en_core_web_sm"
_TAGS = frozenset({"NOUN", "PROPN"})
_NOT_NEEDED = ["parser", "ner", "lemmatizer", "senter"]
"""Parts of the model that tags do not depend on, but for a word in some hundred titles; they take most of the time."""

_WORD = re.compile(r"\d+(?=(?:[ckm]?m|k?g|m?l|oz|lb|ft|gb|tb|w|v|k)\b)|[^\W_]+", re.IGNORECASE)
"""As spaCy, with units apart from their numbers."""
_NEVER_NOUNS_TEXT = """
a about above across after again against all also although am an and any are around as at available based be because
been before behind being below between both but by can compatible could do does down during each easily either else
even ever every except excluding few fits for from fully get give go had has have having he her here hers him his
how i if in includes including included into is it its itself just keep less like m made make makes many may me more
most much must my no nor not now of off often on once one only onto or other others our out over own per plus s same
see shall she should so some such t than that the their them then there these they this those through to together
too towards under until up upon us used using various very via was we well were what when where which while who
whose why will with within without would you your yours two three four five six seven eight nine ten
"""
_NEVER_NOUNS = frozenset(_NEVER_NOUNS_TEXT.split())
_ADJECTIVE_ENDINGS = ("able", "ible", "ful", "less", "ous", "ive", "ic", "al", "ed", "ant", "ent", "ish", "ary")
"""Of words in small letters; a capitalised one counts as part of a name."""


def resolve_noun_step(choice: NounChoice) -> NounStep:
    """The step that `choice` stands for on this machine; "auto" is spaCy where it is installed."""
    if choice == "auto":
        return "spacy" if _has_spacy() else "rules"
    return choice


@cache
def load_nouns(step: NounStep) -> Nouns:
    """The function that finds nouns; one for all environments of a process.

    Raises:
        MissingPackageError: spaCy or its model is not installed.
    """
    return lru_cache(maxsize=4096)(_load_spacy() if step == "spacy" else rule_nouns)


def rule_nouns(title: str) -> tuple[str, ...]:
    """All words that are not numbers, words of the grammar, or adjectives by their ending."""
    return tuple(word.lower() for word in _WORD.findall(title) if _may_be_noun(word))


def _may_be_noun(word: str) -> bool:
    if word.lower() in _NEVER_NOUNS or word.isdigit() or (word[0].isdigit() and not word.endswith("pcs")):
        return False
    return not (word.islower() and len(word) > 4 and word.endswith(_ADJECTIVE_ENDINGS))


def _has_spacy() -> bool:
    return find_spec("spacy") is not None and find_spec(SPACY_MODEL) is not None


def _load_spacy() -> Nouns:
    if not _has_spacy():
        raise MissingPackageError(
            "spacy",
            "The noun step 'spacy'",
            f"pip install spacy && python -m spacy download {SPACY_MODEL}; or make the specs with "
            "environment.params.nouns = 'rules'.",
        )
    import spacy

    model = spacy.load(SPACY_MODEL, exclude=_NOT_NEEDED)
    return lambda title: tuple(token.text.lower() for token in model(title) if token.pos_ in _TAGS)
