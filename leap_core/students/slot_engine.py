"""Generation for many episodes at once over the slot cache: prefill what is new, then decode step by step.

Rows are padded on the left, so that the last position of every row is its newest token and the language-model
head runs on that position alone.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any

import torch

from leap_core.students.decoding import Reply, Sampling, choose
from leap_core.students.slot_attention import use_slot_attention
from leap_core.students.slots import SlotCache, SlotTable, common_prefix

_SHRINK_BELOW = 0.4
"""The batch is narrowed when less than this share of its rows is still being written: swapping rows costs, too."""

_MAX_TOKENS_AT_ONCE = 32_768
"""Tokens, padding included, in one forward pass: more rows than that are prefilled in turns."""


@dataclass
class _Row:
    """One row of the window: `feed` are its next tokens to compute, after `known` tokens that the cache holds.

    An idle row only waits for the others: it repeats a token that nobody reads, after the end of its prompt.
    """

    reply: Reply
    feed: list[int]
    known: int
    idle: bool = False

    def take(self, token: int) -> None:
        """Go on with the token chosen for this row."""
        fed = [] if self.reply.done else self.reply.accept(token)
        self.idle = self.reply.done
        self.feed = [0] if self.idle else fed


class SlotEngine:
    """Writes replies with one model. `table` says which episode holds which row."""

    def __init__(self, model: Any, device: str, max_rows: int, sampling: Sampling) -> None:
        self._model = model
        self._device = device
        self._sampling = sampling
        self._cache = SlotCache(model.config.get_text_config().num_hidden_layers)
        self.table = SlotTable(self._cache, max_rows)
        takes_keep = "logits_to_keep" in inspect.signature(type(model).forward).parameters
        self._keep_last = {"logits_to_keep": 1} if takes_keep else {}
        self._by_row = device == "cpu" and model.config._attn_implementation == "sdpa"
        if self._by_row:
            use_slot_attention(model)

    def write(self, slots: Sequence[str], prompts: Sequence[list[int]], replies: Sequence[Reply]) -> None:
        """Write each reply to its end; the episodes' rows then hold their prompts."""
        with torch.inference_mode():
            start, order = self.table.place(slots, prompts)
            rows = [self._open(start + row, prompts[index], replies[index]) for row, index in enumerate(order)]
            wanted = [(self.table.tokens[start + number], row.feed) for number, row in enumerate(rows)]
            self._cache.reserve(len(self.table.tokens), max(row.known + len(row.feed) for row in rows))
            logits = self._prefill(start, rows)
            for held, computed in wanted:
                held.extend(computed)
            self._decode(start, rows, logits)

    def _open(self, number: int, prompt: list[int], reply: Reply) -> _Row:
        """Keep what the row holds of the prompt. The last token is computed anew: the reply starts from its logits."""
        tokens = prompt + reply.begin()
        held = self.table.tokens[number]
        known = min(common_prefix(held, tokens), len(tokens) - 1)
        del held[known:]
        return _Row(reply, tokens[known:], known)

    def _prefill(self, start: int, rows: list[_Row]) -> torch.Tensor:
        """Compute all feeds; return the logits after each row's last token.

        Where few rows have far more to compute than the others (an episode that begins while others are under way),
        they go ahead alone, so that the others need not be padded to their length.
        """
        typical = median_low([len(row.feed) for row in rows])
        ahead = [number for number, row in enumerate(rows) if len(row.feed) > 2 * typical + 16]
        if ahead:
            self._bring_to_front(start, rows, ahead)
            whole = [row.feed for row in rows[: len(ahead)]]
            for row in rows[: len(ahead)]:
                row.feed = row.feed[:-typical]
            self._forward(start, rows[: len(ahead)])
            for row, feed in zip(rows, whole, strict=False):
                row.feed = feed[-typical:]
        return self._forward(start, rows)

    def _decode(self, start: int, rows: list[_Row], logits: torch.Tensor) -> None:
        """Choose the next token of each row, feed it, and so on until all replies are done."""
        while True:
            chosen = choose(logits, [row.reply for row in rows], self._sampling)
            for row, token in zip(rows, chosen, strict=True):
                row.take(token)
            live = [number for number, row in enumerate(rows) if not row.idle]
            if not live:
                return
            if len(live) <= _SHRINK_BELOW * len(rows):
                self._bring_to_front(start, rows, live)
                del rows[len(live) :]
            logits = self._forward(start, rows)

    def _bring_to_front(self, start: int, rows: list[_Row], chosen: Sequence[int]) -> None:
        """Swap rows of the window so that the `chosen` ones, counted within it, come first."""
        back = [number for number in chosen if number >= len(chosen)]
        holes = sorted(set(range(len(chosen))) - set(chosen))
        self.table.swap([start + number for number in back], [start + number for number in holes])
        for a, b in zip(back, holes, strict=True):
            rows[a], rows[b] = rows[b], rows[a]

    def _forward(self, start: int, rows: Sequence[_Row]) -> torch.Tensor:
        """Run the model on each row's feed; return the logits after each row's last token."""
        at_once = max(1, _MAX_TOKENS_AT_ONCE // max(len(row.feed) for row in rows))
        parts = [
            self._forward_part(start + first, rows[first : first + at_once]) for first in range(0, len(rows), at_once)
        ]
        for row in rows:
            row.known += 0 if row.idle else len(row.feed)
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _forward_part(self, start: int, rows: Sequence[_Row]) -> torch.Tensor:
        width = max(len(row.feed) for row in rows)
        known = torch.tensor([row.known for row in rows]).unsqueeze(1)
        ends = torch.tensor([row.known + len(row.feed) for row in rows]).unsqueeze(1)
        visible = int(ends.max())
        self._cache.reserve(0, visible)
        places = ends + torch.arange(-width, 0)
        padding = places < known
        positions = places.masked_fill(padding, 0).to(self._device)
        self._cache.aim(start, places.masked_fill(padding, self._cache.capacity - 1).to(self._device), visible)
        lengths = [1 if row.idle else row.known + len(row.feed) for row in rows]
        output = self._model(
            input_ids=torch.tensor([[0] * (width - len(row.feed)) + row.feed for row in rows], device=self._device),
            position_ids=positions,
            attention_mask=self._mask(positions, visible),
            past_key_values=self._cache,
            use_cache=True,
            **self._keep_last,
            **({"row_lengths": lengths} if self._by_row else {}),
        )
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def _mask(self, positions: torch.Tensor, visible: int) -> torch.Tensor:
        """Each query sees the tokens of its row up to its own position: rows x 1 x queries x keys."""
        hidden = torch.arange(visible, device=self._device) > positions.unsqueeze(-1)
        # Added to the scores: a mask of booleans would be turned into this anew by every layer.
        mask = torch.zeros(hidden.shape, dtype=self._model.dtype, device=self._device)
        return mask.masked_fill_(hidden, torch.finfo(mask.dtype).min).unsqueeze(1)
