"""The protocol of a trainer."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from leap_core.config import ExecutionConfig, TrainingConfig


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """Everything one training run needs.

    `rows` is a Parquet file with the columns of the dataset artifact (`prompt`, `completion`, `episode`, `step`, ...);
    `validation_rows` likewise or None. `start` is the directory of the model (or adapter) to start from.
    `output` receives the model files and nothing else; `checkpoints` survives a crash, and a job started again
    with the same directory continues from it. `progress` is told after each step how far training is, in words, and
    `say` what a person should know.
    """

    rows: Path
    validation_rows: Path | None
    start: Path
    output: Path
    checkpoints: Path
    config: TrainingConfig
    execution: ExecutionConfig
    seed: int
    progress: Callable[[str], object] = lambda line: None
    say: Callable[[str], object] = lambda line: None


def micro_batch_size(batch_size: int, at_most: int) -> int:
    """Rows on the device at once: the largest share of a batch that divides it and is not above `at_most`."""
    return next(size for size in range(min(batch_size, at_most), 0, -1) if batch_size % size == 0)


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What a training run did. `log` is one dict a logged step (step, loss, learning_rate), in order."""

    num_rows: int
    num_steps: int
    num_truncated: int
    final_loss: float
    validation_loss: float | None
    resumed_from_step: int | None
    log: list[dict[str, float]] = field(default_factory=list)


class Trainer(Protocol):
    """Fine-tunes a student on a dataset."""

    name: str

    def train(self, job: TrainingJob) -> TrainingResult:
        """Train to the end, resuming from `job.checkpoints` if a run was cut off there.

        The model written to `job.output` is bitwise the same whether or not the run was interrupted.
        """
        ...
