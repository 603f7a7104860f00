"""Stage `dataset`: demonstrations and corrections of iterations 0..i become rows to train on."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field

from leap_core.config import Aggregate, LeapConfig, Section
from leap_core.errors import NothingToCorrectError
from leap_core.loading import asks_a_sparing_teacher
from leap_core.method.dataset import TrainingRow, TurnRow, assemble, count_left_alone
from leap_core.method.second_gates import StepName, objections, with_measures
from leap_core.method.tables import read_judgements, read_leakage, read_turn_rows, write_training_rows
from leap_core.types import ArtifactRef, Record
from tasks.counts import ByKind, Count, Counts, Each
from tasks.run import Run
from tasks.stage import Stage, StageReport, StageWork

RecordT = TypeVar("RecordT", bound=Record)


class DatasetCounts(Counts):
    """Rows to train and to validate on, by iteration, too; and the steps that a teacher left as they were.

    `objected` counts the corrections that a second gate kept out, by gate.
    """

    train_rows: Count
    validation_rows: Count = 0
    iteration_rows: Annotated[ByKind, Each("iteration_{}_rows")]
    left_alone_steps: Count
    objected: Annotated[ByKind, Each("objected:{}")]


class DatasetIdentity(Section):
    """How sources are aggregated and split."""

    aggregate: Aggregate = Field(title="dataset.aggregate")
    validation_fraction: float = Field(title="dataset.validation_fraction")
    kept_steps: bool = Field(title="dataset.kept_steps")
    repeated_steps: bool = Field(True, title="dataset.repeated_steps")
    max_bits: float | None = Field(None, title="gate.max_bits")
    seed: int


@dataclass(frozen=True, kw_only=True)
class Source:
    """What one iteration brings: demonstrations or corrections, and what second gates found out about these."""

    rows: ArtifactRef
    leakage: ArtifactRef | None = None
    judgement: ArtifactRef | None = None


def assemble_dataset(run: Run, iteration: int, sources: Sequence[Source]) -> ArtifactRef:
    """Return the training rows from what iterations 0, 1, ..., `iteration` bring, in this order."""
    config = run.config.dataset
    rows = {f"source_{n}": source.rows for n, source in enumerate(sources)}
    leakage = {f"leakage_{n}": source.leakage for n, source in enumerate(sources) if source.leakage is not None}
    judged = {f"judgement_{n}": source.judgement for n, source in enumerate(sources) if source.judgement is not None}
    identity = DatasetIdentity(
        aggregate=config.aggregate,
        validation_fraction=config.validation_fraction,
        kept_steps=trains_on_kept_steps(run.config),
        repeated_steps=config.repeated_steps,
        max_bits=run.config.gate.max_bits if leakage else None,
        seed=run.config.seed,
    )
    return DATASET(run, identity, rows | leakage | judged, iteration)


def trains_on_kept_steps(config: LeapConfig) -> bool:
    """Whether steps that the teacher left alone become rows; see `dataset.kept_steps`."""
    chosen = config.dataset.kept_steps
    return not asks_a_sparing_teacher(config) if chosen is None else chosen


def _assemble(work: StageWork[DatasetIdentity]) -> StageReport:
    identity = work.identity
    leakage, judgements = _all_of(work, "leakage", read_leakage), _all_of(work, "judgement", read_judgements)
    sources, objected = _sources(work, objections(leakage, identity.max_bits, judgements))
    rows = assemble(
        sources,
        identity.aggregate,
        identity.validation_fraction,
        identity.seed,
        kept_steps=identity.kept_steps,
        repeated_steps=identity.repeated_steps,
    )
    if not any(row.part == "train" for row in rows):
        raise NothingToCorrectError(
            "The dataset would have no training rows: every source is empty or wholly rejected. "
            "Collect more episodes (rollout.num_episodes), or raise correction.threshold or gate.max_bits, or judge "
            "without gate.judge."
        )
    write_training_rows(work.output, with_measures(rows, leakage))
    return StageReport(counts=count_rows(rows, count_left_alone(sources), objected))


def _all_of(work: StageWork[DatasetIdentity], role: str, read: Callable[[Path], list[RecordT]]) -> list[RecordT]:
    """The rows of one second gate, of all iterations that have any."""
    return [row for name, path in work.inputs.items() if name.startswith(f"{role}_") for row in read(path)]


def _sources(
    work: StageWork[DatasetIdentity], stopped: Mapping[StepName, str]
) -> tuple[list[list[TurnRow]], Counter[str]]:
    """The rows of each iteration without those that a second gate objects to, and how many these are, by gate."""
    roles = [f"source_{n}" for n in range(sum(role.startswith("source_") for role in work.inputs))]
    given = [[row for row in read_turn_rows(work.inputs[role]) if row.accepted] for role in roles]
    objected = Counter(gate for rows in given for row in rows if (gate := stopped.get((row.episode, row.step))))
    return [[row for row in rows if (row.episode, row.step) not in stopped] for rows in given], objected


def count_rows(
    rows: Sequence[TrainingRow], num_left_alone: int, objected: Mapping[str, int] | None = None
) -> DatasetCounts:
    """Count the rows of each part and of each iteration."""
    parts, iterations = Counter(row.part for row in rows), Counter(str(row.iteration) for row in rows)
    return DatasetCounts(
        train_rows=parts["train"],
        validation_rows=parts["validation"],
        iteration_rows=dict(sorted(iterations.items())),
        left_alone_steps=num_left_alone,
        objected=dict(objected or {}),
    )


DATASET = Stage(name="dataset", version=3, work=_assemble, counts=DatasetCounts)
