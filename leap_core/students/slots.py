"""Keys and values of many episodes, kept from turn to turn, so that each turn computes only what is new.

Each episode has a row. A row keeps its tokens after its episode is over: the next episode that takes the row often
starts with the same instructions.
"""

from collections.abc import Container, Sequence
from typing import Any

import torch
from transformers import Cache

_LENGTH_STEP = 128
"""Rows grow by multiples of so many tokens."""


class SlotCache(Cache):  # type: ignore[misc]
    """Keys and values per layer, laid out as rows x heads x tokens x head size.

    The last token place of every row takes what is computed for padding; nothing ever reads it.
    """

    def __init__(self, num_layers: int, longest: int | None = None) -> None:
        """An empty cache; no row is ever longer than `longest` tokens, if that is known."""
        super().__init__(layers=[])
        self.keys: list[torch.Tensor | None] = [None] * num_layers
        self.values: list[torch.Tensor | None] = [None] * num_layers
        self.num_rows = 0
        self.capacity = 0
        self._longest = longest
        self._rows: Any = None
        self._places: Any = None
        self._window = (0, 0, 0)
        self._num_used = 0

    def reserve(self, num_rows: int, num_tokens: int) -> None:
        """Make room for so many rows of so many tokens; what is there is kept."""
        if num_tokens + 1 > self.capacity:  # one place is for padding
            # Half as much again as is needed, so that a growing history is not copied at every turn.
            ahead = num_tokens * 3 // 2
            if self._longest is not None:
                ahead = max(num_tokens, min(ahead, self._longest))
            self.capacity = -(-(ahead + 1) // _LENGTH_STEP) * _LENGTH_STEP
        self.num_rows = max(self.num_rows, num_rows)
        for tensors in (self.keys, self.values):
            for layer, old in enumerate(tensors):
                if old is not None and (old.shape[0] < self.num_rows or old.shape[2] < self.capacity):
                    tensors[layer] = self._enlarged(old)

    def _enlarged(self, old: torch.Tensor) -> torch.Tensor:
        new = old.new_zeros((self.num_rows, old.shape[1], self.capacity, old.shape[3]))
        new[: old.shape[0], :, : old.shape[2]] = old
        return new

    def aim(self, rows: torch.Tensor, places: torch.Tensor, window: tuple[int, int, int]) -> None:
        """Say where the next forward pass writes, and what it reads.

        Args:
            rows: of each token of the pass; like `places`, in a shape that fits batch x tokens.
            places: of each token in its row.
            window: the first row that the layers see, the number of rows, and the number of token places.
        """
        self._rows, self._places, self._window = rows, places, window
        self._num_used = max(self._num_used, window[2])

    def swap(self, first: Sequence[int], second: Sequence[int]) -> None:
        """Swap the rows `first[i]` and `second[i]`, for each i."""
        if not first:
            return
        for tensor in (*self.keys, *self.values):
            if tensor is not None:
                to = torch.tensor([*first, *second], device=tensor.device)
                source = torch.tensor([*second, *first], device=tensor.device)
                used = tensor[:, :, : self._num_used]
                used[to] = used[source]

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write new keys and values (rows x heads x tokens x size) where `aim` said; return all that is visible."""
        keys = self._write(self.keys, layer_idx, key_states)
        return keys, self._write(self.values, layer_idx, value_states)

    def _write(self, tensors: list[torch.Tensor | None], layer: int, states: torch.Tensor) -> torch.Tensor:
        tensor = tensors[layer]
        if tensor is None:
            # Zeros, not empty memory: a masked place still takes part as 0 times its value, and 0 x NaN is NaN.
            shape = (self.num_rows, states.shape[1], self.capacity, states.shape[3])
            tensor = tensors[layer] = states.new_zeros(shape)
        tensor[self._rows, :, self._places] = states.transpose(1, 2)
        start, num_rows, num_visible = self._window
        return tensor[start : start + num_rows, :, :num_visible]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Number of cached tokens before the ones being computed; only models that build their own masks ask for it."""
        return self._window[2] - (0 if self._places is None else self._places.shape[1])


class SlotTable:
    """Which episode has which row, and which tokens each row holds. At most `max_rows` rows."""

    def __init__(self, cache: SlotCache, max_rows: int) -> None:
        self.cache = cache
        self.max_rows = max_rows
        self.tokens: list[list[int]] = []
        self._owners: list[str | None] = []
        self._used: list[int] = []
        self._clock = 0

    def release(self, slots: Sequence[str]) -> None:
        """Give up the rows of these episodes; their tokens stay for whoever comes next.

        When no episode is left, nothing is kept: what is played then must not depend on what was played before it.
        """
        gone = set(slots)
        self._owners = [None if owner in gone else owner for owner in self._owners]
        if not any(self._owners):
            self.tokens = [[] for _ in self.tokens]

    def row_of(self, slot: str) -> int:
        """The row of an episode that has one."""
        return self._owners.index(slot)

    def seat(self, slot: str, prompt: Sequence[int], busy: Container[str] = ()) -> bool:
        """See that the episode has a row; False where every row belongs to a `busy` one.

        It keeps the row that it has. Another gets the free row that shares most with its prompt, or a new one. When all
        are taken, the row that was used least recently is given away, and its episode is computed anew later.
        """
        row = self._owners.index(slot) if slot in self._owners else self._find_row(prompt, busy)
        if row is None:
            return False
        self._clock += 1
        self._owners[row], self._used[row] = slot, self._clock
        return True

    def _find_row(self, prompt: Sequence[int], busy: Container[str]) -> int | None:
        free = [row for row, owner in enumerate(self._owners) if owner is None]
        if free:
            return max(free, key=lambda row: common_prefix(self.tokens[row], prompt))
        if len(self._owners) < self.max_rows:
            self._owners.append(None)
            self.tokens.append([])
            self._used.append(0)
            return len(self._owners) - 1
        idle = [row for row, owner in enumerate(self._owners) if owner not in busy]
        return min(idle, key=lambda row: self._used[row], default=None)

    def gather(self, slots: Sequence[str]) -> int:
        """Swap rows so that those of these episodes become neighbours; return where they start."""
        rows, size = sorted(self.row_of(slot) for slot in slots), len(slots)
        starts = [min(row, len(self._owners) - size) for row in rows]
        start = max(starts, key=lambda first: sum(first <= row < first + size for row in rows))
        wanted = set(rows)
        outside = [row for row in rows if not start <= row < start + size]
        holes = [row for row in range(start, start + size) if row not in wanted]
        self.swap(outside, holes)
        return start

    def swap(self, first: Sequence[int], second: Sequence[int]) -> None:
        """Swap rows with all that belongs to them."""
        self.cache.swap(first, second)
        for a, b in zip(first, second, strict=True):
            self.tokens[a], self.tokens[b] = self.tokens[b], self.tokens[a]
            self._owners[a], self._owners[b] = self._owners[b], self._owners[a]
            self._used[a], self._used[b] = self._used[b], self._used[a]


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """How many leading tokens two sequences share."""
    limit = min(len(first), len(second))
    if first[:limit] == second[:limit]:
        return limit
    return next(index for index in range(limit) if first[index] != second[index])
