"""What a reason claims, as relations: what is where, what is the right one, how many there are, in which state.

Claims are read from clauses by a small grammar (`grammar.py`) over references (`mentions.py`): a thing, a word like
"in", a spot; a spot, a word like "contains", a thing; and the same with pronouns, which stand for what was spoken of
last.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from leap_core.envs.sight import SpotKind
from leap_core.gate import grammar
from leap_core.gate.clauses import Clause, clauses_of
from leap_core.gate.mentions import Reader, SpotRef, tokens_of

_REFERENCES = re.compile(r"([@#])(\d+)")
_OFFERED = (SpotKind.ITEM, SpotKind.FILE)


class Relation(StrEnum):
    """What a claim says of a spot or a thing."""

    HOLDS = "holds"
    RIGHT = "right"
    """It is the one that is meant."""
    EMPTY = "empty"
    SKIPPED = "skipped"
    """It need not be looked into."""
    CLOSED = "closed"
    STATE = "state"
    """The thing is in it."""
    COUNT = "count"
    """There are so many of the thing."""
    FORESEEN = "foreseen"
    """The thing will be shown."""
    ELSEWHERE = "elsewhere"
    """The thing is in no other spot."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One relation that a clause states. `thing` is "" for whatever the goal asks for, `value` the word of a state."""

    relation: Relation
    clause: Clause
    spots: SpotRef | None = None
    thing: str = ""
    count: int = 0
    value: str = ""
    is_true: bool = True


class ClaimReader:
    """Reads the claims of one reason; remembers what pronouns stand for."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._spot: SpotRef | None = None
        self._thing = ""
        self._singles_out = self._foresees = False

    def start_at(self, command: str) -> None:
        """What "it" and "there" mean before the reason has named anything: what the command acts on."""
        for tokens, _ in tokens_of(command):
            refs = self._reader.read(tokens, is_question=False).spots
            common = [spot for spot in refs[0].spots if all(spot in ref.spots for ref in refs)] if refs else []
            self._spot = SpotRef(spots=tuple(common), exact=True) if common else refs[0] if refs else None
        self._reader.forget()

    def read(self, text: str) -> Iterator[Claim]:
        """All claims of a text, in order."""
        for tokens, is_question in tokens_of(text):
            self._singles_out = False
            for clause in clauses_of(self._reader.read(tokens, is_question=is_question)):
                yield from self._claims_of(clause)
                self._remember(clause)

    def _remember(self, clause: Clause) -> None:
        self._singles_out = self._singles_out or grammar.SINGLES_OUT.search(clause.text) is not None
        for role, number in _REFERENCES.findall(clause.text):
            if role == "@":
                self._spot = clause.sentence.spots[int(number)]
            else:
                self._thing = clause.sentence.things[int(number)].thing

    def _claims_of(self, clause: Clause) -> Iterator[Claim]:
        if "@" in clause.text and not _reads_what_is_shown(clause):
            yield from self._of_places(clause)
            yield from self._of_states(clause)
            yield from self._of_ranks(clause)
        if self._spot is not None:
            yield from self._of_pronouns(clause, self._spot)
        yield from self._of_offers(clause)
        yield from self._foreseen(clause)
        if "#" in clause.text:
            yield from _of_things(clause)

    def _holds(self, clause: Clause, match: re.Match[str], spots: SpotRef | None = None) -> Claim:
        """That the spot of a match, or else `spots`, holds the thing of the match, or else the last one."""
        groups, thing = match.groupdict(), self._thing
        if groups.get("thing") is not None:
            thing = clause.sentence.things[int(groups["thing"])].thing
        held_by = spots or clause.sentence.spots[int(match["spot"])]
        return Claim(relation=Relation.HOLDS, clause=clause, spots=held_by, thing=thing, is_true=not clause.denies)

    def _of_places(self, clause: Clause) -> Iterator[Claim]:
        """What is in which spot."""
        text = clause.text
        if _is_offered(clause) and (grammar.OF_THE_GOAL.search(text) or not grammar.SAYS_OF.search(text)):
            return
        for match in grammar.THING_IN_SPOT.finditer(text):
            if not _is_put(text, match) and not _is_sought(text, match):
                yield self._holds(clause, match)
        for match in grammar.SPOT_HAS_THING.finditer(text):
            if not grammar.PUTS.search(match.group()) and not grammar.FIRST_PERSON.search(match["between"]):
                yield self._holds(clause, match)
        for match in grammar.IT_IN_SPOT.finditer(text):
            if not grammar.PUTS.search(text[: match.end()]):
                yield self._holds(clause, match)
        for pattern in grammar.HOLDS:
            for match in pattern.finditer(text):
                yield self._holds(clause, match)

    def _of_states(self, clause: Clause) -> Iterator[Claim]:
        """Which spot is right, empty, closed or not worth a look."""
        text, spots = clause.text, clause.sentence.spots
        for match in (match for pattern in grammar.RIGHT for match in pattern.finditer(text)):
            yield Claim(
                relation=Relation.RIGHT, clause=clause, spots=spots[int(match["spot"])], is_true=not clause.denies
            )
        if (that := grammar.THAT_IS.search(text)) and (self._singles_out or _speaks_of(clause, SpotKind.FILE)):
            yield Claim(relation=Relation.RIGHT, clause=clause, spots=spots[int(that["spot"])])
        for match in (match for pattern in grammar.EMPTY for match in pattern.finditer(text)):
            yield Claim(relation=Relation.EMPTY, clause=clause, spots=spots[int(match["spot"])])
        for match in grammar.SHUT.finditer(text):
            yield _closed(clause, match, spots[int(match["spot"])])
        for match in (match for pattern in grammar.SKIPS for match in pattern.finditer(text)):
            yield Claim(relation=Relation.SKIPPED, clause=clause, spots=spots[int(match["spot"])], is_true=False)

    def _of_ranks(self, clause: Clause) -> Iterator[Claim]:
        """Which of the results that are not shown yet is meant: any but the first, or the first as the right one."""
        for number, ref in enumerate(clause.sentence.spots):
            if ref.spots[0].kind is SpotKind.RESULT and ref.exact and f"@{number} " in clause.text:
                is_first = ref.spots[0].number in (None, 1)
                if (not is_first or grammar.BEST.search(clause.text)) and not grammar.OF_THE_GOAL.search(clause.text):
                    yield Claim(relation=Relation.RIGHT, clause=clause, spots=ref)

    def _of_pronouns(self, clause: Clause, spot: SpotRef) -> Iterator[Claim]:
        """What is said of the spot that was spoken of last."""
        text, is_place = clause.text, spot.spots[0].kind is SpotKind.PLACE
        match = next((match for pattern in grammar.HELD_BY_IT if (match := pattern.search(text))), None)
        if match is None and "@" not in text:
            match = self._there(clause, is_place)
        if match is not None:
            yield self._holds(clause, match, spot)
        if "@" in text:
            return
        if is_place and (grammar.IT_IS_EMPTY.search(text) or grammar.NOT_IN_THOSE.search(text)):
            yield Claim(relation=Relation.EMPTY, clause=clause, spots=spot)
        if shut := grammar.DOOR_IS_SHUT.search(text):
            yield _closed(clause, shut, spot)
        if grammar.IT_IS_RIGHT.search(text):
            yield Claim(relation=Relation.RIGHT, clause=clause, spots=spot, is_true=not clause.denies)

    @staticmethod
    def _there(clause: Clause, is_place: bool) -> re.Match[str] | None:
        """What says that a thing is at the last spot: "the mug is there", "where the mug is", "where I get the mug"."""
        text = clause.text
        if match := grammar.THING_THERE.search(text):
            is_done = grammar.PUTS.search(text) or grammar.SEEKS.search(text)
            return match if not is_done and (is_place or not grammar.OF_THE_GOAL.search(text)) else None
        if clause.link != "where" or not is_place:
            return None
        return grammar.WHERE_THING.search(text) or grammar.WHERE_FETCHED.search(text)

    def _of_offers(self, clause: Clause) -> Iterator[Claim]:
        """What is said of an item or a file, in whatever words: that it has, is, comes in a thing."""
        text, own = clause.text, [number for role, number in _REFERENCES.findall(clause.text) if role == "@"]
        spot = clause.sentence.spots[int(own[0])] if own else self._spot
        if spot is None or spot.spots[0].kind not in _OFFERED or len(own) > 1 or not grammar.SAYS_OF.search(text):
            return
        if grammar.OF_THE_GOAL.search(text) or _is_shown(clause, spot.spots[0].kind):
            return
        goes_on = clause.link == "which" or grammar.CONTINUES.search(text) is not None
        if spot.spots[0].kind is SpotKind.ITEM and clause.link and not grammar.FIRST_PERSON.search(text):
            goes_on = True
        if own or goes_on:
            for thing in self._things_in(clause):
                yield Claim(relation=Relation.HOLDS, clause=clause, spots=spot, thing=thing, is_true=not clause.denies)

    def _foreseen(self, clause: Clause) -> Iterator[Claim]:
        """What is said of a page or an output that is still to come."""
        goes_on = self._foresees and clause.link == "," and not grammar.NEW_START.search(clause.text)
        said = grammar.WILL_SAY.search(clause.text)
        self._foresees = said is not None or goes_on
        if self._foresees and not grammar.OF_THE_GOAL.search(clause.text, said.end() if said else 0):
            for thing in self._things_in(clause):
                yield Claim(relation=Relation.FORESEEN, clause=clause, thing=thing, is_true=not clause.denies)

    def _things_in(self, clause: Clause) -> list[str]:
        numbers = [number for role, number in _REFERENCES.findall(clause.text) if role == "#"]
        named = [clause.sentence.things[int(number)].thing for number in numbers]
        return named or ([self._thing] if self._thing and grammar.HAS_THAT.search(clause.text) else [])


def _of_things(clause: Clause) -> Iterator[Claim]:
    """In which state a thing is, how many there are, and that there are none elsewhere."""
    text, things = clause.text, clause.sentence.things
    if match := grammar.NOWHERE_ELSE.search(text):
        thing = things[int(match["thing"] or match["other"])].thing
        yield Claim(relation=Relation.ELSEWHERE, clause=clause, thing=thing, is_true=False)
    if grammar.SEEKS.search(text):
        return
    for match in grammar.IN_STATE.finditer(text):
        thing = things[int(match["thing"])].thing
        yield Claim(relation=Relation.STATE, clause=clause, thing=thing, is_true=not clause.denies)
    if grammar.EXISTS.search(text):
        for role, number in _REFERENCES.findall(text):
            ref = things[int(number)] if role == "#" else None
            if ref is not None and ref.count is not None and ref.number is None:
                yield Claim(relation=Relation.COUNT, clause=clause, thing=ref.thing, count=ref.count)


def _closed(clause: Clause, match: re.Match[str], spots: SpotRef) -> Claim:
    is_shut = match["state"] in ("closed", "shut", "locked")
    return Claim(
        relation=Relation.CLOSED, clause=clause, spots=spots, value=match["state"], is_true=is_shut != clause.denies
    )


def _speaks_of(clause: Clause, kind: SpotKind) -> bool:
    return any(ref.spots[0].kind is kind for ref in clause.sentence.spots)


def _is_offered(clause: Clause) -> bool:
    return any(ref.spots[0].kind in _OFFERED for ref in clause.sentence.spots)


def _is_put(text: str, match: re.Match[str]) -> bool:
    """Whether a thing is brought to a spot, rather than being there. "The plate that I have to heat is in" says so."""
    states = list(grammar.STATE_VERB.finditer(match.group()))
    told = match.group()[states[-1].start() :] if states else match.group()
    return grammar.PUTS.search(text[: match.start()]) is not None or grammar.PUTS.search(told) is not None


def _is_sought(text: str, match: re.Match[str]) -> bool:
    """Whether a thing is only looked for at a spot: "I look for a mug in cabinet 3"."""
    is_said = grammar.STATE_VERB.search(match.group())
    return is_said is None and grammar.SEEKS.search(text[: match.start()]) is not None


def _reads_what_is_shown(clause: Clause) -> bool:
    return any(_is_shown(clause, ref.spots[0].kind) for ref in clause.sentence.spots if ref.spots[0].kind in _OFFERED)


def _is_shown(clause: Clause, kind: SpotKind) -> bool:
    """Whether a clause speaks of what a title or a listing shows, or repeats the task."""
    whole = f" {' '.join(clause.sentence.words)} "
    if grammar.IMPERATIVE.search(whole) or grammar.IMPERATIVE.search(clause.text):
        return True
    if grammar.NOT_SHOWN.search(whole):
        return False
    return grammar.SHOWN[kind].search(clause.text) is not None or grammar.SHOWN_BY.search(clause.around) is not None
