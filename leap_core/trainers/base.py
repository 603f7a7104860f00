"""The protocol of a trainer."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from leap_core.config import ExecutionConfig, TrainingConfig
from leap_core.pace import Progress, keep_silent


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """Everything one training run needs.

    `rows` is a Parquet file with the columns of the dataset artifact (`prompt`, `completion`, `episode`, `step`, ...);
    `validation_rows` likewise or None. `start` is the model (or adapter) to start from, a directory or a hub id.
    `output` receives the model files and nothing else; `checkpoints` survives a crash, and a job started again
    with the same directory continues from it. `progress` is called after each step with how far training is, in words
    and in steps, and `log` with what a person should know.
    """

    rows: Path
    validation_rows: Path | None
    start: Path | str
    output: Path
    checkpoints: Path
    config: TrainingConfig
    execution: ExecutionConfig
    seed: int
    progress: Progress = keep_silent
    log: Callable[[str], object] = lambda line: None


def micro_batch_size(batch_size: int, at_most: int) -> int:
    """Rows on the device at once: the largest share of a batch that divides it and is not above `at_most`."""
    return next(size for size in range(min(batch_size, at_most), 0, -1) if batch_size % size == 0)


def count_updates(num_rows: int, config: TrainingConfig) -> int:
    """Updates of the weights that a training on `num_rows` rows makes."""
    return math.ceil(math.ceil(num_rows / config.batch_size) * config.epochs)


def count_warmup(num_updates: int, config: TrainingConfig) -> int:
    """Updates over which the learning rate rises to what is set."""
    return config.warmup_steps if config.warmup_share is None else math.ceil(config.warmup_share * num_updates)


def describe_short_training(num_updates: int, config: TrainingConfig) -> str:
    """What is wrong with a training that ends before its warm-up, for people; "" where nothing is."""
    warmup = count_warmup(num_updates, config)
    if num_updates >= warmup:
        return ""
    reached = config.learning_rate * max(num_updates - 1, 0) / warmup
    return (
        f"a training of {num_updates:,} updates ends within its warm-up of {warmup:,}: its rate never rises above "
        f"{reached:.1e} of {config.learning_rate:.1e}. Lower training.batch_size or training.warmup_steps, or set "
        "training.warmup_share"
    )


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What a training run did. `log` is one dict a logged step (step, loss, learning_rate), in order.

    `num_steps` counts updates of the weights, `num_warmup` those of the warm-up; `kept_step` is the update after which
    the weights were taken, `peak_learning_rate` the highest rate that was used.
    """

    num_rows: int
    num_steps: int
    num_warmup: int
    kept_step: int
    peak_learning_rate: float
    num_truncated: int
    final_loss: float
    validation_loss: float | None
    resumed_from_step: int | None
    log: list[dict[str, float]] = field(default_factory=list)


class Trainer(Protocol):
    """Fine-tunes a student on a dataset."""

    name: str

    @classmethod
    def check(cls, config: TrainingConfig) -> None:
        """Raise ConfigError where a setting is wrong. Every command calls this, so it imports nothing heavy."""
        ...

    def train(self, job: TrainingJob) -> TrainingResult:
        """Train to the end, resuming from `job.checkpoints` if a run was cut off there.

        The model written to `job.output` is bitwise the same whether or not the run was interrupted.
        """
        ...
