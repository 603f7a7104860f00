"""Attention on a CPU: each row reads its own keys and values only, not up to the length of the longest row.

A decoding step does little arithmetic and reads the whole cache, so on a CPU it is bound by memory bandwidth. Rows of
different lengths in one call would all be read to the end of the longest. Neighbours of like length share a call, since
a call costs something, too.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

SLOT_ATTENTION = "leap_slots"
"""The name by which models use it; see `use_slot_attention`."""

_MAX_WASTE = 0.1
"""Rows share a call while not more than this share of what it reads is beyond their ends."""


def use_slot_attention(model: Any) -> None:
    """Make `model` use it. Every forward pass may then say `row_lengths`, the tokens that each row holds."""
    AttentionInterface.register(SLOT_ATTENTION, attend)
    model.set_attn_implementation(SLOT_ATTENTION)


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    scaling: float,
    row_lengths: Sequence[int] | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention in the form that transformers expects: rows x heads x tokens x size in, rows x tokens x heads out."""
    if row_lengths is None:
        output: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
        return output
    parts = [
        sdpa_attention_forward(
            module,
            query[first:stop],
            key[first:stop, :, :length],
            value[first:stop, :, :length],
            attention_mask[first:stop, :, :, :length],
            scaling=scaling,
            **kwargs,
        )[0]
        for first, stop, length in runs(row_lengths)
    ]
    return torch.cat(parts), None


def runs(lengths: Sequence[int]) -> list[tuple[int, int, int]]:
    """Cut rows into neighbours of like length: first row, row after the last, longest length of each run."""
    found = []
    first, longest, total = 0, 0, 0
    for row, length in enumerate(lengths):
        reach = max(longest, length) * (row - first + 1)
        if row > first and reach > (1 + _MAX_WASTE) * (total + length):
            found.append((first, row, longest))
            first, longest, total = row, 0, 0
        longest, total = max(longest, length), total + length
    return [*found, (first, len(lengths), longest)]
