"""The model in training: how its start is loaded, what must hold of it, and how it is written when done."""

import math
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoConfig

from leap_core.config import TrainingConfig
from leap_core.errors import StageFailedError, StudentError
from leap_core.students.architecture import check_ids, num_ids, one_regime_length
from leap_core.students.encoding import end_ids
from leap_core.students.loading import base_of_adapter, is_adapter, load_adapter, load_model, wrapping_in_adapter
from leap_core.students.matching import ADAPTER_NAME
from leap_core.trainers.export import export_adapter, export_model, make_generation_savable
from leap_core.trainers.rows import EncodedRow

DIVERGED_ADVICE = "Lower training.learning_rate, or check that the model it starts from is sound."


class Learner:
    """The model in training. `config` is its configuration as it was loaded: trainers change that of the model."""

    def __init__(self, model: Any, base: Path | str, dtype: torch.dtype, config: Any) -> None:
        self.model = model
        self.config = deepcopy(config)
        self._base = base
        self._dtype = dtype

    @classmethod
    def load(cls, start: Path | str, config: TrainingConfig) -> "Learner":
        """Load `start` ready to train: in fp32 where weights change, frozen ones in that of the training.

        The weights of a new adapter are drawn at random: set the seed before.

        Raises:
            StudentError: it cannot be loaded, or `training.max_length` is beyond what it computes row by row.
        """
        lora = config.method == "lora"
        base = base_of_adapter(start) if is_adapter(start) else start
        model = load_model(base, torch.bfloat16 if lora and config.precision == "bf16" else torch.float32)
        config_as_loaded = model.config
        make_generation_savable(model)
        _check_lengths(model.config, config.max_length)
        if is_adapter(start):
            model = load_adapter(model, start, is_trainable=lora)
            # PEFT reads this when it saves, and would take the relative name for a hub id.
            model.peft_config[ADAPTER_NAME].base_model_name_or_path = str(base)
            model = model if lora else model.merge_and_unload().requires_grad_(True)
        elif lora:
            with wrapping_in_adapter():
                model = get_peft_model(model, _lora_config(config))
        return cls(model, base, _stored_dtype(base), config_as_loaded)

    @property
    def is_adapter(self) -> bool:
        """Whether only a low-rank adapter is trained, so that the model without it is still there."""
        return isinstance(self.model, PeftModel)

    def check_rows(self, rows: Sequence[EncodedRow]) -> None:
        """Raise StudentError where a row has a token, or a position, that the model does not know."""
        size = num_ids(self.model.config)
        for row in rows:
            check_ids(size, row.prompt + row.completion + (row.rejected or []))
        context = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        longest = max(row.length for row in rows)
        if context is not None and longest > context:
            raise StudentError(
                f"The longest row to train on has {longest:,} tokens, but the model reads at most {context:,} "
                f"(max_position_embeddings in its config.json): --set training.max_length={context}. Longer rows are "
                "then left out and counted."
            )

    def check(self, validation_loss: float | None) -> None:
        """Raise StageFailedError where the last update broke the model: no later loss would show it."""
        broken = next((name for name, values in self.model.named_parameters() if self._is_broken(values)), None)
        if broken is None and math.isfinite(validation_loss or 0.0):
            return
        what = f"{broken} is not finite as {self._dtype}" if broken else f"the validation loss is {validation_loss}"
        raise StageFailedError(
            f"The training diverged at its last step: {what}. Nothing is published. {DIVERGED_ADVICE}"
        )

    def _is_broken(self, values: torch.Tensor) -> bool:
        # All weights are written in the precision they were stored in; an adapter in the one it was trained in.
        stored = values.detach() if self.is_adapter else values.detach().to(self._dtype)
        return values.requires_grad and not bool(torch.isfinite(stored).all())

    def export(self, model: Any, tokenizer: Any, output: Path) -> None:
        """Write the trained `model`, without what its trainer wrapped around it, to `output`."""
        if isinstance(model, PeftModel):
            export_adapter(model, tokenizer, output, self._base)
            return
        if hasattr(model.config, "output_router_logits"):  # trainers switch it on, and playing has no use for it
            model.config.output_router_logits = self.config.output_router_logits
        export_model(model, tokenizer, output, self._dtype, end_ids(tokenizer))


def _check_lengths(model_config: Any, max_length: int) -> None:
    """Raise StudentError where a row could change how the rows beside it are computed: see `one_regime_length`."""
    limit = one_regime_length(model_config)
    if limit is not None and max_length > limit:
        raise StudentError(
            f"training.max_length is {max_length:,}, but this model rotates positions by other angles in all rows of a "
            f"batch once one of them is longer than {limit:,} tokens. Rows must not change each other: --set "
            f"training.max_length={limit}. Longer rows are then left out and counted."
        )


def _lora_config(config: TrainingConfig) -> LoraConfig:
    lora, modules = config.lora, config.lora.target_modules
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=modules if isinstance(modules, str) else list(modules),
        task_type="CAUSAL_LM",
    )


def _stored_dtype(base: Path | str) -> torch.dtype:
    """The precision in which a model's weights are stored, and will be again."""
    dtype = AutoConfig.from_pretrained(str(base)).dtype
    return dtype if isinstance(dtype, torch.dtype) else torch.float32
