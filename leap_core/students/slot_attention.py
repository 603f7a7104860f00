"""Attention on a CPU over rows of unlike length: no padding, and keys that several heads share are read once.

A decoding step does little arithmetic and reads the whole cache, so on a CPU it is bound by memory. Each row is read to
its own end only; but neighbours of like length share a call, since a call costs something, too.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

SLOT_ATTENTION = "leap_slots"
"""The name by which models use it; see `use_slot_attention`."""

_CALL_COST = 200_000
"""What a call costs beside its arithmetic, in the unit of `_cost`: some 50 microseconds, measured on two cores."""


class Piece(NamedTuple):
    """Tokens of one row that a forward pass computes: `num_new` of them, after the `known` ones that the row holds."""

    row: int
    known: int
    num_new: int


class Run(NamedTuple):
    """Neighbouring rows of the cache, from `first` to before `stop`, that share a call.

    Attributes:
        length: keys that are read of each row.
        queries: places for new tokens of each row; not all need be taken.
        tokens: which tokens of the pass stand in the rows x queries places; some token where there is none.
        real: which places hold a token, in the order of the tokens; None: all.
        mask: what is added to the scores, rows x 1 x queries x keys; None: nothing is hidden.
    """

    first: int
    stop: int
    length: int
    queries: int
    tokens: slice | torch.Tensor
    real: torch.Tensor | None
    mask: torch.Tensor | None


def use_slot_attention(model: Any) -> None:
    """Make `model` use it in forward passes that say `runs` and hold their tokens in one row."""
    AttentionInterface.register(SLOT_ATTENTION, attend)
    model.set_attn_implementation(SLOT_ATTENTION)


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: Any,
    scaling: float,
    runs: Sequence[Run] | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention in the form that transformers expects: 1 x heads x tokens x size in, 1 x tokens x heads x size out.

    `key` and `value` are the whole cache: rows x heads x places x size. Without `runs` they are what sdpa expects.
    """
    if runs is None:
        output: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
        return output
    parts = [_attend_run(query[0], key, value, scaling, run) for run in runs]
    return (torch.cat(parts) if len(parts) > 1 else parts[0]).unsqueeze(0), None


def _attend_run(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float, run: Run) -> torch.Tensor:
    num_rows = run.stop - run.first
    num_heads, _, size = query.shape
    keys, values = key[run.first : run.stop, :, : run.length], value[run.first : run.stop, :, : run.length]
    asked = query[:, run.tokens].reshape(num_heads, num_rows, run.queries, size).transpose(0, 1)
    if run.queries == 1:
        # Heads that share keys become queries of one head, so that the mask need not be repeated for them.
        asked = asked.reshape(num_rows, key.shape[1], -1, size)
    grouped = asked.shape[1] != key.shape[1]
    found = scaled_dot_product_attention(asked, keys, values, run.mask, scale=scaling, enable_gqa=grouped)
    found = found.reshape(num_rows, num_heads, run.queries, size).transpose(1, 2).reshape(-1, num_heads, size)
    return found if run.real is None else found[run.real]


def plan_runs(pieces: Sequence[Piece], size: int, ladder: torch.Tensor) -> list[Run]:
    """Say how rows are attended.

    Args:
        pieces: in the order of their rows, at most one of each.
        size: numbers in the keys of one token.
        ladder: see `make_ladder`; at least as long as the longest row.
    """
    runs, start = [], 0
    for first, stop in group(pieces, size):
        end = start + sum(piece.num_new for piece in pieces[first:stop])
        runs.append(_make_run(pieces[first:stop], start, end, ladder))
        start = end
    return runs


def group(pieces: Sequence[Piece], size: int) -> list[tuple[int, int]]:
    """Cut the pieces into neighbours that share a call where that costs less than a call of their own."""
    found, first = [], 0
    queries, length = pieces[0].num_new, pieces[0].known + pieces[0].num_new
    for number, piece in enumerate(pieces[1:], start=1):
        most, longest = max(queries, piece.num_new), max(length, piece.known + piece.num_new)
        apart = _cost(pieces[number - 1].row - pieces[first].row + 1, queries, length, size) + _cost(
            1, piece.num_new, piece.known + piece.num_new, size
        )
        if _cost(piece.row - pieces[first].row + 1, most, longest, size) > apart:
            found.append((first, number))
            first, most, longest = number, piece.num_new, piece.known + piece.num_new
        queries, length = most, longest
    return [*found, (first, len(pieces))]


def _cost(num_rows: int, queries: int, length: int, size: int) -> int:
    """Of one call, in multiplications and what takes as long: reading a key costs as much as two of its queries."""
    return _CALL_COST + num_rows * length * size * (2 + queries)


def _make_run(pieces: Sequence[Piece], start: int, end: int, ladder: torch.Tensor) -> Run:
    """One run; its tokens are those from `start` to before `end` of the pass."""
    first, stop = pieces[0].row, pieces[-1].row + 1
    queries = max(piece.num_new for piece in pieces)
    length = max(piece.known + piece.num_new for piece in pieces)
    if (stop - first) * queries == end - start:
        tokens, real = slice(start, end), None
    else:
        real = torch.tensor(
            [(piece.row - first) * queries + number for piece in pieces for number in range(piece.num_new)]
        )
        tokens = torch.full(((stop - first) * queries,), start)
        tokens[real] = torch.arange(start, end)
    mask = None
    if queries > 1 or real is not None or any(piece.known + 1 < length for piece in pieces):
        positions = torch.zeros((stop - first) * queries, dtype=torch.long)
        seen = torch.tensor([piece.known + number for piece in pieces for number in range(piece.num_new)])
        positions[slice(None) if real is None else real] = seen
        mask = ladder[:, :length][ladder.shape[1] - 1 - positions].view(stop - first, 1, queries, length)
    return Run(first, stop, length, queries, tokens, real, mask)


def make_ladder(length: int, dtype: torch.dtype) -> torch.Tensor:
    """Masks of all positions below `length`: row `length - 1 - p` hides what comes after p. A view of two rows."""
    ends = torch.zeros(2 * length, dtype=dtype)
    ends[length:] = torch.finfo(dtype).min
    return ends.unfold(0, length, 1)
