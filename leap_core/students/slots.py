"""Keys and values of many episodes, kept from turn to turn, so that each turn computes only what is new.

Each episode has a row. The rows of one batch lie next to each other (the window), so that the model reads them as
a view; rows that are in the wrong place are swapped, which happens when episodes end. A row keeps its tokens after
its episode is over: the next episode that takes the row often starts with the same instructions.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import Cache

_LENGTH_STEP = 128
"""Rows grow by multiples of so many tokens."""


class SlotCache(Cache):  # type: ignore[misc]
    """Keys and values per layer, laid out as rows x heads x tokens x head size.

    The last token place of every row takes what is computed for padding; nothing ever reads it.
    """

    def __init__(self, num_layers: int) -> None:
        super().__init__(layers=[])
        self.keys: list[torch.Tensor | None] = [None] * num_layers
        self.values: list[torch.Tensor | None] = [None] * num_layers
        self.num_rows = 0
        self.capacity = 0
        self._rows: Any = None
        self._places: Any = None
        self._window = (0, 0, 0)
        self._num_used = 0

    def reserve(self, num_rows: int, num_tokens: int) -> None:
        """Make room for so many rows of so many tokens; what is there is kept."""
        if num_tokens + 1 > self.capacity:  # one place is for padding
            # Half as much again as is needed, so that a growing history is not copied at every turn.
            self.capacity = -(-(num_tokens * 3 // 2) // _LENGTH_STEP) * _LENGTH_STEP
        self.num_rows = max(self.num_rows, num_rows)
        for tensors in (self.keys, self.values):
            for layer, old in enumerate(tensors):
                if old is not None and (old.shape[0] < self.num_rows or old.shape[2] < self.capacity):
                    tensors[layer] = self._enlarged(old)

    def _enlarged(self, old: torch.Tensor) -> torch.Tensor:
        new = old.new_zeros((self.num_rows, old.shape[1], self.capacity, old.shape[3]))
        new[: old.shape[0], :, : old.shape[2]] = old
        return new

    def aim(self, start: int, places: torch.Tensor, num_visible: int) -> None:
        """Say where the next forward pass writes: `places` (rows x tokens) of the rows from `start` on.

        The layers then see the first `num_visible` token places of these rows.
        """
        num_rows = places.shape[0]
        self._rows = torch.arange(start, start + num_rows, device=places.device).unsqueeze(1)
        self._places = places
        self._window = (start, num_rows, num_visible)
        self._num_used = max(self._num_used, num_visible)

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
    """Which episode has which row, and which tokens each row holds. At most `max_rows` rows.

    When all rows are taken, the row that was used least recently is given away, and its episode is computed anew later.
    """

    def __init__(self, cache: SlotCache, max_rows: int) -> None:
        self.cache = cache
        self.max_rows = max_rows
        self.tokens: list[list[int]] = []
        self._owners: list[str | None] = []
        self._used: list[int] = []
        self._clock = 0

    def release(self, slots: Sequence[str]) -> None:
        """Give up the rows of these episodes; their tokens stay for whoever comes next."""
        gone = set(slots)
        self._owners = [None if owner in gone else owner for owner in self._owners]

    def place(self, slots: Sequence[str], prompts: Sequence[Sequence[int]]) -> tuple[int, list[int]]:
        """Give each episode a row, all rows next to each other.

        Returns:
            The first row of the window, and for each row of the window the index of its episode in `slots`.
        """
        self._clock += 1
        self._make_rows(slots)
        indexes = {slot: index for index, slot in enumerate(slots)}
        rows = {owner: row for row, owner in enumerate(self._owners) if owner in indexes}
        for slot, index in indexes.items():
            row = rows.get(slot)
            if row is None:
                row = self._take_row(prompts[index], taken=set(rows.values()))
                rows[slot] = row
                self._owners[row] = slot
            self._used[row] = self._clock
        start = self._gather(sorted(rows.values()))
        window = self._owners[start : start + len(slots)]
        return start, [indexes[owner] for owner in window if owner is not None]

    def _make_rows(self, slots: Sequence[str]) -> None:
        live = {owner for owner in self._owners if owner is not None}
        for _ in range(len(self._owners), min(self.max_rows, len(live.union(slots)))):
            self._owners.append(None)
            self.tokens.append([])
            self._used.append(0)

    def _take_row(self, prompt: Sequence[int], taken: set[int]) -> int:
        free = [row for row, owner in enumerate(self._owners) if owner is None]
        if free:
            return max(free, key=lambda row: common_prefix(self.tokens[row], prompt))
        return min((row for row in range(len(self._owners)) if row not in taken), key=lambda row: self._used[row])

    def _gather(self, rows: list[int]) -> int:
        """Swap rows so that `rows` become neighbours; return where they start."""
        size = len(rows)
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
