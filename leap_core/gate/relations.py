"""Claims held against what was seen and what is hidden: which of them give something away."""

import re
from collections.abc import Iterator

from leap_core.envs.sight import Sight, Spot, SpotKind
from leap_core.gate.claims import Claim, ClaimReader, Relation
from leap_core.gate.clauses import clauses_of
from leap_core.gate.grammar import GROUNDS
from leap_core.gate.kinds import LeakKind
from leap_core.gate.lexicon import words
from leap_core.gate.mentions import Lexicon, Reader, SpotRef, plain, singular, tokens_of, value_of

_COMES_OUT = words(
    """comes? out, results?, answer, output, total, prints?, returns?, gives?, yields?, outputs?, sums?,
    adds? up, amounts?, comes? to, number, count"""
)
_COUNTED = words("lines?, matche?s?, hits?, occurrences?, orders?, customers?, records?, entries, rows?")
_RESULT = re.compile(
    rf" {_COMES_OUT}(?: (?:is|are|be|as|at|to|of|in|will|the|a|up|with|out|just|exactly)){{0,4}} ([a-z]+|\d+) |"
    rf" ([a-z]+|\d+) (?:such |of the |of these )?{_COUNTED} "
)
Found = tuple[LeakKind, str]


class ClaimCheck:
    """Holds what reasons claim at one step against what was seen by then and what is hidden."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight
        self._lexicon = Lexicon.of(sight)
        self._unopened = [spot for spot in sight.spots if not spot.opened]

    def leaks(self, reason: str, command: str) -> Iterator[Found]:
        """The kinds of what the reason for a command gives away, each with words for it."""
        claims = ClaimReader(Reader(self._lexicon))
        claims.start_at(command)
        for claim in claims.read(reason):
            found = self._judge(claim)
            if found is not None:
                yield found
        yield from self._secrets(reason)
        yield from self._numbers(reason)

    def _secrets(self, reason: str) -> Iterator[Found]:
        """Words of what a command will print: one that is asserted, or two in whatever form."""
        if not self._sight.secrets:
            return
        named = set[str]()
        for tokens, _ in tokens_of(reason):
            here = self._sight.secrets.intersection(word for token in tokens for word in (token, singular(token)))
            named |= here
            supposes = any(clause.supposes for clause in clauses_of(plain(tokens)))
            if here and (len(named) > 1 or not supposes):
                kind = LeakKind.HEDGE if supposes else LeakKind.RESULT
                yield kind, f"tells of {sorted(named)[0]!r}, which nothing has shown yet"

    def _numbers(self, reason: str) -> Iterator[Found]:
        """The number that comes out, said of a result: "it prints 3", "three lines match"."""
        if not self._sight.numbers:
            return
        for tokens, _ in tokens_of(reason):
            for clause in clauses_of(plain(tokens)):
                for word, counted in _RESULT.findall(clause.text):
                    number = value_of(word or counted)
                    if number in self._sight.numbers and not clause.supposes:
                        yield LeakKind.RESULT, f"tells that {number} comes out, which nothing has shown yet"

    def _judge(self, claim: Claim) -> Found | None:
        if claim.clause.supposes and not claim.clause.sure:
            return None
        if claim.spots is None:
            return self._of_thing(claim)
        hidden = [spot for spot in claim.spots.spots if not spot.opened]
        if not hidden:
            return None
        if claim.relation is Relation.CLOSED:
            return _closed(claim, hidden)
        if claim.relation in (Relation.SKIPPED, Relation.EMPTY):
            return self._excluded(claim, hidden)
        if hidden[0].kind in (SpotKind.ITEM, SpotKind.FILE):
            return None if len(hidden) < len(claim.spots.spots) else _offered(claim, hidden)
        if claim.relation is Relation.RIGHT and not self._may_be_meant(claim.spots, hidden):
            return None
        return self._held(claim, hidden)

    def _of_thing(self, claim: Claim) -> Found | None:
        """What is said of a thing alone."""
        if claim.relation is Relation.STATE:
            return self._state(claim)
        if claim.relation is Relation.COUNT:
            return self._count(claim)
        if claim.relation is Relation.ELSEWHERE:
            return self._elsewhere(claim)
        return self._foreseen(claim)

    def _may_be_meant(self, ref: SpotRef, hidden: list[Spot]) -> bool:
        """Whether "the right one" is one to look into, rather than the one where the goal ends."""
        is_target = any(spot.group in self._sight.targets for spot in hidden)
        return not is_target and (hidden[0].kind is not SpotKind.RESULT or ref.exact)

    def _held(self, claim: Claim, hidden: list[Spot]) -> Found | None:
        things = frozenset({claim.thing}) if claim.thing else self._sight.wanted
        if len(self._unopened) == len(hidden) and not claim.clause.denies:  # all that is left
            return None
        if not claim.is_true:
            return self._excluded(claim, hidden)
        if not any(spot.holds is None or spot.holds & things for spot in hidden):
            return None
        kind = LeakKind.PLACE if claim.relation is Relation.HOLDS else LeakKind.RANK
        told = f"tells that {' or '.join(sorted(things))} is at {_named(hidden)}, which the student had not seen"
        return LeakKind.HEDGE if claim.clause.supposes else kind, told

    def _excluded(self, claim: Claim, hidden: list[Spot]) -> Found | None:
        things = frozenset({claim.thing}) if claim.thing else self._sight.wanted
        if claim.relation is not Relation.EMPTY and things and all(map(self._sight.seen.get, things)):
            return None  # what is meant was found, so other places do not matter
        if claim.relation is Relation.SKIPPED and GROUNDS.search(f" {' '.join(claim.clause.sentence.words)} "):
            return None
        if any(spot.holds is not None and spot.holds & things for spot in hidden):
            return None
        return LeakKind.EXCLUSION, f"rules out {_named(hidden)}, which the student had not looked into"

    def _elsewhere(self, claim: Claim) -> Found | None:
        holding = [spot for spot in self._unopened if spot.holds and claim.thing in spot.holds]
        told = f"tells that {claim.thing} is nowhere else, which the student had not seen"
        return (LeakKind.EXCLUSION, told) if len(self._unopened) > 2 and len(holding) < 2 else None

    def _foreseen(self, claim: Claim) -> Found | None:
        if not self._sight.shown or claim.thing in self._sight.shown:
            return None
        return LeakKind.RESULT, f"tells that {claim.thing!r} will be shown, which the student could not know"

    def _state(self, claim: Claim) -> Found | None:
        if self._sight.seen.get(claim.thing) or claim.thing not in self._sight.totals or not claim.is_true:
            return None
        return LeakKind.STATE, f"tells the state of a {claim.thing}, which the student had not seen"

    def _count(self, claim: Claim) -> Found | None:
        total, seen = self._sight.totals.get(claim.thing), self._sight.seen.get(claim.thing, 0)
        if total != claim.count or (seen >= claim.count and not self._unopened):
            return None
        if (seen >= claim.count and claim.count > 1) or (seen and claim.count == 1):
            return None
        return LeakKind.COUNT, f"tells that there are {claim.count} of {claim.thing}, which the student had not seen"


def _closed(claim: Claim, hidden: list[Spot]) -> Found | None:
    if any(spot.visited or spot.is_closed is not claim.is_true for spot in hidden):
        return None
    return LeakKind.STATE, f"tells that {_named(hidden)} is {claim.value}, which the student had not seen"


def _offered(claim: Claim, hidden: list[Spot]) -> Found | None:
    """What is said of items or files that were not opened; their titles are no secret."""
    if claim.relation is Relation.RIGHT:
        is_right = claim.is_true and any(spot.holds for spot in hidden)
        told = f"tells that {_named(hidden)} is the right one, which the student had not seen"
        return (LeakKind.IDENTITY, told) if is_right else None
    is_item = hidden[0].kind is SpotKind.ITEM
    is_false = all(spot.holds is not None and claim.thing not in spot.holds for spot in hidden)
    is_shown = all(_spelled(claim.thing) in _spelled(spot.shown) for spot in hidden)
    if is_shown or (claim.is_true and is_false and is_item):
        return None
    told = f"tells of {claim.thing!r} at {_named(hidden)}, which the student had not opened"
    kind = LeakKind.OPTIONS if is_item else LeakKind.RESULT
    if not claim.is_true:
        kind = LeakKind.EXCLUSION
    return LeakKind.HEDGE if claim.clause.supposes else kind, told


def _spelled(text: str) -> str:
    return "".join(character for character in text if character.isalnum())


def _named(spots: list[Spot]) -> str:
    return " and ".join(repr(spot.names[0]) for spot in spots[:3])
