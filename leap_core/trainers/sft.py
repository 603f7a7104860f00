"""Supervised fine-tuning on corrected answers, through TRL (paper, section 3.2).

The loss is the mean over the answers' tokens, end-of-turn token included; prompts are read, not learned. A batch has so
many rows that stand together in the file, in parts of those that are on the device at once. With `pack_episodes`, the
rows of an episode in a batch share their common history (packing.py), which changes the cost, not the loss.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from leap_core.config import Section, TrainingConfig, read_params
from leap_core.trainers.base import TrainingJob, TrainingResult
from leap_core.trainers.rows import EncodedRow

if TYPE_CHECKING:
    from leap_core.trainers.trl_setup import ExactTrainer, Part, TrlSetup


class SftParams(Section):
    """Settings of this trainer, `training.params`. All of them bear identity."""

    pack_episodes: bool = Field(True, description="Rows of an episode in one batch share their common prefix.")


class SftTrainer:
    """Fine-tunes all weights or a low-rank adapter on the rows' completions."""

    name = "sft"

    @classmethod
    def check(cls, config: TrainingConfig) -> None:
        """Raise ConfigError where a setting is wrong."""
        _params_of(config)

    def train(self, job: TrainingJob) -> TrainingResult:
        """Train to the end; see `train_through_trl` for what it raises."""
        # Here and below, not above: TRL takes seconds to import, and every command checks its settings.
        from leap_core.trainers.trl_setup import train_through_trl

        return train_through_trl(job, _make)


def _params_of(config: TrainingConfig) -> SftParams:
    return read_params(config.params, SftParams, "training.params")


def _make(setup: "TrlSetup") -> "ExactTrainer":
    from trl import SFTConfig

    from leap_core.students.architecture import takes_own_mask, valid_padding
    from leap_core.trainers.packing import PaddingCollator, TreeCollator, group_by_length, pack_rows, single_sequences
    from leap_core.trainers.sft_loss import LabelledTokensTrainer

    model, config = setup.learner.model, setup.job.config
    packs = _params_of(config).pack_episodes and takes_own_mask(setup.learner.config)
    filler = valid_padding(model.config, setup.tokenizer.pad_token_id)
    float_mask = model.dtype if model.config._attn_implementation != "sdpa" else None

    def cut(rows: list[EncodedRow], at_once: int) -> Sequence["Part"]:
        sequences = pack_rows(rows, config.max_length, at_once) if packs else single_sequences(rows)
        return [[vars(one) for one in group] for group in group_by_length(sequences, at_once)]

    return setup.make(
        LabelledTokensTrainer,
        SFTConfig(**setup.arguments(), max_length=None),
        cut=cut,
        collate=TreeCollator(filler, float_mask) if packs else PaddingCollator(filler),
        measure=_measure,
    )


def _measure(trainer: Any, inputs: dict[str, Any]) -> tuple[float, int]:
    """The mean loss of the answers' tokens, and how many they are."""
    from leap_core.trainers.packing import IGNORED

    number = int((inputs["labels"][:, 1:] != IGNORED).sum())
    return float(trainer.compute_loss(trainer.model_wrapped, inputs)), number
