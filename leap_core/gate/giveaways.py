"""What a privileged state holds that words could give away, and how words may put it.

Kinds of giveaway: a *name* ("mug 2"), a *phrase* of several words, an *atom* (a path, a file name, an id, a number of
two digits or more), an *amount* of money (`amounts.py`), and a *place* ("mug 2 is in cabinet 3", also where both are
named by what was seen). All but amounts are compared after `normalise`, so that quotes, markdown, plurals and ways of
writing a number make no difference. A *topic*, such as a category, gives nothing away once a word of it was seen.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache

from pydantic import JsonValue

from leap_core.gate.amounts import amounts_of, is_price_tag
from leap_core.types import HiddenFacts

_TOKENS = re.compile(r"[a-z]+|\d+|[.;!?\n]")
_POINT_IN_A_WORD = re.compile(r"(?<=\w)\.(?=\w)")
_COMMA_BEFORE_A_NUMBER = re.compile(r",(?= \d)")
_SENTENCE_ENDS = frozenset(".;!?\n")
_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_DIGITS = {word: str(number) for number, word in enumerate(_NUMBERS, start=1)}
_BEFORE_A_NUMBER = frozenset({"number", "no", "nr", "num", "numbered", "labelled", "labeled", "marked", "called"})
_NUMBER_WORDS = _BEFORE_A_NUMBER.union(_NUMBERS)
_ABBREVIATED_NUMBER = re.compile(r"\b(no|nr|num)\. ?(?=\d)")
_BEFORE_A_PRONOUN = frozenset(
    {"the", "this", "that", "a", "which", "another", "other", "each", "every", "next", "is", "no"}
)
_AFTER_A_PRONOUN = frozenset({"of", "is", "at", "by", "that", "which", "more", "or"})
_AND = frozenset({"and", "or"})

_NAME = re.compile(r"(?<![\w/.-])[a-z]{2,} \d{1,3}(?![\w.])")
_PATH = re.compile(r"(?:/[\w.+-]+){2,}|(?<![\w/.])[\w+-]+(?:\.[\w+-]+)*\.[a-z]{1,5}\d?(?!\w)")
_ID = re.compile(r"\b(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{7,}\b")
_NUMBER = re.compile(r"(?<![\w.])\d+\.\d+(?!\w)|(?<![\w.])\d{2,}(?![\w.])")
_LONGEST_PHRASE = 12
_LITTLE_WORDS = frozenset(
    {"and", "or", "for", "of", "the", "with", "without", "in", "to", "an", "on", "by", "from", "at"}
)
_PEOPLE = {"women": "woman", "men": "man", "children": "child"}


@lru_cache(maxsize=20_000)  # commands and observations come again at every step
def normalise(text: str) -> str:
    """Lower case, words and numbers only, single spaces: `**Mugs** #1,` and `mug_1` become `mug 1`."""
    return " ".join(token for token in _tokens(text) if token not in _SENTENCE_ENDS)


@dataclass(frozen=True, kw_only=True)
class Speech:
    """A text as the gate reads it: its sentences, each normalised, and all of it, normalised."""

    sentences: list[str]
    whole: str

    @classmethod
    def of(cls, text: str) -> "Speech":
        """Read a text. A point inside a word ends no sentence, a comma before a number does."""
        pointed = _POINT_IN_A_WORD.sub(" ", _COMMA_BEFORE_A_NUMBER.sub(".", text))
        found: list[list[str]] = [[]]
        for token in _tokens(pointed):
            if token in _SENTENCE_ENDS:
                found.append([])
            else:
                found[-1].append(token)
        said = [" ".join(words) for words in found if words]
        return cls(sentences=said, whole=" ".join(said) if pointed == text else normalise(text))


def _tokens(text: str) -> list[str]:
    text = text if text.isascii() else unicodedata.normalize("NFKC", text)
    text = text.lower().replace("'s ", " ").replace("’s ", " ")
    text = _ABBREVIATED_NUMBER.sub(r"\1 ", text)
    raw, tokens, done, kind = _TOKENS.findall(text), list[str](), 0, ""
    # Only words that could be a number are looked at one by one: the gate's time is mostly spent here.
    for position in [index for index, token in enumerate(raw) if token in _NUMBER_WORDS or token.isdigit()]:
        tokens += raw[done:position]
        token, following, done = raw[position], raw[position + 1] if position + 1 < len(raw) else "", position + 1
        if token in _BEFORE_A_NUMBER and tokens and (following.isdigit() or following in _DIGITS):
            continue  # "mug number 2"
        number = _number(token, tokens[-1] if tokens else "", following)
        while number and len(tokens) > 1 and tokens[-1] in _BEFORE_A_NUMBER:
            tokens.pop()  # "the mug labelled number 2"
        if number and tokens and tokens[-1].isalpha() and tokens[-1] not in _AND:
            kind = tokens[-1] = _singular(tokens[-1])
        elif number and kind and len(tokens) > 1 and tokens[-1] in _AND and tokens[-2].isdigit():
            tokens.append(kind)  # "mugs 2 and 3"
        tokens.append(number or token)
    return tokens + raw[done:]


def _number(token: str, before: str, following: str) -> str:
    """The digits that a token stands for, "" where it is not a number. "One" mostly is not: "a mug. One of them"."""
    if token not in _DIGITS:
        return token if token.isdigit() else ""
    if token == "one" and (not before.isalpha() or before in _BEFORE_A_PRONOUN or following in _AFTER_A_PRONOUN):
        return ""
    return _DIGITS[token]


def _singular(word: str) -> str:
    if word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    if word == "knives":
        return "knife"
    if word == "shelves":
        return "shelf"
    is_plural = word.endswith("s") and not word.endswith("ss") and len(word) > 3
    return word[:-1] if is_plural else word


def share_a_word(topic: str, text: str) -> bool:
    """Whether two normalised texts have a telling word in common, in whatever inflection."""
    return not _stems(topic).isdisjoint(_stems(text))


def _stems(normalised: str) -> set[str]:
    return {_stem(word) for word in normalised.split() if len(word) > 1 and word not in _LITTLE_WORDS}


def _stem(word: str) -> str:
    """A word without its most common endings: `frames` and `framed` are `fram`, `batteries` is `battery`."""
    word = _PEOPLE.get(word, word)
    word = f"{word[:-3]}y" if word.endswith("ies") and len(word) > 4 else _singular(word)
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            word = word.removesuffix(ending)
            return word[:-1] if len(word) > 3 and word[-1] == word[-2] != "s" else word
    return word.removesuffix("e") if len(word) > 3 else word


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a thing is: both as normalised names."""

    thing: str
    place: str

    @property
    def kind(self) -> str:
        """What the thing is, without its number."""
        return self.thing.rpartition(" ")[0] or self.thing


@dataclass(frozen=True, kw_only=True)
class Giveaways:
    """Everything in one privileged state that words could give away, normalised."""

    texts: tuple[str, ...]
    places: tuple[Place, ...]
    kinds: frozenset[str] = field(default_factory=frozenset)
    amounts: frozenset[Decimal] = frozenset()
    topics: tuple[str, ...] = ()

    @classmethod
    def of(cls, hidden: HiddenFacts) -> "Giveaways":
        """Collect them from the facts of a privileged state."""
        facts: JsonValue = hidden.model_dump(mode="json", exclude={"topics"})
        texts = tuple(sorted(set(_texts(facts))))
        names = [text for text in texts if text.rpartition(" ")[2].isdigit() and text.count(" ") == 1]
        kinds = frozenset(name.partition(" ")[0] for name in names)
        return cls(
            texts=texts,
            places=tuple(_places(facts)),
            kinds=kinds,
            amounts=frozenset(amount for value in _leaves(facts) for amount in amounts_of(value)),
            topics=tuple(sorted(set(_several_words(hidden.topics)))),
        )

    def joined(self, text: str) -> str:
        """A normalised text, with names that are written apart put together: `side table 1` becomes `sidetable 1`."""
        words, result = text.split(" "), list[str]()
        for word in words:
            if result and result[-1] + word in self.kinds:
                result[-1] += word
            else:
                result.append(word)
        return " ".join(result)


def _texts(facts: JsonValue) -> Iterator[str]:
    """Every name, phrase and atom that could only be known from the facts.

    Single words without a number ("mug", "clean") are general knowledge or part of the goal and are none.
    """
    if isinstance(facts, dict):
        for key, value in facts.items():
            yield from _texts(value)
            if any(character.isdigit() for character in key):  # a name, as in {"mug 1": "cabinet 3"}; not a field
                yield normalise(key)
    elif isinstance(facts, list):
        for value in facts:
            yield from _texts(value)
    elif isinstance(facts, str) and not is_price_tag(facts):
        yield from _texts_of(facts)


def _leaves(facts: JsonValue) -> Iterator[str | float]:
    """All texts and numbers with decimals, however deep."""
    if isinstance(facts, dict | list):
        for value in facts.values() if isinstance(facts, dict) else facts:
            yield from _leaves(value)
    elif isinstance(facts, str | float):
        yield facts


def _texts_of(text: str) -> Iterator[str]:
    lowered = text.lower()
    names = _NAME.findall(lowered)
    rest = _NAME.sub(" ", lowered)
    yield from map(normalise, names)
    paths = _PATH.findall(rest)
    yield from _several_words([*paths, *(path.rpartition("/")[2] for path in paths)])
    yield from (normalise(number) for number in _NUMBER.findall(_PATH.sub(" ", rest)))
    yield from _several_words(_ID.findall(text))
    for line in text.splitlines():
        # A command such as "open cabinet 3" gives nothing away but the names in it.
        phrase = normalise(line)
        if not names and 1 <= phrase.count(" ") < _LONGEST_PHRASE:
            yield phrase


def _several_words(texts: Iterable[str]) -> Iterator[str]:
    return (phrase for phrase in map(normalise, texts) if " " in phrase)


def _places(facts: JsonValue) -> Iterator[Place]:
    if isinstance(facts, dict):
        for key, value in facts.items():
            if isinstance(value, str) and _NAME.fullmatch(key.lower()) and _NAME.fullmatch(value.lower()):
                yield Place(thing=normalise(key), place=normalise(value))
            else:
                yield from _places(value)
    elif isinstance(facts, list):
        for value in facts:
            yield from _places(value)
