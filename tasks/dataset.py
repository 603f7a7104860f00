"""Stage `dataset`: demonstrations and corrections of iterations 0..i become rows to train on."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from leap_core.config import Aggregate, LeapConfig, Section
from leap_core.errors import NothingToCorrectError
from leap_core.loading import asks_a_sparing_teacher
from leap_core.method.dataset import TrainingRow, assemble, count_left_alone
from leap_core.method.tables import read_turn_rows, write_training_rows
from leap_core.types import ArtifactRef
from tasks.counts import ByKind, Count, Counts, Each
from tasks.run import Run
from tasks.stage import Stage, StageReport, StageWork


class DatasetCounts(Counts):
    """Rows to train and to validate on, by iteration, too; and the steps that a teacher left as they were."""

    train_rows: Count
    validation_rows: Count = 0
    iteration_rows: Annotated[ByKind, Each("iteration_{}_rows")]
    left_alone_steps: Count


class DatasetIdentity(Section):
    """How sources are aggregated and split."""

    aggregate: Aggregate = Field(title="dataset.aggregate")
    validation_fraction: float = Field(title="dataset.validation_fraction")
    kept_steps: bool = Field(title="dataset.kept_steps")
    repeated_steps: bool = Field(True, title="dataset.repeated_steps")
    seed: int


def assemble_dataset(run: Run, iteration: int, sources: Sequence[ArtifactRef]) -> ArtifactRef:
    """Return the training rows from the artifacts of iterations 0, 1, ..., `iteration`, in this order."""
    config = run.config.dataset
    identity = DatasetIdentity(
        aggregate=config.aggregate,
        validation_fraction=config.validation_fraction,
        kept_steps=trains_on_kept_steps(run.config),
        repeated_steps=config.repeated_steps,
        seed=run.config.seed,
    )
    return DATASET(run, identity, {f"source_{n}": source for n, source in enumerate(sources)}, iteration)


def trains_on_kept_steps(config: LeapConfig) -> bool:
    """Whether steps that the teacher left alone become rows; see `dataset.kept_steps`."""
    chosen = config.dataset.kept_steps
    return not asks_a_sparing_teacher(config) if chosen is None else chosen


def _assemble(work: StageWork[DatasetIdentity]) -> StageReport:
    identity = work.identity
    sources = [read_turn_rows(work.inputs[f"source_{n}"]) for n in range(len(work.inputs))]
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
            "Collect more episodes (rollout.num_episodes) or raise correction.threshold."
        )
    write_training_rows(work.output, rows)
    return StageReport(counts=count_rows(rows, count_left_alone(sources)))


def count_rows(rows: Sequence[TrainingRow], num_left_alone: int) -> DatasetCounts:
    """Count the rows of each part and of each iteration."""
    parts, iterations = Counter(row.part for row in rows), Counter(str(row.iteration) for row in rows)
    return DatasetCounts(
        train_rows=parts["train"],
        validation_rows=parts["validation"],
        iteration_rows=dict(sorted(iterations.items())),
        left_alone_steps=num_left_alone,
    )


DATASET = Stage(name="dataset", version=3, work=_assemble, counts=DatasetCounts)
