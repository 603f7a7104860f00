"""TRL's training loop, made exact: which rows are in a batch, what the validation loss is, what is saved, when it ends.

A dataset's item is a *chunk*: the rows that are on the device at once. So a batch is a fixed number of rows, whatever
those rows become (sequences that share a prefix, pairs of answers).
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Sampler
from transformers import Trainer, TrainerCallback

from leap_core.errors import StageFailedError
from leap_core.trainers.checkpoints import mark_whole
from leap_core.trainers.learner import DIVERGED_ADVICE

Measure = Callable[[Any, dict[str, Any]], tuple[float, int]]
"""Of a trainer and the inputs of one chunk: the mean loss, and of how many tokens or pairs it is the mean."""


class WholeBatches(Sampler):  # type: ignore[misc]
    """Chunks, batch after batch; the batches are shuffled anew in each pass, and one that is not full comes last.

    So which rows are in a batch depends on its size, and not on how many of them are on the device at once.
    """

    def __init__(self, num_chunks: int, chunks_a_batch: int, num_full: int, seed: int) -> None:
        self._num_chunks, self._size, self._num_full = num_chunks, chunks_a_batch, num_full
        self._seed, self._epoch = seed, 0

    def __len__(self) -> int:
        return self._num_chunks

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed + self._epoch)
        for batch in torch.randperm(self._num_full, generator=generator).tolist():
            yield from range(batch * self._size, (batch + 1) * self._size)
        yield from range(self._num_full * self._size, self._num_chunks)

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of a pass; trainers call it before each."""
        self._epoch = epoch


class ExactTrainer(Trainer):  # type: ignore[misc]
    """Goes before one of TRL's trainers (`exact`): whole batches, rows as we encoded them, validation by `measure`."""

    def __init__(self, *, num_full_batches: int, measure: Measure, **settings: Any) -> None:
        self._num_full_batches = num_full_batches
        self._measure = measure
        super().__init__(**settings)

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        # Rows are token ids already: TRL would apply the chat template in its own way, not as in play (encoding.py).
        return dataset

    def _get_train_sampler(self, train_dataset: Any = None) -> WholeBatches:
        chunks_a_batch = self.args.gradient_accumulation_steps
        return WholeBatches(len(self.train_dataset), chunks_a_batch, self._num_full_batches, self.args.seed)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write nothing: the artifact's record says where a model comes from."""

    @property
    def kept_step(self) -> int:
        """The update after which the weights were taken that the model has at the end."""
        best = self.state.best_global_step if self.args.load_best_model_at_end else None
        return int(best or self.state.global_step)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """The mean loss over all validation rows, each token or pair once, however they are cut into chunks."""
        model, was_training = self.model_wrapped, self.model.training
        model.eval()
        total, size = 0.0, 0
        with torch.no_grad(), self.compute_loss_context_manager():
            for batch in self.get_eval_dataloader():
                loss, number = self._measure(self, self._prepare_inputs(batch))
                total += loss * number
                size += number
        metrics = {"eval_loss": total / size}
        self.log(metrics)
        model.train(was_training)
        control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        self.control: Any = control
        return metrics


def exact(kind: type[Trainer]) -> type[ExactTrainer]:
    """The class of TRL's trainer `kind`, made exact."""
    return type(kind.__name__, (ExactTrainer, kind), {})


class MarkWhole(TrainerCallback):  # type: ignore[misc]
    """Marks each checkpoint once it is written to its end."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A checkpoint has been written."""
        mark_whole(self._directory, state.global_step)


class StopAtDivergence(TrainerCallback):  # type: ignore[misc]
    """Ends a training that diverged, before its step is saved."""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
        """An update has been made."""
        broken = [name for name in ("loss", "grad_norm") if not math.isfinite(float(logs.get(name, 0.0)))]
        if broken:
            raise StageFailedError(
                f"The training diverged at step {state.global_step:,} of {state.max_steps:,}: its {broken[0]} is "
                f"{logs[broken[0]]}. Nothing is published. {DIVERGED_ADVICE}"
            )


class LogProgress(TrainerCallback):  # type: ignore[misc]
    """Passes on how far the training is, after each update."""

    def __init__(self, progress: Callable[[str], object]) -> None:
        self._progress = progress

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
        """An update has been made, or the validation loss was measured."""
        if "loss" in logs:
            self._progress(f"step {state.global_step:,} of {state.max_steps:,}, loss {float(logs['loss']):.3f}")
