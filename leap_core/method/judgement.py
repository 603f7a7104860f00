"""What a judge says of corrections, as rows: one for each corrected step that was not rejected."""

from collections.abc import Sequence

from leap_core.errors import StageFailedError
from leap_core.teachers.judge import Judgement
from leap_core.types import Record, Usage


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
