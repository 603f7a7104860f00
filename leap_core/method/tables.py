"""The tables inside artifacts: which file holds which records, and in which columns.

    specs.parquet        one row a spec             episodes.parquet            one row an episode
    privileged.parquet   one row a hidden state     steps.parquet               one row a step of an episode
    rows.parquet         one row a taught step      corrected_episodes.parquet  one row a corrected episode
    train.parquet, validation.parquet               corrections.parquet         one row a corrected step
                         one row to train on    leakage.parquet             one row a measured correction
                                                judgements.parquet          one row a judged correction

Each `read_` returns what its `write_` was given: equal records, in the same order.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from pydantic import JsonValue

from leap_core.disk.parquet import read_records, write_records
from leap_core.errors import ArtifactError
from leap_core.method.dataset import TrainingRow, TurnRow
from leap_core.method.judgement import JudgementRow
from leap_core.method.leakage import LeakageRow
from leap_core.types import (
    Action,
    Correction,
    CorrectionStatus,
    Level,
    Observation,
    PrivilegedState,
    Record,
    Spec,
    Step,
    StepCorrection,
    StopReason,
    Trajectory,
    Usage,
)

TRAIN_ROWS = "train.parquet"
VALIDATION_ROWS = "validation.parquet"
_EPISODES = "episodes.parquet"
_STEPS = "steps.parquet"
_CORRECTED_EPISODES = "corrected_episodes.parquet"
_CORRECTIONS = "corrections.parquet"


class ScorePart(Record):
    """One part of a score. A table has a list of them, as JSON would lose their order."""

    name: str
    value: float


class EpisodeRow(Record):
    """One row of episodes.parquet: a trajectory without its steps, its spec and usage spread over columns.

    `score_parts` and `suspicion` are columns only where some episode of the table has any.
    """

    id: str
    iteration: int
    student: str
    spec_id: str
    env: str
    split: str
    group: str
    instruction: str
    params: dict[str, JsonValue]
    num_steps: int
    stop_reason: StopReason
    score: float | None
    success: bool | None
    score_parts: tuple[ScorePart, ...] = ()
    suspicion: str | None = None
    error: str | None
    final_observation: str
    num_requests: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None


class StepRow(Record):
    """One row of steps.parquet. `episode` is the id of its trajectory, `step` its index there."""

    episode: str
    step: int
    observation: str
    admissible: tuple[str, ...] | None
    reason: str
    command: str
    reply: str
    valid: bool
    num_requests: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None


class CorrectedEpisodeRow(Record):
    """One row of corrected_episodes.parquet: what a teacher did for one episode; `error` where it failed."""

    episode: str
    spec_id: str
    teacher: str
    level: Level
    num_steps: int
    error: str | None
    num_requests: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None


class CorrectionRow(Record):
    """One row of corrections.parquet: a teacher's word on one step, and what became of it."""

    episode: str
    step: int
    reason: str
    command: str
    status: CorrectionStatus
    why: str


_ONLY_WHERE_MEASURED = ("bits", "reason_bits", "student_logprob")
"""Columns of rows to train on that are there only where `gate.measure` is on, for the same reason as the next ones."""
_ONLY_WHERE_KNOWN = ("score_parts", "suspicion")
"""Columns of episodes.parquet that are there only where some episode has such a thing: a score without parts, that
nobody can steer, has no use for them, and its tables keep the bytes, and so the digests, that they always had."""
RecordT = TypeVar("RecordT", bound=Record)
StepT = TypeVar("StepT", StepRow, CorrectionRow)


def _table(
    file: str, kind: type[RecordT]
) -> tuple[Callable[[Path, Iterable[RecordT]], None], Callable[[Path], list[RecordT]]]:
    """What writes, and what reads, a table of one record a row in an artifact's directory."""

    def write(directory: Path, records: Iterable[RecordT]) -> None:
        write_records(directory / file, kind, records)

    def read(directory: Path) -> list[RecordT]:
        return read_records(directory / file, kind)

    return write, read


write_specs, read_specs = _table("specs.parquet", Spec)
write_privileged, read_privileged = _table("privileged.parquet", PrivilegedState)
write_turn_rows, read_turn_rows = _table("rows.parquet", TurnRow)
write_judgements, read_judgements = _table("judgements.parquet", JudgementRow)
write_leakage, read_leakage = _table("leakage.parquet", LeakageRow)


def write_training_rows(directory: Path, rows: Iterable[TrainingRow]) -> None:
    """Write the two parts of a dataset to a file each."""
    rows = list(rows)
    unknown = [name for name in _ONLY_WHERE_MEASURED if all(getattr(row, name) is None for row in rows)]
    for part, file in (("train", TRAIN_ROWS), ("validation", VALIDATION_ROWS)):
        write_records(directory / file, TrainingRow, [row for row in rows if row.part == part], leave_out=unknown)


def read_training_rows(path: Path) -> list[TrainingRow]:
    """Read one part of a dataset."""
    return read_records(path, TrainingRow, optional=_ONLY_WHERE_MEASURED)


def write_trajectories(directory: Path, trajectories: Sequence[Trajectory]) -> None:
    """Write steps.parquet, then episodes.parquet: where the second is there, so is the first."""
    steps = (_step_row(trajectory.id, step) for trajectory in trajectories for step in trajectory.steps)
    write_records(directory / _STEPS, StepRow, steps)
    unknown = [name for name in _ONLY_WHERE_KNOWN if all(getattr(one, name) in (None, {}) for one in trajectories)]
    write_records(directory / _EPISODES, EpisodeRow, map(_episode_row, trajectories), leave_out=unknown)


def read_trajectories(directory: Path) -> list[Trajectory]:
    """Join episodes.parquet and steps.parquet.

    Raises:
        ArtifactError: one of them is missing or damaged, or they are not of the same episodes.
    """
    steps = read_records(directory / _STEPS, StepRow)
    episodes = read_records(directory / _EPISODES, EpisodeRow, optional=_ONLY_WHERE_KNOWN)
    parts = _split(steps, [(row.id, row.num_steps) for row in episodes], directory)
    return [_trajectory(row, part) for row, part in zip(episodes, parts, strict=True)]


def write_corrections(directory: Path, corrections: Sequence[Correction]) -> None:
    """Write corrections.parquet, then corrected_episodes.parquet: where the second is there, so is the first."""
    steps = (
        CorrectionRow(episode=correction.trajectory_id, **dict(step))
        for correction in corrections
        for step in correction.steps
    )
    write_records(directory / _CORRECTIONS, CorrectionRow, steps)
    write_records(directory / _CORRECTED_EPISODES, CorrectedEpisodeRow, map(_corrected_episode_row, corrections))


def read_corrections(directory: Path) -> list[Correction]:
    """Join corrected_episodes.parquet and corrections.parquet.

    Raises:
        ArtifactError: one of them is missing or damaged, or they are not of the same episodes.
    """
    steps = read_records(directory / _CORRECTIONS, CorrectionRow)
    episodes = read_records(directory / _CORRECTED_EPISODES, CorrectedEpisodeRow)
    parts = _split(steps, [(row.episode, row.num_steps) for row in episodes], directory)
    return [_correction(row, part) for row, part in zip(episodes, parts, strict=True)]


def _split(steps: list[StepT], episodes: list[tuple[str, int]], directory: Path) -> list[list[StepT]]:
    """Cut the rows of steps into those of each (episode, number of steps), in order."""
    rows = iter(steps)
    parts = [list(islice(rows, count)) for _, count in episodes]
    matched = all(
        len(part) == count and all(row.episode == episode for row in part)
        for part, (episode, count) in zip(parts, episodes, strict=True)
    )
    if not matched or next(rows, None) is not None:
        raise ArtifactError(
            f"The tables in {directory} are not of the same episodes: expected {sum(n for _, n in episodes)} rows of "
            f"steps, in the order of the episodes; came {len(steps)}. Make the artifact again.",
            item=str(directory),
        )
    return parts


def _shared(record: Record, kind: type[Record], *but: str) -> dict[str, Any]:
    """The fields of a record that `kind` has as well, without those in `but`."""
    names = type(record).model_fields.keys() & kind.model_fields.keys() - set(but)
    return {name: getattr(record, name) for name in names}


def _episode_row(trajectory: Trajectory) -> EpisodeRow:
    return EpisodeRow(
        spec_id=trajectory.spec.id,
        num_steps=len(trajectory.steps),
        score_parts=tuple(ScorePart(name=name, value=value) for name, value in trajectory.score_parts.items()),
        **_shared(trajectory, EpisodeRow, "score_parts"),
        **_shared(trajectory.spec, EpisodeRow, "id"),
        **dict(trajectory.usage),
    )


def _trajectory(row: EpisodeRow, steps: list[StepRow]) -> Trajectory:
    return Trajectory(
        spec=Spec(id=row.spec_id, **_shared(row, Spec, "id")),
        steps=tuple(_step(step) for step in steps),
        score_parts={part.name: part.value for part in row.score_parts},
        usage=Usage(**_shared(row, Usage)),
        **_shared(row, Trajectory, "score_parts"),
    )


def _step_row(episode: str, step: Step) -> StepRow:
    return StepRow(
        episode=episode,
        step=step.index,
        observation=step.observation.text,
        admissible=step.observation.admissible,
        reply=step.reply,
        valid=step.valid,
        **dict(step.action),
        **dict(step.usage),
    )


def _step(row: StepRow) -> Step:
    return Step(
        index=row.step,
        observation=Observation(text=row.observation, admissible=row.admissible),
        action=Action(reason=row.reason, command=row.command),
        reply=row.reply,
        valid=row.valid,
        usage=Usage(**_shared(row, Usage)),
    )


def _corrected_episode_row(correction: Correction) -> CorrectedEpisodeRow:
    return CorrectedEpisodeRow(
        episode=correction.trajectory_id,
        num_steps=len(correction.steps),
        **_shared(correction, CorrectedEpisodeRow),
        **dict(correction.usage),
    )


def _correction(row: CorrectedEpisodeRow, steps: list[CorrectionRow]) -> Correction:
    return Correction(
        trajectory_id=row.episode,
        steps=tuple(StepCorrection(**_shared(step, StepCorrection)) for step in steps),
        usage=Usage(**_shared(row, Usage)),
        **_shared(row, Correction),
    )
