"""Claims held against what was seen and what is hidden: which of them give something away."""

from collections.abc import Iterator

from leap_core.envs.sight import Sight, Spot, SpotKind
from leap_core.gate.claims import Claim, ClaimReader, Relation, _GROUNDS
from leap_core.gate.kinds import LeakKind
from leap_core.gate.mentions import Lexicon, Reader

Found = tuple[LeakKind, str]


class Judge:
    """Judges what reasons say at one step."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight
        self._lexicon = Lexicon.of(sight)
        self._unopened = [spot for spot in sight.spots if not spot.opened]

    def leaks(self, reason: str) -> Iterator[Found]:
        """The kinds of what a reason gives away, each with words for it."""
        claims = ClaimReader(Reader(self._lexicon), self._sight)
        for claim in claims.read(reason):
            found = self._judge(claim)
            if found is not None:
                yield found

    def _judge(self, claim: Claim) -> Found | None:
        if claim.clause.supposes and not claim.clause.sure:
            return None
        if claim.relation is Relation.STATE:
            return self._state(claim)
        if claim.relation is Relation.COUNT:
            return self._count(claim)
        if claim.spots is None:
            return None
        hidden = [spot for spot in claim.spots.spots if not spot.opened]
        if not hidden:
            return None
        if claim.relation is Relation.CLOSED:
            return self._closed(claim, hidden)
        if claim.relation in (Relation.SKIPPED, Relation.EMPTY):
            return self._excluded(claim, hidden)
        return self._held(claim, hidden)

    def _held(self, claim: Claim, hidden: list[Spot]) -> Found | None:
        things = frozenset({claim.thing}) if claim.thing else self._sight.wanted
        if claim.relation is Relation.RIGHT and any(spot.group in self._sight.targets for spot in hidden):
            return None
        if not claim.is_true:
            return self._excluded(claim, hidden)
        if len(self._unopened) == len(hidden) and not claim.clause.denies:  # all that is left
            return None
        holding = [spot for spot in hidden if spot.holds is None or spot.holds & things]
        if not holding:
            return None
        kind = LeakKind.PLACE if claim.relation is Relation.HOLDS else LeakKind.RANK
        if claim.clause.supposes:
            kind = LeakKind.HEDGE
        return kind, f"tells that {' or '.join(sorted(things))} is at {_named(hidden)}, which the student had not seen"

    def _excluded(self, claim: Claim, hidden: list[Spot]) -> Found | None:
        things = frozenset({claim.thing}) if claim.thing else self._sight.wanted
        if claim.relation is Relation.SKIPPED and _GROUNDS.search(" ".join(claim.clause.sentence.words)):
            return None
        if any(spot.holds is not None and spot.holds & things for spot in hidden):
            return None
        return LeakKind.EXCLUSION, f"rules out {_named(hidden)}, which the student had not looked into"

    def _closed(self, claim: Claim, hidden: list[Spot]) -> Found | None:
        if any(spot.visited or spot.is_closed is not claim.is_true for spot in hidden):
            return None
        return LeakKind.STATE, f"tells that {_named(hidden)} is {claim.value}, which the student had not seen"

    def _state(self, claim: Claim) -> Found | None:
        if self._sight.seen.get(claim.thing) or claim.thing not in self._sight.totals or not claim.is_true:
            return None
        return LeakKind.STATE, f"tells the state of a {claim.thing}, which the student had not seen"

    def _count(self, claim: Claim) -> Found | None:
        total, seen = self._sight.totals.get(claim.thing), self._sight.seen.get(claim.thing, 0)
        if total != claim.count or seen >= claim.count and not self._unopened:
            return None
        if seen >= claim.count and claim.count > 1 or seen and claim.count == 1:
            return None
        return LeakKind.COUNT, f"tells that there are {claim.count} of {claim.thing}, which the student had not seen"


def _named(spots: list[Spot]) -> str:
    return " and ".join(repr(spot.names[0]) for spot in spots[:3])
