"""The tables inside artifacts: which file holds which records, and in which columns.

    specs.parquet        one row a spec             episodes.parquet            one row an episode
    privileged.parquet   one row a hidden state     steps.parquet               one row a step of an episode
    rows.parquet         one row a taught step      corrected_episodes.parquet  one row a corrected episode
    train.parquet, validation.parquet               corrections.parquet         one row a corrected step
                         one row to train on

Each `read_` returns what its `write_` was given: equal records, in the same order.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

from pydantic import JsonValue

from leap_core.disk.parquet import read_records, write_records
from leap_core.errors import ArtifactError
from leap_core.method.dataset import TrainingRow, TurnRow
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

SPECS = "specs.parquet"
PRIVILEGED = "privileged.parquet"
TURN_ROWS = "rows.parquet"
TRAIN_ROWS = "train.parquet"
VALIDATION_ROWS = "validation.parquet"
EPISODES = "episodes.parquet"
STEPS = "steps.parquet"
CORRECTED_EPISODES = "corrected_episodes.parquet"
CORRECTIONS = "corrections.parquet"


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


_ONLY_WHERE_KNOWN = ("score_parts", "suspicion")
"""Columns of episodes.parquet that are there only where some episode has such a thing: a score without parts, that
nobody can steer, has no use for them, and its tables keep the bytes, and so the digests, that they always had."""
StepT = TypeVar("StepT", StepRow, CorrectionRow)


def write_specs(directory: Path, specs: Iterable[Spec]) -> None:
    """Write specs.parquet."""
    write_records(directory / SPECS, Spec, specs)


def read_specs(directory: Path) -> list[Spec]:
    """Read specs.parquet."""
    return read_records(directory / SPECS, Spec)


def write_privileged(directory: Path, states: Iterable[PrivilegedState]) -> None:
    """Write privileged.parquet."""
    write_records(directory / PRIVILEGED, PrivilegedState, states)


def read_privileged(directory: Path) -> list[PrivilegedState]:
    """Read privileged.parquet."""
    return read_records(directory / PRIVILEGED, PrivilegedState)


def write_turn_rows(directory: Path, rows: Iterable[TurnRow]) -> None:
    """Write rows.parquet."""
    write_records(directory / TURN_ROWS, TurnRow, rows)


def read_turn_rows(directory: Path) -> list[TurnRow]:
    """Read rows.parquet."""
    return read_records(directory / TURN_ROWS, TurnRow)


def write_training_rows(directory: Path, rows: Iterable[TrainingRow]) -> None:
    """Write the two parts of a dataset to a file each."""
    rows = list(rows)
    for part, file in (("train", TRAIN_ROWS), ("validation", VALIDATION_ROWS)):
        write_records(directory / file, TrainingRow, [row for row in rows if row.part == part])


def read_training_rows(path: Path) -> list[TrainingRow]:
    """Read one part of a dataset."""
    return read_records(path, TrainingRow)


def write_trajectories(directory: Path, trajectories: Sequence[Trajectory]) -> None:
    """Write steps.parquet, then episodes.parquet: where the second is there, so is the first."""
    steps = (_step_row(trajectory.id, step) for trajectory in trajectories for step in trajectory.steps)
    write_records(directory / STEPS, StepRow, steps)
    unknown = [name for name in _ONLY_WHERE_KNOWN if not any(getattr(one, name) for one in trajectories)]
    write_records(directory / EPISODES, EpisodeRow, map(_episode_row, trajectories), leave_out=unknown)


def read_trajectories(directory: Path) -> list[Trajectory]:
    """Join episodes.parquet and steps.parquet.

    Raises:
        ArtifactError: one of them is missing or damaged, or they are not of the same episodes.
    """
    steps = read_records(directory / STEPS, StepRow)
    episodes = read_records(directory / EPISODES, EpisodeRow, optional=_ONLY_WHERE_KNOWN)
    parts = _split(steps, [(row.id, row.num_steps) for row in episodes], directory)
    return [_trajectory(row, part) for row, part in zip(episodes, parts, strict=True)]


def write_corrections(directory: Path, corrections: Sequence[Correction]) -> None:
    """Write corrections.parquet, then corrected_episodes.parquet: where the second is there, so is the first."""
    steps = (_correction_row(correction.trajectory_id, step) for correction in corrections for step in correction.steps)
    write_records(directory / CORRECTIONS, CorrectionRow, steps)
    episodes = (_corrected_episode_row(correction) for correction in corrections)
    write_records(directory / CORRECTED_EPISODES, CorrectedEpisodeRow, episodes)


def read_corrections(directory: Path) -> list[Correction]:
    """Join corrected_episodes.parquet and corrections.parquet.

    Raises:
        ArtifactError: one of them is missing or damaged, or they are not of the same episodes.
    """
    steps = read_records(directory / CORRECTIONS, CorrectionRow)
    episodes = read_records(directory / CORRECTED_EPISODES, CorrectedEpisodeRow)
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


def _episode_row(trajectory: Trajectory) -> EpisodeRow:
    spec, usage = trajectory.spec, trajectory.usage
    return EpisodeRow(
        id=trajectory.id,
        iteration=trajectory.iteration,
        student=trajectory.student,
        spec_id=spec.id,
        env=spec.env,
        split=spec.split,
        group=spec.group,
        instruction=spec.instruction,
        params=spec.params,
        num_steps=len(trajectory.steps),
        stop_reason=trajectory.stop_reason,
        score=trajectory.score,
        success=trajectory.success,
        score_parts=tuple(ScorePart(name=name, value=value) for name, value in trajectory.score_parts.items()),
        suspicion=trajectory.suspicion,
        error=trajectory.error,
        final_observation=trajectory.final_observation,
        num_requests=usage.num_requests,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cost_usd=usage.cost_usd,
    )


def _step_row(episode: str, step: Step) -> StepRow:
    return StepRow(
        episode=episode,
        step=step.index,
        observation=step.observation.text,
        admissible=step.observation.admissible,
        reason=step.action.reason,
        command=step.action.command,
        reply=step.reply,
        valid=step.valid,
        num_requests=step.usage.num_requests,
        prompt_tokens=step.usage.prompt_tokens,
        completion_tokens=step.usage.completion_tokens,
        cost_usd=step.usage.cost_usd,
    )


def _trajectory(row: EpisodeRow, steps: list[StepRow]) -> Trajectory:
    return Trajectory(
        id=row.id,
        spec=Spec(
            id=row.spec_id,
            env=row.env,
            split=row.split,
            instruction=row.instruction,
            group=row.group,
            params=row.params,
        ),
        iteration=row.iteration,
        student=row.student,
        steps=tuple(_step(step) for step in steps),
        final_observation=row.final_observation,
        stop_reason=row.stop_reason,
        score=row.score,
        success=row.success,
        score_parts={part.name: part.value for part in row.score_parts},
        suspicion=row.suspicion,
        usage=_usage(row),
        error=row.error,
    )


def _step(row: StepRow) -> Step:
    return Step(
        index=row.step,
        observation=Observation(text=row.observation, admissible=row.admissible),
        action=Action(reason=row.reason, command=row.command),
        reply=row.reply,
        valid=row.valid,
        usage=_usage(row),
    )


def _corrected_episode_row(correction: Correction) -> CorrectedEpisodeRow:
    return CorrectedEpisodeRow(
        episode=correction.trajectory_id,
        spec_id=correction.spec_id,
        teacher=correction.teacher,
        level=correction.level,
        num_steps=len(correction.steps),
        error=correction.error,
        num_requests=correction.usage.num_requests,
        prompt_tokens=correction.usage.prompt_tokens,
        completion_tokens=correction.usage.completion_tokens,
        cost_usd=correction.usage.cost_usd,
    )


def _correction_row(episode: str, step: StepCorrection) -> CorrectionRow:
    return CorrectionRow(
        episode=episode, step=step.step, reason=step.reason, command=step.command, status=step.status, why=step.why
    )


def _correction(row: CorrectedEpisodeRow, steps: list[CorrectionRow]) -> Correction:
    return Correction(
        trajectory_id=row.episode,
        spec_id=row.spec_id,
        teacher=row.teacher,
        level=row.level,
        steps=tuple(StepCorrection(**step.model_dump(exclude={"episode"})) for step in steps),
        usage=_usage(row),
        error=row.error,
    )


def _usage(row: EpisodeRow | StepRow | CorrectedEpisodeRow) -> Usage:
    return Usage(
        num_requests=row.num_requests,
        prompt_tokens=row.prompt_tokens,
        completion_tokens=row.completion_tokens,
        cost_usd=row.cost_usd,
    )
