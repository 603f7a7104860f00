"""Generation for many episodes at once over the slot cache: prefill what is new, then decode step by step.

Rows are padded on the left, so that the last position of every row is its newest token and the language-model
head runs on that position alone.
"""

import inspect
from collections.abc import Sequence
from typing import Any

import torch

from leap_core.students.decoding import Reply, choose
from leap_core.students.slots import SlotCache, SlotTable, common_prefix

_SHRINK_BELOW = 0.85
"""The batch is narrowed when less than this share of its rows is still being written: swapping rows costs, too."""


class SlotEngine:
    """Writes replies with one model. `table` says which episode holds which row."""

    def __init__(self, model: Any, device: str, max_rows: int, temperature: float) -> None:
        self._model = model
        self._device = device
        self._temperature = temperature
        self._cache = SlotCache(model.config.get_text_config().num_hidden_layers)
        self.table = SlotTable(self._cache, max_rows)
        self._keep_last = {"logits_to_keep": 1} if _takes_logits_to_keep(model) else {}

    def write(self, slots: Sequence[str], prompts: Sequence[list[int]], replies: Sequence[Reply]) -> None:
        """Write each reply to its end; the episodes' rows then hold their prompts."""
        with torch.inference_mode():
            self._write(slots, prompts, replies)

    def _write(self, slots: Sequence[str], prompts: Sequence[list[int]], replies: Sequence[Reply]) -> None:
        start, order = self.table.place(slots, prompts)
        rows = [replies[index] for index in order]
        wanted = [list(prompts[index]) + replies[index].begin() for index in order]
        held = self.table.tokens[start : start + len(order)]
        # The last token is always computed: its logits are what the reply begins with.
        known = [min(common_prefix(old, new), len(new) - 1) for old, new in zip(held, wanted, strict=True)]
        for row, length in zip(held, known, strict=True):
            del row[length:]
        self._cache.reserve(len(self.table.tokens), max(map(len, wanted)))
        feeds = [new[length:] for new, length in zip(wanted, known, strict=True)]
        logits = self._forward(start, feeds, known)
        for row, feed in zip(held, feeds, strict=True):
            row.extend(feed)
        self._decode(start, rows, logits, [len(new) for new in wanted])

    def _decode(self, start: int, rows: list[Reply], logits: torch.Tensor, known: list[int]) -> None:
        """Choose the next token of each row, feed it, and so on until all replies are done."""
        while True:
            chosen = choose(logits, rows, self._temperature)
            feeds = [[] if reply.done else reply.accept(token) for reply, token in zip(rows, chosen, strict=True)]
            rows, feeds, known = self._shrink(start, rows, feeds, known)
            if not rows:
                return
            # A finished row still in the window repeats a token that nobody reads, after the end of its prompt.
            feeds = [[0] if reply.done else feed for reply, feed in zip(rows, feeds, strict=True)]
            logits = self._forward(start, feeds, known)
            known = [
                length if reply.done else length + len(feed)
                for reply, length, feed in zip(rows, known, feeds, strict=True)
            ]

    def _shrink(
        self, start: int, rows: list[Reply], feeds: list[list[int]], known: list[int]
    ) -> tuple[list[Reply], list[list[int]], list[int]]:
        """Move the rows that are still being written to the front and drop the rest, once that is worth it."""
        live = [row for row, reply in enumerate(rows) if not reply.done]
        size = len(live)
        if size and size > _SHRINK_BELOW * len(rows):
            return rows, feeds, known
        back = [row for row in live if row >= size]
        holes = [row for row in range(size) if rows[row].done]
        self.table.swap([start + row for row in back], [start + row for row in holes])
        order = list(range(size))
        for hole, row in zip(holes, back, strict=True):
            order[hole] = row
        return [rows[row] for row in order], [feeds[row] for row in order], [known[row] for row in order]

    def _forward(self, start: int, feeds: list[list[int]], known: list[int]) -> torch.Tensor:
        """Run the model on new tokens of each row; return the logits after each row's last one."""
        width = max(map(len, feeds))
        visible = max(length + len(feed) for length, feed in zip(known, feeds, strict=True))
        self._cache.reserve(0, visible)
        spill = self._cache.capacity - 1
        ids = torch.tensor([[0] * (width - len(feed)) + feed for feed in feeds], device=self._device)
        last = torch.tensor([length + len(feed) for length, feed in zip(known, feeds, strict=True)])
        offsets = torch.arange(-width, 0)
        first = torch.tensor(known).unsqueeze(1)
        places = last.unsqueeze(1) + offsets
        padding = places < first
        positions = places.masked_fill(padding, 0).to(self._device)
        self._cache.aim(start, places.masked_fill(padding, spill).to(self._device), visible)
        output = self._model(
            input_ids=ids,
            position_ids=positions,
            attention_mask=self._mask(positions, visible),
            past_key_values=self._cache,
            use_cache=True,
            **self._keep_last,
        )
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def _mask(self, positions: torch.Tensor, visible: int) -> torch.Tensor:
        """Each query sees the tokens of its row up to its own position: rows x 1 x queries x keys."""
        hidden = torch.arange(visible, device=self._device) > positions.unsqueeze(-1)
        # Added to the scores: a mask of booleans would be turned into this anew by every layer.
        mask = torch.zeros(hidden.shape, dtype=self._model.dtype, device=self._device)
        return mask.masked_fill_(hidden, torch.finfo(mask.dtype).min).unsqueeze(1)


def _takes_logits_to_keep(model: Any) -> bool:
    return "logits_to_keep" in inspect.signature(type(model).forward).parameters
