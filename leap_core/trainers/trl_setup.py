"""What every trainer through TRL shares, so that a trainer's own file holds its loss alone (sft.py).

TRL's training loop is made exact: which rows are in a batch, what the validation loss is, what is saved, when it ends.
A dataset's item is a *batch*, the rows of one update, cut into *parts* that are on the device one after the other. So a
batch is a fixed number of rows, whatever those rows become (sequences that share a prefix, pairs of answers), and its
parts are of like length, whatever stands beside what in the file.

`train_through_trl` reads and encodes the rows, loads the start, resumes to the same bits, watches for divergence, keeps
the best weights where asked, and writes the model. The trainer gives it one function, which makes TRL's trainer from a
`TrlSetup`.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import Sampler
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments, set_seed
from transformers.utils import logging

from leap_core.errors import StageFailedError
from leap_core.pace import Progress
from leap_core.students.encoding import load_tokenizer
from leap_core.students.loading import expand_home, resolve_device, tokenizer_source
from leap_core.students.memory import give_back_memory
from leap_core.students.precision import resolve_precision
from leap_core.trainers import base
from leap_core.trainers.base import TrainingJob, TrainingResult
from leap_core.trainers.checkpoints import job_identity, mark_whole, open_checkpoints, step_of
from leap_core.trainers.learner import DIVERGED_ADVICE, Learner
from leap_core.trainers.rows import EncodedRow, RowsRead, read_rows

_LOG_STEPS = 10
"""Steps that one entry of the result's log is the mean of."""

_CHECKPOINTING_FROM = 1_000_000_000
"""Models of at least so many parameters recompute activations on a GPU rather than keep them."""

Item = Mapping[str, list[int]]
Part = list[Item]
Measure = Callable[[Any, dict[str, Any]], tuple[float, int]]
"""Of a trainer and the inputs of one part: the mean loss, and of how many tokens or pairs it is the mean."""


class WholeBatches(Sampler):  # type: ignore[misc]
    """The batches, shuffled anew in each pass; one that is not full comes last."""

    def __init__(self, num_batches: int, num_full: int, seed: int) -> None:
        self._num_batches, self._num_full = num_batches, num_full
        self._seed, self._epoch = seed, 0

    def __len__(self) -> int:
        return self._num_batches

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed + self._epoch)
        yield from torch.randperm(self._num_full, generator=generator).tolist()
        yield from range(self._num_full, self._num_batches)

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of a pass; trainers call it before each."""
        self._epoch = epoch


class ExactTrainer(Trainer):  # type: ignore[misc]
    """Goes before one of TRL's trainers: whole batches, rows as we encoded them, validation by `measure`."""

    def __init__(self, *, num_full_batches: int, measure: Measure, **settings: Any) -> None:
        self._num_full_batches = num_full_batches
        self._measure = measure
        super().__init__(**settings)

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        # Rows are token ids already: TRL would apply the chat template in its own way, not as in play (encoding.py).
        return dataset

    def _get_train_sampler(self, train_dataset: Any = None) -> WholeBatches:
        return WholeBatches(len(self.train_dataset), self._num_full_batches, self.args.seed)

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Any:
        return super()._get_num_items_in_batch([part for batch in batch_samples for part in batch["parts"]], device)

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """Forward and backward over the parts of a batch; the sum of their shares of its loss."""
        parts = inputs["parts"]
        sizes = [len(part["input_ids"]) for part in parts]
        loss = torch.zeros((), device=self.args.device)
        for part, size in zip(parts, sizes, strict=True):
            # Where a loss is a mean, and not a sum over `num_items_in_batch`, it is divided by this: so each sequence
            # of a batch weighs the same, however many stand in its part.
            self.current_gradient_accumulation_steps = sum(sizes) / size
            loss += super().training_step(model, part, num_items_in_batch)
        return loss

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write nothing: the artifact's record says where a model comes from."""

    @property
    def kept_step(self) -> int:
        """The update after which the weights were taken that the model has at the end."""
        best = self.state.best_global_step if self.args.load_best_model_at_end else None
        return int(best or self.state.global_step)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """The mean loss over all validation rows, each token or pair once, however they are cut into parts."""
        model, was_training = self.model_wrapped, self.model.training
        model.eval()
        total, size = 0.0, 0
        with torch.no_grad(), self.compute_loss_context_manager():
            for batch in self.get_eval_dataloader():
                for part in batch["parts"]:
                    loss, number = self._measure(self, self._prepare_inputs(part))
                    total += loss * number
                    size += number
        metrics = {"eval_loss": total / size}
        self.log(metrics)
        model.train(was_training)
        control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        self.control: Any = control
        return metrics


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

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
        """An update has been made, or the validation loss was measured."""
        if "loss" in logs:
            step, last = state.global_step, state.max_steps
            line = f"step {step:,} of {last:,}, loss {float(logs['loss']):.3f}"
            self._progress(line, done=step, left=last - step)


@dataclass(frozen=True, kw_only=True)
class TrlSetup:
    """What TRL's trainer is made from. `validation_rows` may be empty; with `pairs`, all rows have a `rejected`."""

    job: TrainingJob
    learner: Learner
    tokenizer: Any
    rows: list[EncodedRow]
    validation_rows: list[EncodedRow]

    def make(
        self,
        kind: type[Trainer],
        arguments: TrainingArguments,
        *,
        cut: Callable[[list[EncodedRow], int], Sequence[Part]],
        collate: Callable[[Sequence[Item]], dict[str, torch.Tensor]],
        measure: Measure,
        **own: Any,
    ) -> ExactTrainer:
        """Make TRL's trainer `kind`.

        Args:
            kind: a class of TRL's.
            arguments: of the class that goes with it, made from `arguments()` and what is this trainer's own.
            cut: the parts of one batch, made from its rows and the most rows that a part may have. An item of a part is
                lists of token ids for one or several rows.
            collate: the tensors of one part, among them `input_ids`.
            measure: the validation loss of one part, and of how many it is the mean.
            own: more settings of this class, such as a reference model.
        """
        exact: type[ExactTrainer] = type(kind.__name__, (ExactTrainer, kind), {})
        trainer = exact(
            num_full_batches=len(self.rows) // self.job.config.batch_size,
            measure=measure,
            model=self.learner.model,
            args=arguments,
            train_dataset=self._batches(self.rows, cut),
            eval_dataset=self._batches(self.validation_rows, cut) if self.validation_rows else None,
            processing_class=self.tokenizer,
            data_collator=lambda batches: {"parts": [collate(part) for batch in batches for part in batch["parts"]]},
            callbacks=[StopAtDivergence(), MarkWhole(self.job.checkpoints), LogProgress(self.job.progress)],
            **own,
        )
        trainer.remove_callback(PrinterCallback)
        return trainer

    def arguments(self) -> dict[str, Any]:
        """The arguments that every trainer takes, by the job's settings."""
        return {**self._optimisation(), **self._device(), **self._saving()}

    def _batches(self, rows: list[EncodedRow], cut: Callable[[list[EncodedRow], int], Sequence[Part]]) -> Dataset:
        """Batches of rows that stand together, so that those of an episode do, too."""
        size = self.job.config.batch_size
        at_once = base.micro_batch_size(size, self.job.execution.micro_batch_size)
        return Dataset.from_dict(
            {"parts": [cut(rows[first : first + size], at_once) for first in range(0, len(rows), size)]}
        )

    def _optimisation(self) -> dict[str, Any]:
        config = self.job.config
        return {
            # An item of the dataset is a whole batch.
            "per_device_train_batch_size": 1,
            "per_device_eval_batch_size": 1,
            "gradient_accumulation_steps": 1,
            "learning_rate": config.learning_rate,
            "lr_scheduler_type": "constant_with_warmup" if config.lr_scheduler == "constant" else config.lr_scheduler,
            # Below 1 it is a share.
            "warmup_steps": config.warmup_steps if config.warmup_share is None else config.warmup_share,
            "max_grad_norm": config.max_grad_norm,
            "weight_decay": config.weight_decay,
            "num_train_epochs": config.epochs,
            "seed": self.job.seed,
        }

    def _device(self) -> dict[str, Any]:
        on_cpu = resolve_device(self.job.execution.device) == "cpu"
        return {
            "use_cpu": on_cpu,
            "bf16": self.job.config.precision == "bf16",
            "activation_checkpointing": not on_cpu and self.learner.model.num_parameters() >= _CHECKPOINTING_FROM,
            "dataloader_pin_memory": not on_cpu,
            "remove_unused_columns": False,
        }

    def _saving(self) -> dict[str, Any]:
        every = self.job.config.keep_best_every
        keeps_best = every is not None
        return {
            "output_dir": str(self.job.checkpoints),
            "save_strategy": "steps",
            "save_steps": every or self.job.execution.save_every_steps,
            "save_total_limit": 2,
            # Every step: the mean over several would leave out, after a resume, those before the checkpoint.
            "logging_steps": 1,
            "logging_nan_inf_filter": False,
            "eval_strategy": "steps" if keeps_best else "no",
            "eval_steps": every,
            "load_best_model_at_end": keeps_best,
            "report_to": "none",
            "disable_tqdm": True,
        }


def train_through_trl(
    job: TrainingJob, make: Callable[[TrlSetup], ExactTrainer], *, pairs: bool = False
) -> TrainingResult:
    """Train to the end, resuming from `job.checkpoints` if a run was cut off there.

    Args:
        job: what to train, and on what.
        make: makes TRL's trainer, through `TrlSetup.make`.
        pairs: train on the rows that have a rejected answer, and on no others.

    Raises:
        StudentError: the start cannot be loaded, or does not know a row's tokens or length.
        StageFailedError: too many rows are too long, none is left, or the training diverged.
        ArtifactError: the rows cannot be read.
    """
    _prepare_process(job)
    precision = resolve_precision(job.config.precision, job.execution.device)
    if precision != job.config.precision:
        job = replace(job, config=job.config.with_(precision=precision))
    try:
        return _train(job, make, pairs)
    finally:
        give_back_memory()


def _train(job: TrainingJob, make: Callable[[TrlSetup], ExactTrainer], pairs: bool) -> TrainingResult:
    start = expand_home(job.start)
    tokenizer = load_tokenizer(tokenizer_source(start))
    read = _read_rows(job, tokenizer, pairs)
    validation_rows = _read_validation_rows(job, tokenizer, pairs)
    set_seed(job.seed)
    learner = Learner.load(start, job.config)
    learner.check_rows(read.rows)
    setup = TrlSetup(job=job, learner=learner, tokenizer=tokenizer, rows=read.rows, validation_rows=validation_rows)
    trainer = make(setup)
    checkpoint = open_checkpoints(job.checkpoints, job_identity(job, len(read.rows)))
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    validation_loss = trainer.evaluate()["eval_loss"] if trainer.eval_dataset is not None else None
    learner.check(validation_loss)
    learner.export(trainer.accelerator.unwrap_model(trainer.model), tokenizer, job.output)
    return _result(job, read, trainer, validation_loss, checkpoint)


def _prepare_process(job: TrainingJob) -> None:
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    if job.execution.num_threads is not None:
        torch.set_num_threads(job.execution.num_threads)


def _read_rows(job: TrainingJob, tokenizer: Any, pairs: bool) -> RowsRead:
    """The rows to train on; what a person should know of them goes to the log."""
    read = read_rows(job.rows, tokenizer, job.config.max_length, pairs=pairs)
    if read.num_unpaired:
        job.log(f"{read.num_unpaired:,} rows have no rejected answer and are passed over")
    if read.loss_in_words:
        job.log(f"warning: {read.loss_in_words}")
    read.check(job.config.max_truncated_share)
    if short := base.describe_short_training(base.count_updates(len(read.rows), job.config), job.config):
        job.log(f"warning: {short}")
    return read


def _read_validation_rows(job: TrainingJob, tokenizer: Any, pairs: bool) -> list[EncodedRow]:
    """The validation rows; empty where there are none, unless they have to say which weights are the best."""
    path, most = job.validation_rows, job.config.max_length
    rows = [] if path is None else read_rows(path, tokenizer, most, pairs=pairs).rows
    if not rows and job.config.keep_best_every is not None:
        raise StageFailedError(
            "training.keep_best_every needs validation rows, and there are none: raise dataset.validation_fraction, or "
            "--set training.keep_best_every=null to keep the last weights."
        )
    return rows


def _result(
    job: TrainingJob, read: RowsRead, trainer: ExactTrainer, validation_loss: float | None, checkpoint: Path | None
) -> TrainingResult:
    entries = [entry for entry in trainer.state.log_history if "loss" in entry]
    losses = _summarise(entries)
    return TrainingResult(
        num_rows=len(read.rows),
        num_steps=trainer.state.global_step,
        num_warmup=base.count_warmup(base.count_updates(len(read.rows), job.config), job.config),
        kept_step=trainer.kept_step,
        peak_learning_rate=max(float(entry["learning_rate"]) for entry in entries),
        num_truncated=len(read.left_out),
        final_loss=losses[-1]["loss"],
        validation_loss=validation_loss,
        resumed_from_step=None if checkpoint is None else step_of(checkpoint),
        log=losses,
    )


def _summarise(entries: list[dict[str, Any]]) -> list[dict[str, float]]:
    """One entry for every so many steps, the last one included: mean loss, and the last one's learning rate."""
    groups = (entries[first : first + _LOG_STEPS] for first in range(0, len(entries), _LOG_STEPS))
    return [
        {
            "step": float(group[-1]["step"]),
            "loss": sum(float(entry["loss"]) for entry in group) / len(group),
            "learning_rate": float(group[-1]["learning_rate"]),
        }
        for group in groups
    ]
