"""What a reason claims, as relations: what is where, what is the right one, how many there are, in which state.

Claims are read from clauses by a small grammar over references (`mentions.py`): a thing, a word like "in", a spot; a
spot, a word like "contains", a thing; and the same with pronouns, which stand for what was spoken of last.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from leap_core.envs.sight import Sight, Spot, SpotKind
from leap_core.gate.clauses import Clause, clauses_of
from leap_core.gate.mentions import Reader, SpotRef, ThingRef, tokens_of

_W = r"(?: (?![@#])[^\s]+)"
_BE = r"(?:is|are|was|were|be|been|being|lies?|lying|sits?|sitting|stands?|standing|waits?|waiting|rests?|resting|stays?|remains?)"
_IN = r"(?:in|on|inside|at|within|under|underneath|behind|atop|among|upon|over|off|from|beside)"
_HAVE = (
    r"(?:contains?|containing|holds?|holding|has|have|having|had|houses?|stores?|storing|hides?|hiding|keeps?|keeping|carries|"
    r"bears?|with|shows?|includes?|including|offers?|offering|lists?|got|comes? (?:in|with)|provides?|gives?|covers?|"
    r"features?|sells?)"
)
_WANTED = (
    r"(?:it|one|them|what i need|what i want|what i am looking for|what i am after|the (?:target|object|item|thing|goal)"
    r"(?: i need| that i need)?|my (?:target|object|item)|the right (?:one|thing|object))"
)
_RIGHT = (
    r"(?:the (?:\w+ )?(?:one|answer|target|winner|match)|(?:the )?(?:right|correct|actual|true|intended|exact|real|proper|"
    r"wanted|desired|required) (?:\w+ )?(?:one|place|spot|choice|location|receptacle|container|item|product|answer|"
    r"result|option|match|drawer|cabinet|shelf|desk)|correct|right|where (?:i|we) (?:need|have|must|should))"
)
_THING_IN_SPOT = re.compile(rf"#(\d+)({_W}{{0,9}}?) {_IN}({_W}{{0,4}}?) @(\d+)")
_SPOT_HAS_THING = re.compile(rf"@(\d+)({_W}{{0,7}}?) {_HAVE}({_W}{{0,6}}?) #(\d+)")
_SPOT_HAS_IT = re.compile(rf"@(\d+)({_W}{{0,5}}?) (?:contains?|holds?|has|have|got|hides?) (?:\w+ )?{_WANTED} ")
_IT_IN_SPOT = re.compile(rf"(?:^| )(?:it|they|one|that|them|which|both|all|each|some|{_WANTED})( \w+)?( {_BE})({_W}{{0,4}}?) {_IN}({_W}{{0,4}}?) @(\d+)")
_PRONOUN_HAS_THING = re.compile(rf"^ (?:it|that|this|this one|that one|which|the \w+ one|they|these|those)({_W}{{0,4}}?) {_HAVE}({_W}{{0,5}}?) #(\d+)")
_PRONOUN_HAS_IT = re.compile(rf"^ (?:it|that|this|this one|that one|which|the \w+ one)({_W}{{0,3}}?) (?:contains?|holds?|has|have|hides?) (?:\w+ )?{_WANTED} ")
_THING_THERE = re.compile(
    rf"#(\d+)({_W}{{0,5}}?) (?:there|inside|in it|in there|on it|on top|in that one|in this one|inside it|in here|behind that door|"
    r"behind the door|behind its door) "
)
_FETCHED = re.compile(
    rf"@(\d+).* (?:grab|get|fetch|take|pick up|collect|retrieve|pick)({_W}{{0,4}}?) #(\d+)({_W}{{0,3}}?) (?:from inside|from it|from there|out of it|there) "
)
_SPOT_IS_RIGHT = re.compile(rf"@(\d+)({_W}{{0,3}}?) (?:is|was|are|must be|will be|be)({_W}{{0,2}}?) {_RIGHT} ")
_RIGHT_IS_SPOT = re.compile(rf"(?: {_RIGHT}({_W}{{0,6}}?) (?:is|are|must be|has to be|will be|would be)|it is)({_W}{{0,3}}?) @(\d+)")
_PRONOUN_IS_RIGHT = re.compile(rf"^ (?:it|that|this|this one|that one|which|and that) (?:is|must be|will be)({_W}{{0,2}}?) {_RIGHT} ")
_EMPTY = re.compile(
    rf"@(\d+)({_W}{{0,5}}?) (?:empty|bare|vacant|empties)\b|@(\d+)({_W}{{0,4}}?) (?:contains?|holds?|has|have|shows?)(?: \w+){{0,2}} (?:nothing|none)\b|"
    rf"\b(?:nothing|none|no(?:thing)? \w+)({_W}{{0,5}}?) {_IN}({_W}{{0,4}}?) @(\d+)"
)
_SHUT = re.compile(rf"@(\d+)({_W}{{0,4}}?) (?:is|are|was|were|being|stays?|stands?|remains?)({_W}{{0,4}}?) (closed|shut|locked|open|opened|unlocked)\b")
_STATES = r"(?:clean|cleaned|washed|dirty|hot|heated|warm|warmed|cold|cool|cooled|chilled|frozen|sliced|cut|full|broken)"
_IN_STATE = re.compile(rf"#(\d+)({_W}{{0,4}}?) (?:is|are|was|were|being|kept|stays?)({_W}{{0,3}}?) {_STATES}\b")
_PUTS = re.compile(
    r"\b(put|puts|putting|place|placing|move|moves|moving|moved|bring|bringing|deliver|delivering|store it|set|drop|"
    r"return|carry|carrying|transfer|go in|go on|fit|cool|heat|clean|wash|rinse|chill|warm|microwave|use|examine it)\b"
)
_SEEKS = re.compile(
    r"\b(look|looking|looks|search|searching|check|checking|hunt|seek|seeking|try|trying|need|want|hope|hoping|ask(?:s|ed)? for|"
    r"wants|asks|see if|must|have to|has to|task)\b(?! (?:is|be)\b)"
)
_EXISTS = re.compile(r"\b(there (?:is|are|will be)|room|kitchen|house|apartment|bathroom|bedroom|exists?|in total|altogether|here)\b")
_SKIPS = re.compile(
    r"\b(skip\w*|ignor\w+|bypass\w*|pass over|leave out|rule out|rul(?:e|es|ed|ing) out|exclud\w+|avoid|disregard|do not matter|"
    r"no (?:need|point|use|reason|sense)|not (?:need|have to|worth|necessary|bother|help)|need not|wast\w+|pointless|"
    r"useless|needless|irrelevant|unnecessary|fruitless|dead ends?|not (?:the )?(?:right|correct))\b"
)
_GROUNDS = re.compile(
    r"\b(unlikely|usually|rarely|seldom|hardly|belong\w*|typical\w*|normally|later|first|yet|now|before|already|seen|saw|"
    r"searched|checked|looked|opened|visited|again|odd|strange|would|probably|more likely|less likely|tend|often|rather)\b"
)


class Relation(StrEnum):
    """What a claim says of a spot or a thing."""

    HOLDS = "holds"
    RIGHT = "right"
    EMPTY = "empty"
    SKIPPED = "skipped"
    CLOSED = "closed"
    STATE = "state"
    COUNT = "count"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One relation that a clause states. `thing` is "" for whatever the goal asks for, `count` of COUNT alone."""

    relation: Relation
    clause: Clause
    spots: SpotRef | None = None
    thing: str = ""
    count: int = 0
    is_true: bool = True
    value: str = ""


class ClaimReader:
    """Reads the claims of one reason; remembers what pronouns stand for."""

    def __init__(self, reader: Reader, sight: Sight) -> None:
        self._reader, self._sight = reader, sight
        self._spot: SpotRef | None = None
        self._thing = ""
        self._denied_before = False

    def read(self, text: str) -> Iterator[Claim]:
        """All claims of a text, in order."""
        for tokens, is_question in tokens_of(text):
            sentence = self._reader.read(tokens, is_question)
            for clause in clauses_of(sentence):
                yield from self._claims_of(clause)
                self._remember(clause)

    def _remember(self, clause: Clause) -> None:
        for role, number in re.findall(r"([@#])(\d+)", clause.text):
            if role == "@":
                self._spot = clause.sentence.spots[int(number)]
            else:
                self._thing = clause.sentence.things[int(number)].thing

    def _claims_of(self, clause: Clause) -> Iterator[Claim]:
        text = clause.text
        if "@" in text:
            yield from self._of_spots(clause)
        if "#" in text or self._spot is not None:
            yield from self._of_pronouns(clause)
        if "#" in text:
            yield from self._of_things(clause)

    def _of_spots(self, clause: Clause) -> Iterator[Claim]:
        text, spots, things = clause.text, clause.sentence.spots, clause.sentence.things
        denied = not clause.denies
        for match in _THING_IN_SPOT.finditer(text):
            if not _PUTS.search(text[: match.end()]) and not self._only_seeks(text, match):
                thing = things[int(match[1])].thing
                yield Claim(relation=Relation.HOLDS, clause=clause, spots=spots[int(match[4])], thing=thing, is_true=denied)
        for match in _SPOT_HAS_THING.finditer(text):
            if not _PUTS.search(text[match.start() : match.end()]):
                thing = things[int(match[4])].thing
                yield Claim(relation=Relation.HOLDS, clause=clause, spots=spots[int(match[1])], thing=thing, is_true=denied)
        for match in _SPOT_HAS_IT.finditer(text):
            yield Claim(relation=Relation.HOLDS, clause=clause, spots=spots[int(match[1])], thing=self._thing, is_true=denied)
        for match in _IT_IN_SPOT.finditer(text):
            if not _PUTS.search(text[: match.end()]):
                yield Claim(relation=Relation.HOLDS, clause=clause, spots=spots[int(match[5])], thing=self._thing, is_true=denied)
        for match in _FETCHED.finditer(text):
            yield Claim(
                relation=Relation.HOLDS, clause=clause, spots=spots[int(match[1])], thing=things[int(match[3])].thing,
                is_true=denied,
            )  # fmt: skip
        yield from self._of_states(clause)

    def _of_states(self, clause: Clause) -> Iterator[Claim]:
        text, spots = clause.text, clause.sentence.spots
        for match in _SPOT_IS_RIGHT.finditer(text):
            yield Claim(relation=Relation.RIGHT, clause=clause, spots=spots[int(match[1])], is_true=not clause.denies)
        for match in _RIGHT_IS_SPOT.finditer(text):
            yield Claim(relation=Relation.RIGHT, clause=clause, spots=spots[int(match[3])], is_true=not clause.denies)
        for match in _EMPTY.finditer(text):
            number = next(value for value in (match[1], match[3], match[7]) if value)
            yield Claim(relation=Relation.EMPTY, clause=clause, spots=spots[int(number)])
        for match in _SHUT.finditer(text):
            yield Claim(
                relation=Relation.CLOSED, clause=clause, spots=spots[int(match[1])], value=match[4],
                is_true=("open" not in match[4] and "unlocked" != match[4]) != clause.denies,
            )  # fmt: skip
        if _SKIPS.search(text):
            for number in re.findall(r"@(\d+)", text):
                yield Claim(relation=Relation.SKIPPED, clause=clause, spots=spots[int(number)], is_true=False)

    def _of_pronouns(self, clause: Clause) -> Iterator[Claim]:
        text, things, spot = clause.text, clause.sentence.things, self._spot
        if spot is None:
            return
        held = None
        if match := _PRONOUN_HAS_THING.search(text):
            held = things[int(match[3])].thing
        elif _PRONOUN_HAS_IT.search(text):
            held = self._thing
        elif match := _THING_THERE.search(text):
            if not _PUTS.search(text) and not _SEEKS.search(text) and "@" not in text:
                held = things[int(match[1])].thing
        elif clause.link == "where" and (match := re.search(rf"#(\d+)({_W}{{0,4}}?) {_BE} ", text)) and "@" not in text:
            held = things[int(match[1])].thing
        elif clause.link == "where" and re.search(rf"^ (?:it|they|one) {_BE} ", text):
            held = self._thing
        if held is not None:
            yield Claim(relation=Relation.HOLDS, clause=clause, spots=spot, thing=held, is_true=not clause.denies)
        if _PRONOUN_IS_RIGHT.search(text) and "@" not in text:
            yield Claim(relation=Relation.RIGHT, clause=clause, spots=spot, is_true=not clause.denies)

    def _of_things(self, clause: Clause) -> Iterator[Claim]:
        text, things = clause.text, clause.sentence.things
        for match in _IN_STATE.finditer(text):
            if not _SEEKS.search(text):
                yield Claim(relation=Relation.STATE, clause=clause, thing=things[int(match[1])].thing, is_true=not clause.denies)
        if _EXISTS.search(text) and not _SEEKS.search(text):
            for number in re.findall(r"#(\d+)", text):
                count = things[int(number)].count
                if count is not None and things[int(number)].number is None:
                    yield Claim(relation=Relation.COUNT, clause=clause, thing=things[int(number)].thing, count=count)

    @staticmethod
    def _only_seeks(text: str, match: re.Match[str]) -> bool:
        """Whether a thing is only looked for at a spot: "I look for a mug in cabinet 3"."""
        states = re.search(rf" {_BE} ", match.group())
        return states is None and _SEEKS.search(text[: match.start()]) is not None
