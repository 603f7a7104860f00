"""The loss of supervised fine-tuning, computed where there are labels and nowhere else.

TRL's trainer scores every position on a CPU, the prompts' too, and computes each logit twice: of a model with 49,152
tokens, that was a third of all work. On a GPU its kernel is the better way, and is used.
"""

from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from trl import SFTTrainer

from leap_core.trainers.packing import IGNORED

_MOST_LOGITS = 2**27
"""Logits that are held at once while the loss is computed, in numbers: those of more tokens are computed twice."""

_PROBE = 8
"""Token ids that the head is tried on."""


class LabelledTokensTrainer(SFTTrainer):  # type: ignore[misc]
    """TRL's trainer; on a CPU the head runs on the hidden states before labelled tokens only."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._own_head = self.args.device.type == "cpu" and not self.aux_loss_enabled and has_plain_head(self.model)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The summed loss of the labelled tokens over `num_items_in_batch`; without that, over their number."""
        if return_outputs or not self._own_head:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels = inputs["labels"][:, 1:]
        wanted = labels != IGNORED
        read = {name: value for name, value in inputs.items() if name != "labels"}
        # Of its own accord, only the forward of the whole model computes in the lower precision.
        with self.accelerator.autocast():
            states = _backbone(model)(**read, use_cache=False).last_hidden_state[:, :-1][wanted]
            total = summed_loss(_causal_model(model).get_output_embeddings(), states, labels[wanted], _MOST_LOGITS)
        return total / (max(int(wanted.sum()), 1) if num_items_in_batch is None else num_items_in_batch)


def _causal_model(model: Any) -> Any:
    """The causal language model itself, without what an adapter wraps around it; the adapter's layers are inside."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _backbone(model: Any) -> Any:
    return _causal_model(model).base_model


def has_plain_head(model: Any) -> bool:
    """Whether the logits are the head of the hidden states and nothing else: some models scale or cap them."""
    ids = torch.arange(_PROBE).unsqueeze(0) % model.config.get_text_config().vocab_size
    was_training = model.training
    model.eval()
    with torch.no_grad():
        hidden = _backbone(model)(input_ids=ids, use_cache=False).last_hidden_state
        mine, real = _causal_model(model).get_output_embeddings()(hidden), model(input_ids=ids, use_cache=False).logits
    model.train(was_training)
    return mine.shape == real.shape and bool(torch.allclose(mine.float(), real.float(), rtol=1e-4, atol=1e-5))


def summed_loss(head: Any, hidden: torch.Tensor, targets: torch.Tensor, most_logits: int) -> torch.Tensor:
    """The summed cross-entropy of `targets` (tokens) after the `hidden` states (tokens x size).

    Where there are more than `most_logits` logits, they are made in parts, and made again for the gradients.
    """

    def loss_of(states: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(head(states).float(), wanted, reduction="sum")

    at_once = max(most_logits // head.weight.shape[0], 1)
    if len(targets) <= at_once:
        return loss_of(hidden, targets)
    parts = zip(hidden.split(at_once), targets.split(at_once), strict=True)
    return torch.stack([checkpoint(loss_of, *part, use_reentrant=False) for part in parts]).sum()
