"""Forward passes of a model over the slot cache: the next tokens of many rows at once, in one of two layouts.

Flat, on a CPU: the tokens of all rows stand in one line, so that nothing is computed for padding, and prompts may be
read in the pass in which other rows take a single token. Padded, elsewhere: each row is padded on the left to the
longest, so that attention is one call with a mask.
"""

import inspect
from collections.abc import Mapping, Sequence
from statistics import median_low
from typing import Any, Protocol

import torch

from leap_core.students.architecture import hands_on_keywords
from leap_core.students.slot_attention import Piece, make_ladder, plan_runs, use_slot_attention
from leap_core.students.slots import SlotTable

_FLAT_TOKENS = 2_048
"""Tokens in one flat pass: more do not make a CPU any faster, and their scores take memory."""

_PADDED_TOKENS = 32_768
"""Tokens, padding included, in one padded pass: more rows than that are computed in turns."""

_SHRINK_BELOW = 0.4
"""The window is narrowed when less than this share of its rows is asked for: swapping rows costs, too."""


class Passes(Protocol):
    """One layout.

    `refill` is the share of replies that may be finished and waited for before others take their place: 0 takes each
    new one as it comes, 1 waits for all.
    """

    refill: float

    def logits(self, feeds: Mapping[str, list[int]]) -> tuple[list[str], torch.Tensor]:
        """Compute the next tokens of these episodes, at least one of each, and let their rows hold them.

        Returns:
            The episodes in some order, and in that order the logits after the last token of each.
        """
        ...


def make_passes(model: Any, device: str, table: SlotTable) -> Passes:
    """Choose the layout that is fast on the device."""
    is_sdpa = model.config._attn_implementation == "sdpa"
    flat = device == "cpu" and is_sdpa and hands_on_keywords(model.config)
    return FlatPasses(model, table) if flat else PaddedPasses(model, device, table)


class FlatPasses:
    """The layout without padding; see the module."""

    refill = 0.1

    def __init__(self, model: Any, table: SlotTable) -> None:
        self._model, self._table = model, table
        self._takes_keep = takes_keep(model)
        config = model.config.get_text_config()
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        self._size = heads * (getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
        self._ladder = make_ladder(1, model.dtype)
        use_slot_attention(model)

    def logits(self, feeds: Mapping[str, list[int]]) -> tuple[list[str], torch.Tensor]:
        """Compute the next tokens of these episodes; see `Passes`."""
        rows = {self._table.row_of(slot): slot for slot in feeds}
        longest = max(len(self._table.tokens[row]) + len(feeds[slot]) for row, slot in rows.items())
        self._table.cache.reserve(len(self._table.tokens), longest)
        if self._ladder.shape[1] < longest:
            self._ladder = make_ladder(self._table.cache.capacity, self._model.dtype)
        found = [self._compute(part) for part in _parts([(row, feeds[rows[row]]) for row in sorted(rows)])]
        return [rows[row] for row in sorted(rows)], torch.cat(found) if len(found) > 1 else found[0]

    def _compute(self, part: Sequence[tuple[int, list[int], bool]]) -> torch.Tensor:
        """One pass over tokens of rows; the logits are those of the rows of which it has the last one."""
        pieces = [Piece(row, len(self._table.tokens[row]), len(tokens)) for row, tokens, _ in part]
        ends, last = 0, []
        for _, tokens, is_last in part:
            ends += len(tokens)
            last += [ends - 1] if is_last else []
        places = torch.tensor([[place for _, known, count in pieces for place in range(known, known + count)]])
        rows = torch.tensor([[piece.row for piece in pieces for _ in range(piece.num_new)]])
        longest = max(piece.known + piece.num_new for piece in pieces)
        self._table.cache.aim(rows, places, (0, self._table.cache.num_rows, longest))
        kept = torch.tensor(last, dtype=torch.long)
        output = self._model(
            input_ids=torch.tensor([[token for _, tokens, _ in part for token in tokens]]),
            position_ids=places,
            # The runs have the masks. This one is only there so that transformers makes none.
            attention_mask=self._ladder[:1, :1].view(1, 1, 1, 1),
            past_key_values=self._table.cache,
            use_cache=True,
            runs=plan_runs(pieces, self._size, self._ladder),
            **({"logits_to_keep": kept} if self._takes_keep else {}),
        )
        for row, tokens, _ in part:
            self._table.tokens[row].extend(tokens)
        logits: torch.Tensor = output.logits[0] if self._takes_keep else output.logits[0, kept]
        return logits


def _parts(feeds: Sequence[tuple[int, list[int]]]) -> list[list[tuple[int, list[int], bool]]]:
    """Cut rows with their tokens into passes; each piece says whether its row's last token is in it."""
    parts: list[list[tuple[int, list[int], bool]]] = [[]]
    room = _FLAT_TOKENS
    for row, tokens in feeds:
        start = 0
        while start < len(tokens):
            if room == 0:
                parts.append([])
                room = _FLAT_TOKENS
            taken = tokens[start : start + room]
            start, room = start + len(taken), room - len(taken)
            parts[-1].append((row, taken, start == len(tokens)))
    return parts


class PaddedPasses:
    """The layout with padding on the left, so that the last position of every row is its newest token."""

    refill = 1.0

    def __init__(self, model: Any, device: str, table: SlotTable) -> None:
        self._model, self._device, self._table = model, device, table
        self._keep_last = {"logits_to_keep": 1} if takes_keep(model) else {}

    def logits(self, feeds: Mapping[str, list[int]]) -> tuple[list[str], torch.Tensor]:
        """Compute the next tokens of these episodes; see `Passes`.

        Where few rows have far more to compute than the others (an episode that begins while others are under way),
        they go ahead alone, so that the others need not be padded to their length.
        """
        typical = median_low([len(tokens) for tokens in feeds.values()])
        ahead = {slot: tokens[:-typical] for slot, tokens in feeds.items() if len(tokens) > 2 * typical + 16}
        if ahead:
            self._compute(ahead)
        return self._compute({slot: tokens[len(ahead.get(slot, ())) :] for slot, tokens in feeds.items()})

    def _compute(self, feeds: Mapping[str, list[int]]) -> tuple[list[str], torch.Tensor]:
        numbers = [self._table.row_of(slot) for slot in feeds]
        start, stop = min(numbers), max(numbers) + 1
        if len(feeds) <= _SHRINK_BELOW * (stop - start):
            start = self._table.gather(list(feeds))
            stop = start + len(feeds)
        rows = {self._table.row_of(slot): slot for slot in feeds}
        window = [feeds[rows[row]] if row in rows else [] for row in range(start, stop)]
        at_once = max(1, _PADDED_TOKENS // max(map(len, window)))
        parts = [
            self._compute_part(start + first, window[first : first + at_once])
            for first in range(0, len(window), at_once)
        ]
        for row, slot in rows.items():
            self._table.tokens[row].extend(feeds[slot])
        asked = torch.tensor([row - start for row in rows], device=self._device)
        return list(rows.values()), torch.cat(parts)[asked]

    def _compute_part(self, start: int, feeds: Sequence[list[int]]) -> torch.Tensor:
        """One pass over neighbouring rows. One without tokens takes token 0, after its end, where nobody reads it."""
        held = [len(tokens) for tokens in self._table.tokens[start : start + len(feeds)]]
        feeds = [tokens or [0] for tokens in feeds]
        width = max(map(len, feeds))
        known = torch.tensor(held).unsqueeze(1)
        ends = known + torch.tensor([len(tokens) for tokens in feeds]).unsqueeze(1)
        visible, cache = int(ends.max()), self._table.cache
        cache.reserve(len(self._table.tokens), visible)
        places = ends + torch.arange(-width, 0)
        padding = places < known
        positions = places.masked_fill(padding, 0).to(self._device)
        numbers = torch.arange(start, start + len(feeds), device=self._device).unsqueeze(1)
        written = places.masked_fill(padding, cache.capacity - 1).to(self._device)
        cache.aim(numbers, written, (start, len(feeds), visible))
        output = self._model(
            input_ids=torch.tensor([[0] * (width - len(tokens)) + tokens for tokens in feeds], device=self._device),
            position_ids=positions,
            attention_mask=self._mask(positions, visible),
            past_key_values=cache,
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


def takes_keep(model: Any) -> bool:
    """Whether a model makes logits of chosen positions alone."""
    return "logits_to_keep" in inspect.signature(type(model).forward).parameters
