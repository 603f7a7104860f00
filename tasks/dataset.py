"""Stage `dataset`: demonstrations and corrections of iterations 0..i become rows to train on."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from leap_core.config import Section
from leap_core.dataset import assemble, count_rows
from leap_core.errors import NothingToCorrectError
from leap_core.tables import read_turn_rows, write_training_rows
from leap_core.types import ArtifactRef
from tasks.stage import Run, Stage, StageReport, StageWork


class DatasetIdentity(Section):
    """How sources are aggregated and split."""

    aggregate: Literal["equal", "all", "latest"] = Field(title="dataset.aggregate")
    validation_fraction: float = Field(title="dataset.validation_fraction")
    seed: int


def assemble_dataset(run: Run, iteration: int, sources: Sequence[ArtifactRef]) -> ArtifactRef:
    """Return the training rows from the artifacts of iterations 0, 1, ..., `iteration`, in this order."""
    config = run.config.dataset
    identity = DatasetIdentity(
        aggregate=config.aggregate, validation_fraction=config.validation_fraction, seed=run.config.seed
    )
    return DATASET(run, identity, {f"source_{n}": source for n, source in enumerate(sources)}, iteration)


def _assemble(work: StageWork[DatasetIdentity]) -> StageReport:
    identity = work.identity
    sources = [read_turn_rows(work.inputs[f"source_{n}"]) for n in range(len(work.inputs))]
    rows = assemble(sources, identity.aggregate, identity.validation_fraction, identity.seed)
    if not any(row.part == "train" for row in rows):
        raise NothingToCorrectError(
            "The dataset would have no training rows: every source is empty or wholly rejected. "
            "Collect more episodes (rollout.num_episodes) or raise correction.threshold."
        )
    write_training_rows(work.output, rows)
    return StageReport(counts=count_rows(rows))


DATASET = Stage(name="dataset", version=1, work=_assemble)
