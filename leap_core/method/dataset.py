"""From demonstrations and corrections to rows to train on.

A *turn row* is one step with everything any trainer may need (SFT, DPO, KTO, privileged distillation). Demonstration
and correction artifacts hold them as `rows.parquet`, complete in themselves, so that another experiment can use the
file without the episodes behind it. A *training row* is what one trainer gets: no privileged text in it.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain, groupby
from typing import Any, Literal

from pydantic import Field, JsonValue

from leap_core.config import Aggregate
from leap_core.disk.canonical import sha256_text
from leap_core.gate.kinds import is_leak
from leap_core.prompts import PromptSet, format_reply
from leap_core.types import (
    Action,
    Correction,
    CorrectionStatus,
    Message,
    PrivilegedState,
    Record,
    Step,
    StepCorrection,
    Trajectory,
)


class TurnRow(Record):
    """One step of one episode, for every trainer.

    `completion` is the taught reply, `student_completion` the student's own (None in a demonstration). `label` says
    whether the student's command was right as it was (KTO). `accepted` is False where the gate rejected the
    correction for `why`. `leaked` says that the reason gives hidden state away, rejected or not. `cost_usd` and the
    token counts are the teacher's, for this step. `student_logprob` is the summed log-probability of the student's
    reply, None where it was not computed.
    """

    iteration: int
    episode: str
    step: int
    spec: str
    split: str
    group: str
    prompt: tuple[Message, ...]
    prompt_sha256: str
    completion: str
    student_completion: str | None = None
    label: bool
    accepted: bool
    status: str
    why: str
    leaked: bool
    admissible: tuple[str, ...] | None
    privileged_context: str | None = None
    teacher: str
    teacher_params: dict[str, JsonValue] = Field(default_factory=dict)
    level: int
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = 0.0
    student_logprob: float | None = None


class TrainingRow(Record):
    """One row of a dataset, in TRL's terms. `rejected` is the student's own reply where the teacher changed it.

    `bits`, `reason_bits` and `student_logprob` are what was measured of a correction (`LeakageRow`); None where nothing
    was.
    """

    iteration: int
    episode: str
    step: int
    part: Literal["train", "validation"]
    prompt: tuple[Message, ...]
    completion: tuple[Message, ...]
    rejected: tuple[Message, ...] | None
    bits: float | None = None
    reason_bits: float | None = None
    student_logprob: float | None = None


def demonstration_rows(trajectories: Iterable[Trajectory], prompts: PromptSet, level: int) -> list[TurnRow]:
    """One row for each step of each expert episode; the privileged state that guided the expert is not in them."""
    rows = []
    for trajectory in trajectories:
        for step in trajectory.steps:
            taught = StepCorrection(step=step.index, reason="", command="", status=CorrectionStatus.KEPT)
            rows.append(_row(trajectory, step, prompts, step.action, taught, teacher=trajectory.student, level=level))
    return rows


def correction_rows(
    trajectory: Trajectory,
    correction: Correction,
    privileged: PrivilegedState,
    prompts: PromptSet,
    teacher_params: Mapping[str, JsonValue],
) -> list[TurnRow]:
    """One row for each corrected step, rejected ones included.

    The prompt of step t shows the student's own history up to t. The usage of a correction that was one reply for
    the whole episode is shared out evenly over its steps.
    """
    usage, share = correction.usage, len(correction.steps)
    return [
        _row(
            trajectory,
            step,
            prompts,
            Action(reason=taught.reason, command=taught.command),
            taught,
            student_completion=step.reply,
            privileged_context=privileged.text,
            teacher=correction.teacher,
            teacher_params=dict(teacher_params),
            level=correction.level,
            prompt_tokens=usage.prompt_tokens // share,
            completion_tokens=usage.completion_tokens // share,
            cost_usd=None if usage.cost_usd is None else usage.cost_usd / share,
        )
        for step, taught in zip(trajectory.steps, correction.steps, strict=False)
    ]


def _row(
    trajectory: Trajectory, step: Step, prompts: PromptSet, action: Action, taught: StepCorrection, **own: Any
) -> TurnRow:
    """The row of one step, taught `action`; `own` are the fields that demonstrations and corrections fill otherwise."""
    prompt = prompts.student_messages(trajectory.spec, trajectory.steps[: step.index], step.observation)
    return TurnRow(
        iteration=trajectory.iteration,
        episode=trajectory.id,
        step=step.index,
        spec=trajectory.spec.id,
        split=trajectory.spec.split,
        group=trajectory.spec.group,
        prompt=prompt,
        prompt_sha256=sha256_text(json.dumps([m.model_dump() for m in prompt])),
        completion=format_reply(action),
        label=taught.status is CorrectionStatus.KEPT,
        accepted=taught.status is not CorrectionStatus.REJECTED,
        status=taught.status.value,
        why=taught.why,
        leaked=is_leak(taught.why),
        admissible=step.observation.admissible,
        **own,
    )


def assemble(
    sources: Sequence[Sequence[TurnRow]],
    aggregate: Aggregate,
    validation_fraction: float,
    seed: int,
    *,
    kept_steps: bool = True,
    repeated_steps: bool = True,
) -> list[TrainingRow]:
    """Aggregate the rows of iterations 0..i into one dataset (paper, section 3.3 and appendix).

    Args:
        sources: the rows of iteration 0, 1, ..., i; rejected ones are left out here.
        aggregate: `equal` takes as many episodes of each iteration as the smallest has; `equal-rows` as many rows,
            in each part, as the reference code does; `all` takes every episode; `latest` those of iteration i alone.
        validation_fraction: share of specs whose episodes go to the validation part. A spec is there in every
            iteration or in none, so that no model is validated on what an earlier one was trained on.
        seed: decides which, through hashes of ids, so that the choice does not depend on order.
        kept_steps: whether steps that the teacher left as the student made them are trained on.
        repeated_steps: whether steps are trained on that teach an episode's earlier answer once more (`first_times`).

    Returns:
        Rows by episode and step. Episodes of all iterations stand between each other evenly, so that each batch that is
        cut from the rows has its share of each iteration. An episode of which no row is left is absent.
    """
    groups = [
        _by_episode(row for row in rows if row.accepted and (kept_steps or not is_left_alone(row))) for rows in sources
    ]
    if not repeated_steps:
        groups = [{episode: first_times(rows) for episode, rows in group.items()} for group in groups]
    if aggregate == "latest":
        groups = groups[-1:]
    quota = min((len(group) for group in groups), default=0) if aggregate == "equal" else None
    chosen = [
        {episode: group[episode] for episode in sorted(group, key=lambda name: _rank(seed, name))[:quota]}
        for group in groups
    ]
    held_out = _held_out({rows[0].spec for group in chosen for rows in group.values()}, validation_fraction, seed + 1)
    made = [[_training_row(row, held_out) for rows in group.values() for row in rows] for group in chosen]
    return _interleaved(_equal_rows(made, seed) if aggregate == "equal-rows" else made)


def _interleaved(sources: Sequence[Sequence[TrainingRow]]) -> list[TrainingRow]:
    """The rows of all sources, episode by episode, those of each source spread evenly over the whole."""
    placed = list[tuple[float, int, list[TrainingRow]]]()
    for number, rows in enumerate(sources):
        episodes = [list(group) for _, group in groupby(rows, key=lambda row: row.episode)]
        placed += [((place + 0.5) / len(episodes), number, episode) for place, episode in enumerate(episodes)]
    return list(chain.from_iterable(episode for *_, episode in sorted(placed, key=lambda one: one[:2])))


def first_times(rows: Iterable[TurnRow]) -> list[TurnRow]:
    """The rows of an episode without those that teach the same answer to the same observation once more.

    A student that walks in circles would be taught each of its rounds again, and little else.
    """
    first = dict[tuple[str, str], TurnRow]()
    for row in rows:
        first.setdefault((row.prompt[-1].content, row.completion), row)
    return list(first.values())


def is_left_alone(row: TurnRow) -> bool:
    """Whether it is a step that the teacher left as the student made it; demonstrations have no student."""
    return row.status == CorrectionStatus.KEPT and row.student_completion is not None


def count_left_alone(sources: Iterable[Sequence[TurnRow]]) -> int:
    """How many rows are steps that the teacher left as the student made them."""
    return sum(is_left_alone(row) for rows in sources for row in rows)


def _held_out(specs: Collection[str], fraction: float, seed: int) -> set[str]:
    """The specs whose hash is below `fraction`; one spec at least stays to train on."""
    held_out = {spec for spec in specs if int(_rank(seed, spec)[:16], 16) < fraction * 16**16}
    if specs and len(held_out) == len(specs):
        held_out.remove(max(held_out, key=lambda spec: _rank(seed, spec)))
    return held_out


def _equal_rows(sources: Sequence[Sequence[TrainingRow]], seed: int) -> list[list[TrainingRow]]:
    """As many rows of each source as the one with the fewest has, in each part by itself."""
    fewest = {part: min(sum(row.part == part for row in rows) for rows in sources) for part in ("train", "validation")}
    return [_draw(rows, fewest, seed) for rows in sources]


def _draw(rows: Sequence[TrainingRow], quota: Mapping[str, int], seed: int) -> list[TrainingRow]:
    """So many rows of each part, in the order in which they come."""
    ranked = sorted(rows, key=lambda row: _rank(seed, f"{row.episode}:{row.step}"))
    drawn = {
        (row.episode, row.step)
        for part, number in quota.items()
        for row in [row for row in ranked if row.part == part][:number]
    }
    return [row for row in rows if (row.episode, row.step) in drawn]


def _by_episode(rows: Iterable[TurnRow]) -> dict[str, list[TurnRow]]:
    ordered = sorted(rows, key=lambda row: row.episode)
    return {episode: list(group) for episode, group in groupby(ordered, key=lambda row: row.episode)}


def _rank(seed: int, name: str) -> str:
    return sha256_text(f"{seed}:{name}")


def _training_row(row: TurnRow, held_out: Collection[str]) -> TrainingRow:
    rejected = row.student_completion if row.status == CorrectionStatus.CHANGED else None
    return TrainingRow(
        iteration=row.iteration,
        episode=row.episode,
        step=row.step,
        part="validation" if row.spec in held_out else "train",
        prompt=row.prompt,
        completion=(Message(role="assistant", content=row.completion),),
        rejected=None if rejected is None else (Message(role="assistant", content=rejected),),
    )
