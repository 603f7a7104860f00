"""Who and what a reason speaks of: its sentences as words, with spots and things put in as references.

"The third cabinet", "cabinets 1 and 2", "the fridge" where there is one, "the others" are references to spots
(`leap_core/envs/sight.py`); "remote control", "heads of lettuce" are references to things. In the text of a sentence a
spot is written `@0`, a thing `#0`, so that claims can be read by regular expressions.
"""

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache

from leap_core.envs.sight import Sight, Spot, SpotKind
from leap_core.gate.lexicon import word_set

_SHORT_FORMS = tuple(
    (re.compile(pattern), full)
    for pattern, full in (
        (r"[’`]", "'"),
        (r"\bcan(?:'t|not)\b", "can not"),
        (r"\bwon't\b", "will not"),
        (r"n't\b", " not"),
        (r"'re\b", " are"),
        (r"'ll\b", " will"),
        (r"'ve\b", " have"),
        (r"'m\b", " am"),
        (r"'d\b", " would"),
        (r"\b(it|that|there|what|where|here|who|which|one|nothing|everything)'s\b", r"\1 is"),
        (r"'s\b", ""),
        (r"\be\.g\.", "such as"),
        (r"\bi\.e\.", "that is"),
        (r"\bno\. ?(?=\d)", "number "),
        (r"#\s?(?=\d)", " number "),
        (r"\b1st\b", "first"),
        (r"\b2nd\b", "second"),
        (r"\b3rd\b", "third"),
        (r"\b(\d+)th\b", r"number \1"),
        (r"(?<=\d)\s?[-–]\s?(?=\d+\b)", " to "),
        (r"(?<=[a-z])[_/](?=\d)", " "),
        (r"[*_]{2,}|[\"“”]", " "),
    )
)
_SENTENCE_END = re.compile(r"[;!?\n]+|[.](?=\s|$|['\"*)])")
_QUESTION = re.compile(r"\?\s*$")
_TOKEN = re.compile(
    r"(?:/[\w.+*-]*\w|\b\w[\w+-]*\.[a-z]{1,5}\b)(?:/[\w.+*-]*\w)*|\d+(?:\.\d+)?|[a-z]{2}-\d{2,}|[a-z]+|[,:()]|\s[-–—]+\s"
)
_COUNTING = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen twenty"""
_RANKS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
NUMBERS = {word: number for number, word in enumerate(_COUNTING.split())} | {
    "pair": 2,
    "couple": 2,
    "both": 2,
    "single": 1,
    "dozen": 12,
}
ORDINALS = {word: number for number, word in enumerate(_RANKS.split(), start=1)}
_PATH_LIKE = re.compile(r"/\S+|[\w+-]+\.[a-z]{2,5}")
_IRREGULAR = {"knives": "knife", "shelves": "shelf", "loaves": "loaf", "keys": "key", "dvds": "dvd"}
_QUANTIFIERS = word_set(
    """the these those both all either neither every each no none any other others another remaining rest two three four
    five six my of only"""
)
_GENERIC = word_set("a an any some another every each")
_JOINS = word_set(", and or nor the a in on neither")
_NAMED = word_set("number numbered no nr labelled labeled marked called")
_HIGHEST = word_set("last higher highest final")
_LOWEST = word_set("lower lowest")
_AFTER_A_RANK = word_set("of that which is holds contains has one ones place spot position holding down from ,")


@dataclass(frozen=True, kw_only=True)
class SpotRef:
    """Words that stand for spots. `one_of`: for one of them, and the words do not say which. `exact`: by its number."""

    spots: tuple[Spot, ...]
    one_of: bool = False
    exact: bool = False


@dataclass(frozen=True, kw_only=True)
class ThingRef:
    """Words that stand for things of a kind. `number` is of a name, `count` says how many, `only` that there is one."""

    thing: str
    number: int | None = None
    count: int | None = None
    plural: bool = False


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """One sentence: its words with references put in, and what these stand for."""

    words: tuple[str, ...]
    spots: tuple[SpotRef, ...]
    things: tuple[ThingRef, ...]
    is_question: bool


def tokens_of(text: str) -> list[tuple[list[str], bool]]:
    """The words of each sentence, in small letters and without short forms, and whether it is a question."""
    text = f" {text.lower()} "
    for pattern, full in _SHORT_FORMS:
        text = pattern.sub(full, text)
    found, start = [], 0
    for end in _SENTENCE_END.finditer(text):
        found.append((text[start : end.start()], "?" in end.group()))
        start = end.end()
    found.append((text[start:], False))
    split = ((_TOKEN.findall(sentence), asks) for sentence, asks in found)
    return [([token.strip() for token in tokens], asks) for tokens, asks in split if tokens]


@lru_cache(maxsize=4096)
def singular(word: str) -> str:
    """A word without the ending of a plural."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith(("ches", "shes", "sses", "xes", "oes")):
        return word[:-2]
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us")) and len(word) > 2 else word


@dataclass(frozen=True, kw_only=True)
class Lexicon:
    """All that the words of one sight can stand for, by spelling without spaces."""

    groups: Mapping[str, str]
    things: Mapping[str, str]
    by_group: Mapping[str, tuple[Spot, ...]]
    names: Mapping[str, tuple[Spot, ...]]
    unknown: SpotKind | None = None
    longest: int = 4

    @classmethod
    def of(cls, sight: Sight) -> "Lexicon":
        """Order what a sight knows by spelling."""
        by_group: dict[str, list[Spot]] = {}
        names: dict[str, list[Spot]] = {}
        for spot in sight.spots:
            by_group.setdefault(spot.group, []).append(spot)
            for name in spot.names:
                names.setdefault(name.replace(" ", ""), []).append(spot)
        return cls(
            unknown=sight.unknown,
            groups=sight.groups,
            things=sight.things,
            by_group={group: tuple(spots) for group, spots in by_group.items()},
            names={name: tuple(spots) for name, spots in names.items()},
        )


class Reader:
    """Puts references into the sentences of one reason; remembers which group of spots was spoken of last."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        self.forget()

    def forget(self) -> None:
        """Begin anew: no group was spoken of, and "the first one" is of the only group that there is, if it is one."""
        groups = [group for group in self._lexicon.by_group if group]
        self._last_group = groups[0] if len(groups) == 1 else ""

    def read(self, tokens: Sequence[str], is_question: bool) -> Sentence:
        """One sentence with references in place of what it speaks of."""
        words, spots, things, position = list[str](), list[SpotRef](), list[ThingRef](), 0
        while position < len(tokens):
            ref, used = self._reference(tokens, position, words)
            if isinstance(ref, SpotRef):
                self._add_spot(ref, words, spots)
            elif ref is not None:
                words.append(f"#{len(things)}")
                things.append(ref)
            else:
                words.extend(tokens[position : position + used])
            position += used
        return Sentence(words=tuple(words), spots=tuple(spots), things=tuple(things), is_question=is_question)

    def _add_spot(self, ref: SpotRef, words: list[str], spots: list[SpotRef]) -> None:
        """Put a reference in, joined with one that stands before it in an enumeration."""
        back = len(words)
        while back and words[back - 1] in _JOINS:
            back -= 1
        joins = words[back:]
        if back and words[back - 1].startswith("@") and (not joins or {",", "and", "or", "nor"} & set(joins)):
            last = spots[-1]
            common = tuple(spot for spot in last.spots if spot in ref.spots)
            merged = common if not joins and common else tuple(dict.fromkeys((*last.spots, *ref.spots)))
            spots[-1] = SpotRef(spots=merged, one_of="or" in joins or last.one_of, exact=last.exact or ref.exact)
            del words[back:]
            return
        words.append(f"@{len(spots)}")
        spots.append(ref)

    def _reference(
        self, tokens: Sequence[str], position: int, before: Sequence[str]
    ) -> tuple[SpotRef | ThingRef | None, int]:
        """What the words from a position on stand for, and how many of them do."""
        lexicon = self._lexicon
        for size in range(min(lexicon.longest, len(tokens) - position), 0, -1):
            *head, last = tokens[position : position + size]
            if not last[0].isalnum() and last[0] != "/":
                continue
            plain, single = "".join((*head, last)), "".join((*head, singular(last)))
            if plain in lexicon.names:
                return SpotRef(spots=lexicon.names[plain], exact=len(lexicon.names[plain]) == 1), size
            key = single if single in lexicon.groups else plain
            if key in lexicon.groups:
                ref, more = self._spots(lexicon.groups[key], tokens, position + size, before, plain != single)
                if ref is not None or key not in lexicon.things:
                    return ref, size + more
            key = single if single in lexicon.things else plain
            if key in lexicon.things:
                return self._thing(lexicon.things[key], tokens, position + size, before, plain != single, size)
        if lexicon.unknown is not None and _PATH_LIKE.fullmatch(tokens[position]):
            return SpotRef(spots=(Spot(names=(tokens[position],), kind=lexicon.unknown),), exact=True), 1
        return self._by_number(tokens, position, before)

    def _by_number(self, tokens: Sequence[str], position: int, before: Sequence[str]) -> tuple[SpotRef | None, int]:
        """Spots of the group that was spoken of last: "the third one", "the one with number 2"."""
        word, group = tokens[position], self._last_group
        if not group:
            return None, 1
        following = tokens[position + 1] if position + 1 < len(tokens) else ","
        if word in ORDINALS and before[-1:] and before[-1] in ("the", "its", ",") and following in _AFTER_A_RANK:
            used = 2 if following in ("one", "ones", "place", "spot", "position") else 1
            return self._numbered(group, {ORDINALS[word]}), used
        if word in ("one", "ones") and before[-1:] and before[-1] in _HIGHEST:
            return self._numbered(group, self._ordinals(group, before)), 1
        if word == "number" and position + 1 < len(tokens) and value_of(tokens[position + 1]) is not None:
            return self._numbered(group, {value_of(tokens[position + 1])}), 2
        return None, 1

    def _spots(
        self, group: str, tokens: Sequence[str], following: int, before: Sequence[str], plural: bool
    ) -> tuple[SpotRef | None, int]:
        """The spots that a word for their group means where it stands."""
        self._last_group, spots = group, self._lexicon.by_group.get(group, ())
        numbers, used = _numbers_after(tokens, following)
        if numbers:
            chosen = tuple(spot for spot in spots if spot.number in numbers)
            return (SpotRef(spots=chosen, exact=True) if chosen else None), used
        ahead = tuple(before[-3:])
        ranks = self._ordinals(group, before)
        if ranks:
            return self._numbered(group, ranks), 0
        if plural or {"either", "neither", "every", "each", "no"} & set(ahead[-1:]):
            count = _count(before) if plural else None
            if count is not None and {"first", "top"} & set(ahead):
                return self._numbered(group, set(range(1, count + 1))), 0
            if count is not None and count != len(spots) and "one" not in ahead:
                return None, 0
            is_meant = bool(_QUANTIFIERS & set(ahead)) and ahead[-1:] != ("any",)
            one_of = "one" in ahead or "some" in ahead
            return (SpotRef(spots=spots, one_of=one_of) if is_meant and spots else None), 0
        if ahead and ahead[-1] in _GENERIC:
            return None, 0
        return (SpotRef(spots=spots) if len(spots) == 1 else None), 0

    def _ordinals(self, group: str, before: Sequence[str]) -> set[int]:
        """The numbers that ordinals before a word give: "the fifth and the sixth", "the last", "the higher"."""
        numbers, words = [spot.number or 0 for spot in self._lexicon.by_group.get(group, ())], list(before)
        if words[-1:] == ["numbered"]:
            words.pop()
        if not numbers or not words or words[-1] not in ORDINALS:
            is_last, is_first = (bool(words) and words[-1] in ends for ends in (_HIGHEST, _LOWEST))
            return {max(numbers)} if numbers and is_last else {min(numbers)} if numbers and is_first else set()
        found = set[int]()
        while words and (words[-1] in ORDINALS or words[-1] in ("and", "the", ",")):
            found |= {ORDINALS[one] for one in (words.pop(),) if one in ORDINALS}
        return found

    def _numbered(self, group: str, numbers: AbstractSet[int | None]) -> SpotRef | None:
        spots = tuple(spot for spot in self._lexicon.by_group.get(group, ()) if spot.number in numbers)
        return SpotRef(spots=spots, exact=True) if spots else None

    def _thing(
        self, thing: str, tokens: Sequence[str], following: int, before: Sequence[str], plural: bool, size: int
    ) -> tuple[ThingRef, int]:
        numbers, used = _numbers_after(tokens, following)
        return ThingRef(
            thing=thing, number=min(numbers, default=None), count=_count(before), plural=plural
        ), size + used


def plain(tokens: Sequence[str]) -> Sentence:
    """A sentence in which nothing is looked for."""
    return Sentence(words=tuple(tokens), spots=(), things=(), is_question=False)


def value_of(token: str) -> int | None:
    """The number that a word is, None where it is none."""
    return int(token) if token.isdigit() else NUMBERS.get(token)


def _numbers_after(tokens: Sequence[str], position: int) -> tuple[set[int], int]:
    """The numbers behind a name, as in "1", "number 2", "1 and 2", "1 through 3"; and how many words that takes."""
    start = position
    if position + 1 < len(tokens) and tokens[position] in _NAMED and value_of(tokens[position + 1]) is not None:
        position += 1
    first = value_of(tokens[position]) if position < len(tokens) else None
    if first is None or (tokens[position] in ("one", "both", "pair", "couple") and position == start):
        return set(), 0
    numbers, position = {first}, position + 1
    while position + 1 < len(tokens):
        step = 2 if tokens[position] == "," and tokens[position + 1] in ("and", "or", "nor") else 1
        following = value_of(tokens[position + step]) if position + step < len(tokens) else None
        if following is None or not tokens[position + step].isdigit():
            break
        if tokens[position] in ("to", "through", "thru", "until"):
            numbers |= set(range(max(numbers), min(following, 99) + 1))
        elif tokens[position] in (",", "and", "or", "nor"):
            numbers.add(following)
        else:
            break
        position += step + 1
    return numbers, position - start


def _count(before: Sequence[str]) -> int | None:
    """How many, as said before a thing: "three heads of", "2", "a pair of"."""
    for word in reversed(before[-3:]):
        if word in ("only", "single", "sole", "lone"):
            return 1
        if (word in NUMBERS and word != "zero") or word.isdigit():
            return value_of(word)
        if word in ("the", "a", "an", "my", "and", ","):
            return None
    return None
