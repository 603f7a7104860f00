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
_IN = r"(?:in|on|inside|at|within|under|underneath|behind|atop|among|upon|over|off|from|out of|beside)"
_HAVE = (
    r"(?:contains?|containing|holds?|holding|has|have|having|had|houses?|stores?|storing|hides?|hiding|keeps?|keeping|carries|"
    r"bears?|shows?|includes?|including|offers?|offering|lists?|got|comes? (?:in|with)|provides?|gives?|covers?|"
    r"features?|sells?)"
)
_WANTED = (
    r"(?:it|one|them|what i need|what i want|what i am looking for|what i am after|the (?:target|object|item|thing|goal)"
    r"(?: i need| that i need)?|(?:one|two|both|all|some|three) of (?:them|these|those)|my (?:target|object|item)|the right (?:one|thing|object))"
)
_RIGHT = (
    r"(?:the (?:right |correct |only |actual |very )?(?:one|answer|target|winner)(?! (?:i|to|we|that i|which i)\b)|"
    r"what (?:the user|the task|they|the shopper|the customer) (?:really |actually )?(?:wants?|needs?|means?|asks?(?: for)?)|"
    r"(?:the )?(?:\w+ )?(?:ones?|files?|items?|listings?|results?|products?) that (?:fits?|matches|match|qualif\w+|is right|is correct|is meant)|"
    r"(?:the )?(?:target|gold|reference) (?:item|product|place|object|file)|(?:the )?(?:\w+ )?(?:ones?|files?|\w+s) (?:that )?i am after|(?:the )?(?:right|correct|actual|true|intended|exact|real|proper|"
    r"wanted|desired|required) (?:\w+ )?(?:one|place|spot|choice|location|receptacle|container|item|product|answer|"
    r"result|option|match|drawer|cabinet|shelf|desk)|correct|right|where (?:i|we) (?:need|have|must|should))"
)
_THING_IN_SPOT = re.compile(rf"#(\d+)({_W}{{0,9}}?) {_IN}({_W}{{0,4}}?) @(\d+)")
_SPOT_HAS_THING = re.compile(rf"@(\d+)({_W}{{0,7}}?) {_HAVE}({_W}{{0,6}}?) #(\d+)")
_SPOT_HAS_IT = re.compile(rf"@(\d+)({_W}{{0,5}}?) (?:contains?|holds?|has|have|got|hides?) (?:\w+ )?{_WANTED} ")
_IT_IN_SPOT = re.compile(
    rf"(?:^| )(?:it|they|one|that|them|which|both|all|each|some|the others?|the two|the ones?|{_WANTED})( \w+)?( {_BE})({_W}{{0,4}}?) {_IN}"
    rf"({_W}{{0,4}}?) @(\d+)"
)
_PRONOUN_HAS_THING = re.compile(rf"^ (?:it|that|this|this one|that one|which|the \w+ one|they|these|those)({_W}{{0,4}}?) {_HAVE}({_W}{{0,5}}?) #(\d+)")
_PRONOUN_HAS_IT = re.compile(rf"^ (?:it|that|this|this one|that one|which|the \w+ one)({_W}{{0,3}}?) (?:contains?|holds?|has|have|hides?) (?:\w+ )?{_WANTED} ")
_THING_THERE = re.compile(
    rf"#(\d+)({_W}{{0,5}}?) (?:there|inside|in it|in there|on it|on top|in that one|in this one|inside it|in here|behind that door|"
    r"behind the door|behind its door) "
)
_FETCHED = re.compile(
    rf"@(\d+).* (?:grab|get|fetch|take|pick up|collect|retrieve|pick)({_W}{{0,4}}?) #(\d+)({_W}{{0,3}}?) (?:from inside|from it|from there|out of it|there|inside|in it) "
)
_INVERTED = re.compile(
    rf" {_IN}(?: the| my)? @(\d+)(?: there)? (?:is|are|will be|must be|lies?|sits?|stands?)({_W}{{0,5}}?) #(\d+)"
)
_SHARES = re.compile(rf"#(\d+)({_W}{{0,3}}?) (?:shares?|occupies|occupy|fills?|lives? (?:in|on))(?: the)? @(\d+)")
_HERE_INVERTED = re.compile(
    rf"^ (?:behind|in|inside|on) (?:this|that|the|its|it|here|there)(?: door| one| place)?(?: there)? (?:is|are)({_W}{{0,4}}?) #(\d+)"
)
_BOTH_IN_SPOT = re.compile(rf"^ (?:both|one|two|all|each|the other)(?: of them| one)? {_IN}(?: the)? @(\d+)")
_NOWHERE_ELSE = re.compile(rf"#(\d+)({_W}{{0,4}}?) (?:nowhere|not(?: \w+)? anywhere) else ")
_BEST = re.compile(
    r"(?:best|right|correct|one|wanted|match|answer|fits?|buy).* @(\d+)|@(\d+).* (?:best|right|correct|the one|wanted|match|answer|fits?|to buy)\b"
)
_WILL_SEE = re.compile(
    rf"@(\d+)({_W}{{0,6}}?) (?:going to|will|shall)({_W}{{0,2}}?) (?:see|find|spot|get|have|discover|meet)({_W}{{0,4}}?) #(\d+)"
)
_HOLDS_NOTHING = re.compile(
    r"^ (?:it|that|this|this one|that one|which|there|they) (?:is|are|was|were|has|have|holds?|contains?|will|turns? out|stands?)"
    r"(?: \w+){0,5}? (?:empty|bare|nothing) |^ (?:is|are|was) (?:\w+ )?empty |nothing (?:in|inside|on) (?:it|them|there|either) "
)
_IN_THOSE = re.compile(rf"\b(?:no|not|none|nothing)\b.* {_IN} (?:any of |all of |one of )?(?:those|these|them|it|there) ")
_DOOR_SHUT = re.compile(r"\b(?:its door|the door|it|which) (?:is|stands|was|stays)( \w+){0,2}? (closed|shut|locked|open) ")
_WHERE_THING = re.compile(rf"#(\d+)({_W}{{0,4}}?) {_BE} |\b(?:find|get|take|grab|pick|fetch|pick up)\b{_W}{{0,3}}? #(\d+)")
_SPOT_IS_RIGHT = re.compile(rf"@(\d+)({_W}{{0,3}}?) (?:is|was|are|must be|will be|be)({_W}{{0,2}}?) {_RIGHT} ")
_RIGHT_IS_SPOT = re.compile(rf"(?: {_RIGHT}({_W}{{0,6}}?) (?:is|are|must be|has to be|will be|would be)|it is)({_W}{{0,3}}?) @(\d+)")
_THAT_IS = re.compile(r"^ (?:it|that|this) (?:is|must be)(?: \w+){0,2} @(\d+) $")
_IT_IS_THIS = re.compile(
    rf" it is{_W}{{0,2}} @(\d+)(?: that| which)?{_W}{{0,3}} (?:correct|right|wanted|meant|intended|real|needed) "
)
_HAS_PRONOUN = re.compile(r"\b(?:has|have|offers?|supports?|lacks?|meets?|is|are) (?:one|it|that|this|them|both|all three)\b")
_PRONOUN_IS_RIGHT = re.compile(rf"^ (?:it|that|this|this one|that one|which|and that) (?:is|must be|will be)({_W}{{0,2}}?) {_RIGHT} ")
_EMPTY = re.compile(
    rf"@(\d+)({_W}{{0,5}}?) with nothing\b|@(\d+)({_W}{{0,5}}?) (?:empty|bare|vacant|empties)\b|@(\d+)({_W}{{0,4}}?) (?:contains?|holds?|has|have|shows?)(?: \w+){{0,2}} (?:nothing|none)\b|"
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
    r"\b(?:skip\w*|ignor\w+|bypass\w*|pass over|leave out|leave|rule out|rul(?:e|es|ed|ing) out|exclud\w+|avoid|disregard|"
    r"no (?:need|point|use|reason|sense)|not (?:need|have to|worth|necessary|bother|help)|need not|wast\w+|pointless|"
    r"useless|needless|irrelevant|unnecessary|fruitless)(?: (?!go|straight|head|move|and|until|before|@)\w+){0,5} @(\d+)|"
    r"@(\d+)(?: \w+){0,4} (?:skipped|ignored|dropped|left out|ruled out|excluded|irrelevant|useless|pointless|unnecessary|"
    r"(?:a )?(?:waste|wasted|lookalike|decoy|dead end|red herring|distraction)|not (?:the )?(?:right|correct)) "
)
_GROUNDS = re.compile(
    r"\b(unlikely|usually|rarely|seldom|hardly|belong\w*|typical\w*|normally|later|first|yet|now|before|already|seen|saw|"
    r"searched|checked|looked|opened|visited|again|odd|strange|would|probably|more likely|less likely|tend|often|rather)\b"
)


_EVIDENCE = {
    SpotKind.ITEM: re.compile(
        r"\b(titles?|says?|said|mentions?|mentioned|listed|listing|listings|showed|shown|shows|read|told me|gave|in the name)\b"
    ),
    SpotKind.FILE: re.compile(r"\b(listings?|listed|output|printed|showed|shown|shows|saw|seen|names|name)\b"),
}
_EVIDENCE[SpotKind.RESULT] = _EVIDENCE[SpotKind.ITEM]
_SHOWN_BY = re.compile(r"\b(?:titles?|name|names|listings?|output)\b")
_NOT_SHOWN = re.compile(
    r"\b(?:even (?:if|though)|although|though)\b.*\b(?:title|name)\b|\b(?:title|name|listing)s?(?: \w+)? (?:not|leaves?|omits?|hides?|cut|stops)\b"
)
_GOAL = re.compile(
    r"\b(tasks?|instruction|asks?|asked|wanted|want|wants|need|needs|needed|requests?|requested|requirements?|required|looking for|"
    r"user|goal|must|(?:i|we|let me|let us|to|and) (?:\w+ )?(?:choose|pick|select|set|click|search|grep|cut|sort|list|print|count|"
    r"filter|run|pipe|use|look|check|read|open|take|find|see|cat|head|delete|remove|copy))\b|"
    r"\b(grep|awk|sed|find|sort|uniq|wc|cut|tail|head|cat|ls|xargs|glob|pattern|command|pipe|pipeline|option|flag|regex)\b"
)
_IMPERATIVE = re.compile(r"^ (?:list|print|count|delete|find|copy|make|create|show|display|search) ")
_STATES_OF = re.compile(
    r"\b(is|are|was|were|has|have|had|lacks?|sells?|comes?|offers?|offered|contains?|holds?|lists?|covers?|includes?|supports?|sold|made|available|"
    r"in stock|out of stock|lets|does|do|carries|features?|keeps?|meets?|begins?|starts?|ends?|uses?|separated|goes?|go|past|appears?|"
    r"shows? up|occurs?|can be)\b"
)
_FUTURE = re.compile(r"\b(?:will|going to|shall)(?: \w+)? (?:say|list|show|mention|talk|tell|state|have|return|give|confirm|print|be)\b")
_FIRST = re.compile(r" (?:i|we|me|my) ")
_CONTINUES = re.compile(r"^ (?:it|its|this|that|they|their|both|these|which|also|and|the (?:page|details|features|description|item|one|others?|file))\b")


class Relation(StrEnum):
    """What a claim says of a spot or a thing."""

    HOLDS = "holds"
    RIGHT = "right"
    EMPTY = "empty"
    SKIPPED = "skipped"
    CLOSED = "closed"
    STATE = "state"
    COUNT = "count"
    FORESEEN = "foreseen"
    ELSEWHERE = "elsewhere"


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


def _is_file(clause: Clause) -> bool:
    return any(ref.spots[0].kind is SpotKind.FILE for ref in clause.sentence.spots)


def _is_put(text: str, match: re.Match[str]) -> bool:
    """Whether a thing is brought to a spot, rather than being there. "The plate that I have to heat is in" says so."""
    states = list(re.finditer(rf" {_BE} ", match.group()))
    told = match.group()[states[-1].start() :] if states else match.group()
    return _PUTS.search(text[: match.start()]) is not None or _PUTS.search(told) is not None


def _is_read(clause: Clause, kind: SpotKind) -> bool:
    """Whether a clause speaks of what a title or a listing shows, or repeats the task."""
    whole = f" {' '.join(clause.sentence.words)} "
    if _IMPERATIVE.search(whole):
        return True
    if _NOT_SHOWN.search(whole):
        return False
    return _EVIDENCE[kind].search(clause.text) is not None or _SHOWN_BY.search(whole) is not None


class ClaimReader:
    """Reads the claims of one reason; remembers what pronouns stand for."""

    def __init__(self, reader: Reader, sight: Sight) -> None:
        self._reader, self._sight = reader, sight
        self._spot: SpotRef | None = None
        self._thing = ""
        self._singled_out = self._foresees = False

    def read(self, text: str) -> Iterator[Claim]:
        """All claims of a text, in order."""
        for tokens, is_question in tokens_of(text):
            sentence = self._reader.read(tokens, is_question)
            self._singled_out = False
            for clause in clauses_of(sentence):
                yield from self._claims_of(clause)
                self._remember(clause)

    def start_at(self, command: str) -> None:
        """What "it" and "there" mean before the reason has named anything: what the command acts on."""
        for tokens, _ in tokens_of(command):
            spots = self._reader.read(tokens, False).spots
            self._spot = spots[0] if spots else None
        self._reader.forget()

    def _remember(self, clause: Clause) -> None:
        self._singled_out = self._singled_out or re.search(r" (?:only|one|single) ", clause.text) is not None
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
        yield from self._of_offers(clause)
        yield from self._foreseen(clause)
        if "#" in text:
            yield from self._of_things(clause)

    def _of_offers(self, clause: Clause) -> Iterator[Claim]:
        """What is said of an item or a file, in whatever words: that it has, is, comes in a thing."""
        text, own = clause.text, re.findall(r"@(\d+)", clause.text)
        spot = clause.sentence.spots[int(own[0])] if own else self._spot
        if spot is None or spot.spots[0].kind not in (SpotKind.ITEM, SpotKind.FILE) or len(own) > 1:
            return
        if _GOAL.search(text) or not _STATES_OF.search(text) or _is_read(clause, spot.spots[0].kind):
            return
        is_item = spot.spots[0].kind is SpotKind.ITEM
        if own or _CONTINUES.search(text) or clause.link == "which" or (is_item and clause.link and not _FIRST.search(text)):
            for thing in self._things_in(clause):
                yield Claim(relation=Relation.HOLDS, clause=clause, spots=spot, thing=thing, is_true=not clause.denies)

    def _foreseen(self, clause: Clause) -> Iterator[Claim]:
        """What is said of a page or an output that is still to come."""
        self._foresees = _FUTURE.search(clause.text) is not None or (
            self._foresees and clause.link == "," and not re.search(r"\b(is|are|i|so|has|have)\b", clause.text)
        )
        if self._foresees and not _GOAL.search(clause.text):
            for thing in self._things_in(clause):
                yield Claim(relation=Relation.FORESEEN, clause=clause, thing=thing, is_true=not clause.denies)

    def _things_in(self, clause: Clause) -> list[str]:
        named = [clause.sentence.things[int(number)].thing for number in re.findall(r"#(\d+)", clause.text)]
        return named or ([self._thing] if self._thing and _HAS_PRONOUN.search(clause.text) else [])

    def _of_spots(self, clause: Clause) -> Iterator[Claim]:
        text, spots, things = clause.text, clause.sentence.spots, clause.sentence.things
        denied = not clause.denies
        if any(ref.spots[0].kind is not SpotKind.PLACE and _is_read(clause, ref.spots[0].kind) for ref in spots):
            return
        for match in _THING_IN_SPOT.finditer(text):
            if not _is_put(text, match) and not self._only_seeks(text, match):
                thing = things[int(match[1])].thing
                yield Claim(relation=Relation.HOLDS, clause=clause, spots=spots[int(match[4])], thing=thing, is_true=denied)
        for match in _SPOT_HAS_THING.finditer(text):
            if not _PUTS.search(match.group()) and not re.search(r"\b(?:i|we|you)\b", match[2]):
                thing = things[int(match[4])].thing
                yield Claim(relation=Relation.HOLDS, clause=clause, spots=spots[int(match[1])], thing=thing, is_true=denied)
        for match in _SPOT_HAS_IT.finditer(text):
            yield Claim(relation=Relation.HOLDS, clause=clause, spots=spots[int(match[1])], thing=self._thing, is_true=denied)
        for match in _IT_IN_SPOT.finditer(text):
            if not _PUTS.search(text[: match.end()]):
                yield Claim(relation=Relation.HOLDS, clause=clause, spots=spots[int(match[5])], thing=self._thing, is_true=denied)
        for match in _WILL_SEE.finditer(text):
            thing = things[int(match[5])].thing
            yield Claim(relation=Relation.HOLDS, clause=clause, spots=spots[int(match[1])], thing=thing, is_true=denied)
        for match in _FETCHED.finditer(text):
            yield Claim(
                relation=Relation.HOLDS, clause=clause, spots=spots[int(match[1])], thing=things[int(match[3])].thing,
                is_true=denied,
            )  # fmt: skip
        for pattern in (_INVERTED, _SHARES):
            for match in pattern.finditer(text):
                spot, thing = (match[1], match[3]) if pattern is _INVERTED else (match[3], match[1])
                yield Claim(
                    relation=Relation.HOLDS, clause=clause, spots=spots[int(spot)], thing=things[int(thing)].thing,
                    is_true=denied,
                )  # fmt: skip
        if match := _BOTH_IN_SPOT.search(text):
            yield Claim(relation=Relation.HOLDS, clause=clause, spots=spots[int(match[1])], thing=self._thing, is_true=denied)
        yield from self._of_states(clause)
        yield from self._of_ranks(clause)

    def _of_ranks(self, clause: Clause) -> Iterator[Claim]:
        """Which of the results that are not shown yet is meant: any but the first, or the first as the right one."""
        for number, ref in enumerate(clause.sentence.spots):
            if ref.spots[0].kind is SpotKind.RESULT and ref.exact and f"@{number} " in clause.text:
                is_first = ref.spots[0].number in (None, 1)
                if (not is_first or _BEST.search(clause.text)) and not _GOAL.search(clause.text):
                    yield Claim(relation=Relation.RIGHT, clause=clause, spots=ref)

    def _of_states(self, clause: Clause) -> Iterator[Claim]:
        text, spots = clause.text, clause.sentence.spots
        for match in _SPOT_IS_RIGHT.finditer(text):
            yield Claim(relation=Relation.RIGHT, clause=clause, spots=spots[int(match[1])], is_true=not clause.denies)
        for match in _RIGHT_IS_SPOT.finditer(text):
            yield Claim(relation=Relation.RIGHT, clause=clause, spots=spots[int(match[3])], is_true=not clause.denies)
        for match in (*_IT_IS_THIS.finditer(text), *(_THAT_IS.finditer(text) if self._singled_out or _is_file(clause) else ())):
            yield Claim(relation=Relation.RIGHT, clause=clause, spots=spots[int(match[1])], is_true=True)
        for match in _EMPTY.finditer(text):
            number = next(match[group] for group in (1, 3, 5, 9) if match[group])
            yield Claim(relation=Relation.EMPTY, clause=clause, spots=spots[int(number)])
        for match in _SHUT.finditer(text):
            yield Claim(
                relation=Relation.CLOSED, clause=clause, spots=spots[int(match[1])], value=match[4],
                is_true=("open" not in match[4] and "unlocked" != match[4]) != clause.denies,
            )  # fmt: skip
        for match in _SKIPS.finditer(text):
            yield Claim(relation=Relation.SKIPPED, clause=clause, spots=spots[int(match[1] or match[2])], is_true=False)

    def _of_pronouns(self, clause: Clause) -> Iterator[Claim]:
        text, things, spot = clause.text, clause.sentence.things, self._spot
        if spot is None:
            return
        held = None
        if match := _PRONOUN_HAS_THING.search(text):
            held = things[int(match[3])].thing
        elif _PRONOUN_HAS_IT.search(text):
            held = self._thing
        elif match := _HERE_INVERTED.search(text):
            held = things[int(match[2])].thing
        elif match := _THING_THERE.search(text):
            is_done = _PUTS.search(text) or _SEEKS.search(text) or "@" in text
            if not is_done and (spot.spots[0].kind is SpotKind.PLACE or not _GOAL.search(text)):
                held = things[int(match[1])].thing
        elif spot.spots[0].kind is not SpotKind.PLACE:
            pass
        elif clause.link == "where" and (match := _WHERE_THING.search(text)) and "@" not in text:
            held = things[int(match[1] or match[3])].thing
        elif clause.link == "where" and re.search(rf"^ (?:it|they|one) {_BE} ", text):
            held = self._thing
        if held is not None:
            yield Claim(relation=Relation.HOLDS, clause=clause, spots=spot, thing=held, is_true=not clause.denies)
        if "@" not in text:
            yield from self._of_pronoun_states(clause, spot)

    def _of_pronoun_states(self, clause: Clause, spot: SpotRef) -> Iterator[Claim]:
        text = clause.text
        if spot.spots[0].kind is SpotKind.PLACE and (
            _HOLDS_NOTHING.search(text) or (_IN_THOSE.search(text) and "#" in text)
        ):
            yield Claim(relation=Relation.EMPTY, clause=clause, spots=spot)
        if match := _DOOR_SHUT.search(text):
            is_true = (match[2] != "open") != clause.denies
            yield Claim(relation=Relation.CLOSED, clause=clause, spots=spot, value=match[2], is_true=is_true)
        if _PRONOUN_IS_RIGHT.search(text):
            yield Claim(relation=Relation.RIGHT, clause=clause, spots=spot, is_true=not clause.denies)

    def _of_things(self, clause: Clause) -> Iterator[Claim]:
        text, things = clause.text, clause.sentence.things
        if match := _NOWHERE_ELSE.search(text):
            yield Claim(relation=Relation.ELSEWHERE, clause=clause, thing=things[int(match[1])].thing, is_true=False)
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
