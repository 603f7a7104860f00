"""Supervised fine-tuning on corrected answers, through TRL (paper, section 3.2).

The loss is the mean over the answers' tokens, end-of-turn token included; prompts are read, not learned. A batch has so
many rows that stand together in the file, in chunks of those that are on the device at once. With `pack_episodes`, the
rows of an episode in a chunk share their common history (packing.py), which changes the cost, not the loss.
"""

import math
import os
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from torch.utils.data import Sampler
from transformers import PrinterCallback, TrainerCallback, set_seed
from transformers.utils import logging
from trl import SFTConfig, SFTTrainer

from leap_core.config import TrainingConfig
from leap_core.errors import StageFailedError, StudentError
from leap_core.students.architecture import check_ids, num_ids, one_regime_length, takes_own_mask, valid_padding
from leap_core.students.encoding import end_ids, load_tokenizer
from leap_core.students.loading import (
    base_of_adapter,
    expand_home,
    is_adapter,
    load_adapter,
    load_model,
    resolve_device,
    tokenizer_source,
    wrapping_in_adapter,
)
from leap_core.trainers.base import (
    TrainingJob,
    TrainingResult,
    count_updates,
    count_warmup,
    describe_short_training,
    micro_batch_size,
)
from leap_core.trainers.checkpoints import job_identity, mark_whole, open_checkpoints, step_of
from leap_core.trainers.export import export_adapter, export_model, make_generation_savable
from leap_core.trainers.packing import (
    IGNORED,
    ChunkCollator,
    EncodedRow,
    PaddingCollator,
    TreeCollator,
    TreeSequence,
    cut_into_chunks,
    pack_rows,
    single_sequences,
)
from leap_core.trainers.rows import read_rows

_LOG_STEPS = 10
"""Steps that one entry of the result's log is the mean of."""

_CHECKPOINTING_FROM = 1_000_000_000
"""Models of at least so many parameters recompute activations on a GPU rather than keep them."""


class SftTrainer:
    """Fine-tunes all weights or a low-rank adapter on the rows' completions."""

    name = "sft"

    def train(self, job: TrainingJob) -> TrainingResult:
        """Train to the end, resuming from `job.checkpoints` if a run was cut off there.

        Raises:
            StudentError: the start cannot be loaded.
            StageFailedError: too many rows are too long, or the training diverged.
            ArtifactError: the rows cannot be read.
        """
        logging.disable_progress_bar()
        logging.set_verbosity_error()
        if job.execution.num_threads is not None:
            torch.set_num_threads(job.execution.num_threads)
        start = expand_home(job.start)
        tokenizer = load_tokenizer(tokenizer_source(start))
        read = read_rows(job.rows, tokenizer, job.config.max_length)
        if read.loss_in_words:
            job.log(f"warning: {read.loss_in_words}")
        read.check(job.config.max_truncated_share)
        rows = read.rows
        set_seed(job.seed)
        learner = _Learner.load(start, job.config)
        _check_rows(learner.model.config, rows)
        num_updates = count_updates(len(rows), job.config)
        if short := describe_short_training(num_updates, job.config):
            job.log(f"warning: {short}")
        trainer = _make_trainer(job, learner, tokenizer, rows)
        checkpoint = open_checkpoints(job.checkpoints, job_identity(job, len(rows)))
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        validation_loss = trainer.evaluate()["eval_loss"] if trainer.eval_dataset is not None else None
        learner.check(validation_loss)
        learner.export(trainer.accelerator.unwrap_model(trainer.model), tokenizer, job.output)
        entries = [entry for entry in trainer.state.log_history if "loss" in entry]
        losses = _summarise(entries)
        return TrainingResult(
            num_rows=len(rows),
            num_steps=trainer.state.global_step,
            num_warmup=count_warmup(num_updates, job.config),
            kept_step=trainer.kept_step,
            peak_learning_rate=max(float(entry["learning_rate"]) for entry in entries),
            num_truncated=len(read.left_out),
            final_loss=losses[-1]["loss"],
            validation_loss=validation_loss,
            resumed_from_step=None if checkpoint is None else step_of(checkpoint),
            log=losses,
        )


class _Learner:
    """The model in training, and how it is written when done."""

    def __init__(self, model: Any, base: Path | str, dtype: torch.dtype, config: Any) -> None:
        self.model = model
        self._base = base
        self._dtype = dtype
        self._config = deepcopy(config)
        self.packs = takes_own_mask(config)

    @classmethod
    def load(cls, start: Path | str, config: TrainingConfig) -> "_Learner":
        """Load `start` ready to train: in fp32 where weights change, frozen ones in their own precision."""
        lora = config.method == "lora"
        base = base_of_adapter(start) if is_adapter(start) else start
        model = load_model(base, "auto" if lora and config.precision == "bf16" else torch.float32)
        config_as_it_came = model.config
        make_generation_savable(model)
        _check_lengths(model.config, config.max_length)
        if is_adapter(start):
            model = load_adapter(model, start, is_trainable=lora)
            # PEFT looks there when it saves; the relative name would be taken for a hub id.
            model.peft_config["default"].base_model_name_or_path = str(base)
            model = model if lora else model.merge_and_unload().requires_grad_(True)
        elif lora:
            with wrapping_in_adapter():
                model = get_peft_model(model, _lora_config(config))
        return cls(model, base, _stored_dtype(base), config_as_it_came)

    def check(self, validation_loss: float | None) -> None:
        """Raise StageFailedError where the last step left what is no model: no later step tells of that one."""
        broken = next((name for name, values in self.model.named_parameters() if self._is_broken(values)), None)
        if broken is None and math.isfinite(validation_loss or 0.0):
            return
        what = f"the validation loss is {validation_loss}" if broken is None else f"{broken} holds what is no number"
        raise StageFailedError(
            f"The training diverged at its last step: {what} as {self._dtype}. Nothing is published. Lower "
            "training.learning_rate, or see whether the model it starts from is sound."
        )

    def _is_broken(self, values: torch.Tensor) -> bool:
        # All weights are written as they were stored; an adapter as it was trained.
        stored = values.detach() if isinstance(self.model, PeftModel) else values.detach().to(self._dtype)
        return values.requires_grad and not bool(torch.isfinite(stored).all())

    def export(self, model: Any, tokenizer: Any, output: Path) -> None:
        if isinstance(model, PeftModel):
            export_adapter(model, tokenizer, output, self._base)
        else:
            if hasattr(model.config, "output_router_logits"):  # trainers switch it on; who plays has no use for it
                model.config.output_router_logits = self._config.output_router_logits
            export_model(model, tokenizer, output, self._dtype, end_ids(tokenizer))


class _WholeBatches(Sampler):  # type: ignore[misc]
    """Chunks, batch after batch; the batches are shuffled anew in each pass, and one that is not full comes last.

    So which rows are in a batch hangs on its size, and not on how many of them are on the device at once.
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


class _Trainer(SFTTrainer):  # type: ignore[misc]
    """TRL's trainer, without the model card that it writes beside each checkpoint, validating token by token."""

    def __init__(self, *, num_full_batches: int, **settings: Any) -> None:
        self._num_full_batches = num_full_batches
        super().__init__(**settings)

    def _get_train_sampler(self, train_dataset: Any = None) -> _WholeBatches:
        chunks_a_batch = self.args.gradient_accumulation_steps
        return _WholeBatches(len(self.train_dataset), chunks_a_batch, self._num_full_batches, self.args.seed)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write nothing: the artifact's record says where a model comes from."""

    @property
    def kept_step(self) -> int:
        """The update after which the weights were taken that the model has at the end."""
        best = self.state.best_global_step if self.args.load_best_model_at_end else None
        return int(best or self.state.global_step)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """The mean loss over the answers' tokens of all validation rows, each token once, whatever the batches."""
        model, was_training = self.model_wrapped, self.model.training
        model.eval()
        total, num_tokens = 0.0, 0
        with torch.no_grad(), self.compute_loss_context_manager():
            for batch in self.get_eval_dataloader():
                inputs = self._prepare_inputs(batch)
                learned = int((inputs["labels"][:, 1:] != IGNORED).sum())
                total += float(model(**inputs, use_cache=False).loss) * learned
                num_tokens += learned
        model.train(was_training)
        metrics = {"eval_loss": total / num_tokens}
        self.log(metrics)
        control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        self.control: Any = control
        return metrics


class _MarkWhole(TrainerCallback):  # type: ignore[misc]
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        mark_whole(self._directory, state.global_step)


class _StopAtNonsense(TrainerCallback):  # type: ignore[misc]
    """Ends a training that diverged, before its step is saved."""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
        broken = [name for name in ("loss", "grad_norm") if not math.isfinite(float(logs.get(name, 0.0)))]
        if broken:
            raise StageFailedError(
                f"The training diverged at step {state.global_step:,} of {state.max_steps:,}: its {broken[0]} is "
                f"{logs[broken[0]]}. Nothing is published. Lower training.learning_rate, or see whether the model it "
                "starts from is sound."
            )


class _TellProgress(TrainerCallback):  # type: ignore[misc]
    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
        if "loss" in logs:
            self._tell(f"step {state.global_step:,} of {state.max_steps:,}, loss {float(logs['loss']):.3f}")


def _make_trainer(job: TrainingJob, learner: _Learner, tokenizer: Any, rows: list[EncodedRow]) -> _Trainer:
    trainer = _Trainer(
        num_full_batches=len(rows) // job.config.batch_size,
        model=learner.model,
        args=_settings(job, learner.model),
        train_dataset=_dataset(job, learner, rows),
        eval_dataset=_validation_dataset(job, learner, tokenizer),
        processing_class=tokenizer,
        data_collator=ChunkCollator(_collator(job.config, learner, tokenizer)),
        callbacks=[_StopAtNonsense(), _MarkWhole(job.checkpoints), _TellProgress(job.progress)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _validation_dataset(job: TrainingJob, learner: _Learner, tokenizer: Any) -> Dataset | None:
    """The validation rows; None without any.

    Raises:
        StageFailedError: the best weights are to be kept, and nothing says which are.
    """
    read = None
    if job.validation_rows is not None:
        read = read_rows(job.validation_rows, tokenizer, job.config.max_length)
    if read is not None and read.rows:
        return _dataset(job, learner, read.rows)
    if job.config.keep_best_every is not None:
        raise StageFailedError(
            "training.keep_best_every needs validation rows, and there are none: raise dataset.validation_fraction, or "
            "--set training.keep_best_every=null to keep the last weights."
        )
    return None


def _dataset(job: TrainingJob, learner: _Learner, rows: list[EncodedRow]) -> Dataset:
    """One item a chunk: the rows that are on the device at once, as sequences."""
    micro = micro_batch_size(job.config.batch_size, job.execution.micro_batch_size)
    chunks = [_sequences(job.config, learner, chunk) for chunk in cut_into_chunks(rows, micro)]
    return Dataset.from_dict({"sequences": [[asdict(sequence) for sequence in chunk] for chunk in chunks]})


def _sequences(config: TrainingConfig, learner: _Learner, rows: list[EncodedRow]) -> list[TreeSequence]:
    if config.pack_episodes and learner.packs:
        return pack_rows(rows, config.max_length)
    return single_sequences(rows)


def _collator(config: TrainingConfig, learner: _Learner, tokenizer: Any) -> TreeCollator | PaddingCollator:
    filler = valid_padding(learner.model.config, tokenizer.pad_token_id)
    if not (config.pack_episodes and learner.packs):
        return PaddingCollator(filler)
    eager = learner.model.config._attn_implementation != "sdpa"
    return TreeCollator(filler, learner.model.dtype if eager else None)


def _settings(job: TrainingJob, model: Any) -> SFTConfig:
    config = job.config
    on_cpu = resolve_device(job.execution.device) == "cpu"
    micro = micro_batch_size(config.batch_size, job.execution.micro_batch_size)
    keeps_best = config.keep_best_every is not None
    return SFTConfig(
        output_dir=str(job.checkpoints),
        # An item of the dataset is a chunk of `micro` rows.
        per_device_train_batch_size=1,
        per_device_eval_batch_size=1,
        gradient_accumulation_steps=config.batch_size // micro,
        learning_rate=config.learning_rate,
        lr_scheduler_type="constant_with_warmup" if config.lr_scheduler == "constant" else config.lr_scheduler,
        # Below 1 it is a share.
        warmup_steps=config.warmup_steps if config.warmup_share is None else config.warmup_share,
        max_grad_norm=config.max_grad_norm,
        weight_decay=config.weight_decay,
        num_train_epochs=config.epochs,
        seed=job.seed,
        use_cpu=on_cpu,
        bf16=config.precision == "bf16",
        fp16=False,
        tf32=None,
        activation_checkpointing=not on_cpu and model.num_parameters() >= _CHECKPOINTING_FROM,
        save_strategy="steps",
        save_steps=config.keep_best_every or job.execution.save_every_steps,
        save_total_limit=2,
        # Every step: the mean over several would leave out, after a resume, those before the checkpoint.
        logging_steps=1,
        logging_nan_inf_filter=False,
        eval_strategy="steps" if keeps_best else "no",
        eval_steps=config.keep_best_every,
        load_best_model_at_end=keeps_best,
        metric_for_best_model="eval_loss" if keeps_best else None,
        greater_is_better=False if keeps_best else None,
        report_to="none",
        disable_tqdm=True,
        dataloader_num_workers=0,
        dataloader_pin_memory=not on_cpu,
        remove_unused_columns=False,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
    )


def _summarise(entries: list[dict[str, Any]]) -> list[dict[str, float]]:
    """One entry for every so many steps, the last one included: mean loss, and the last one's learning rate."""
    groups = [entries[first : first + _LOG_STEPS] for first in range(0, len(entries), _LOG_STEPS)]
    return [
        {
            "step": float(group[-1]["step"]),
            "loss": sum(float(entry["loss"]) for entry in group) / len(group),
            "learning_rate": float(group[-1]["learning_rate"]),
        }
        for group in groups
    ]


def _check_lengths(model_config: Any, max_length: int) -> None:
    """Raise StudentError where a row could change how the rows beside it are computed: see `one_regime_length`."""
    limit = one_regime_length(model_config)
    if limit is not None and max_length > limit:
        raise StudentError(
            f"training.max_length is {max_length:,}, but this model rotates positions by other angles in all rows of a "
            f"batch once one of them is longer than {limit:,} tokens. Rows must not change each other: --set "
            f"training.max_length={limit}. Longer rows are then left out and counted."
        )


def _check_rows(model_config: Any, rows: list[EncodedRow]) -> None:
    """Raise StudentError where a row has a token, or a place, that the model does not know."""
    size = num_ids(model_config)
    for row in rows:
        check_ids(size, row.prompt + row.completion)
    context = getattr(model_config.get_text_config(), "max_position_embeddings", None)
    longest = max(row.length for row in rows)
    if context is not None and longest > context:
        raise StudentError(
            f"The longest row to train on has {longest:,} tokens, but the model reads at most {context:,} "
            f"(max_position_embeddings in its config.json): --set training.max_length={context}. Longer rows are then "
            "left out and counted."
        )


def _lora_config(config: TrainingConfig) -> LoraConfig:
    lora = config.lora
    modules = lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules)
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=modules,
        task_type="CAUSAL_LM",
    )


def _stored_dtype(base: Path | str) -> torch.dtype:
    """The precision in which a model's weights are stored, and will be again."""
    from transformers import AutoConfig

    dtype = AutoConfig.from_pretrained(str(base)).dtype
    return dtype if isinstance(dtype, torch.dtype) else torch.float32
