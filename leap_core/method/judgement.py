"""What a judge says of corrections, as rows: one for each corrected step that was not rejected."""

from collections import Counter
from collections.abc import Collection, Sequence

from leap_core.errors import StageFailedError
from leap_core.teachers.judge import OWN, Judgement
from leap_core.types import Record, Usage

MOST_CLAIMS = 8
"""So many leaks are shown as examples."""


class JudgementRow(Record):
    """The judge's word on one correction; see `Verdict`. What its request took is shared out over an episode's rows."""

    episode: str
    step: int
    leaks: bool | None
    claim: str
    why: str
    error: str | None
    num_requests: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None


class Claim(Record):
    """Words of a correction that the judge takes for a leak."""

    episode: str
    step: int
    claim: str


class Overlap(Record):
    """How many of the corrections with a verdict are leaks to the judge, to another gate, or to both."""

    both: int
    other_alone: int
    judge_alone: int
    neither: int


class JudgementSummary(Record):
    """What the verdicts on one iteration's corrections amount to.

    `num_asked` are the corrections that the student had not written itself, `leak_share` that of leaks among all with a
    verdict. `with_rules` is there where leaks by the rules were let through, as the others are not judged; `with_bits`
    where corrections are measured against `gate.max_bits`. `usage` is what all of it took; its cost is None where a
    price is not known.
    """

    num_corrections: int
    num_asked: int
    num_leaks: int
    num_unjudged: int
    leak_share: float | None
    rests_on: dict[str, int]
    with_rules: Overlap | None
    with_bits: Overlap | None
    claims: tuple[Claim, ...]
    usage: Usage

    @property
    def cost_each_usd(self) -> float | None:
        """Dollars for each correction that was asked about; None where that is not known, or none was."""
        cost = self.usage.cost_usd
        return None if cost is None or not self.num_asked else cost / self.num_asked


def judgement_rows(judgements: Sequence[Judgement]) -> list[JudgementRow]:
    """One row for each verdict, in order."""
    return [
        JudgementRow(episode=one.trajectory_id, **dict(verdict), **dict(usage))
        for one in judgements
        for verdict, usage in zip(one.verdicts, _shared_out(one.usage, len(one.verdicts)), strict=True)
    ]


def check_judgements(rows: Sequence[JudgementRow], max_unjudged_share: float) -> None:
    """Raise StageFailedError where no verdict came on too many corrections."""
    unjudged = [row for row in rows if row.leaks is None]
    if len(unjudged) > max_unjudged_share * len(rows):
        raise StageFailedError(
            f"The judge gave no verdict that can be read on {len(unjudged)} of {len(rows)} corrected steps, more than "
            f"the allowed share {max_unjudged_share} (gate.max_unjudged_share). First: {unjudged[0].episode}, step "
            f"{unjudged[0].step + 1}: {unjudged[0].error}. Look at the model, or raise the share: what was answered is "
            "kept."
        )


def _shared_out(usage: Usage, num_parts: int) -> list[Usage]:
    """Parts that add up to `usage`; what cannot be divided goes to the first ones."""
    counts = {name: getattr(usage, name) for name in ("num_requests", "prompt_tokens", "completion_tokens")}
    cost = None if usage.cost_usd is None else usage.cost_usd / max(num_parts, 1)
    return [
        Usage(
            cost_usd=cost,
            **{name: count // num_parts + (part < count % num_parts) for name, count in counts.items()},
        )
        for part in range(num_parts)
    ]


def summarise_judgements(
    rows: Sequence[JudgementRow],
    usage: Usage,
    by_rules: Collection[tuple[str, int]],
    by_bits: Collection[tuple[str, int]] | None,
) -> JudgementSummary:
    """Say what rows amount to.

    Args:
        rows: the verdicts on the corrections of one iteration.
        usage: what they took.
        by_rules: the (episode, step) of what the rules take for leaks.
        by_bits: the same of what measures too many bits; None where nothing is held against a limit.
    """
    judged = [row for row in rows if row.leaks is not None]
    leaks = [row for row in judged if row.leaks]
    let_through = {(row.episode, row.step) for row in judged} & set(by_rules)
    return JudgementSummary(
        num_corrections=len(rows),
        num_asked=sum(row.why != OWN for row in rows),
        num_leaks=len(leaks),
        num_unjudged=len(rows) - len(judged),
        leak_share=len(leaks) / len(judged) if judged else None,
        rests_on=dict(sorted(Counter(row.why for row in judged).items())),
        with_rules=_overlap(judged, let_through) if let_through else None,
        with_bits=None if by_bits is None else _overlap(judged, by_bits),
        claims=tuple(Claim(episode=row.episode, step=row.step, claim=row.claim) for row in leaks[:MOST_CLAIMS]),
        usage=usage,
    )


def _overlap(judged: Sequence[JudgementRow], others: Collection[tuple[str, int]]) -> Overlap:
    counts = Counter((bool(row.leaks), (row.episode, row.step) in others) for row in judged)
    return Overlap(
        both=counts[True, True],
        other_alone=counts[False, True],
        judge_alone=counts[True, False],
        neither=counts[False, False],
    )
