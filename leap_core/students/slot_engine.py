"""Generation for many episodes at once over the slot cache: each pass gives every reply its next token.

Replies that end make room for others while the rest are still being written. All is decided by counting passes, so the
same requests in the same order give the same replies.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from leap_core.students.decoding import Reply, Sampling, choose
from leap_core.students.slot_passes import Passes, make_passes
from leap_core.students.slots import SlotCache, SlotTable, common_prefix


@dataclass
class _Task:
    """One reply to write; `feed` are the tokens to compute before the next one can be chosen."""

    slot: str
    prompt: list[int]
    reply: Reply
    feed: list[int]


class SlotEngine:
    """Writes replies with one model. `table` says which episode holds which row."""

    def __init__(
        self,
        model: Any,
        device: str,
        max_rows: int,
        sampling: Sampling,
        make: Callable[[Any, str, SlotTable], Passes] = make_passes,
    ) -> None:
        """Write at most `max_rows` replies at a time; `make` makes the passes of the model."""
        config = model.config.get_text_config()
        longest = getattr(config, "max_position_embeddings", None)
        self.table = SlotTable(SlotCache(config.num_hidden_layers, longest), max_rows)
        self._passes = make(model, device, self.table)
        self._sampling = sampling
        self._waiting: list[_Task] = []
        self._writing: dict[str, _Task] = {}

    def submit(self, slot: str, prompt: list[int], reply: Reply) -> None:
        """Take a reply in, at most one of each episode at a time; `advance` writes it."""
        self._waiting.append(_Task(slot, prompt, reply, []))

    def advance(self) -> list[str]:
        """Write until enough replies are done to go on with their episodes; return which, or [] if there are none."""
        self._start()
        enough = max(1, int(self._passes.refill * (len(self._writing) + len(self._waiting))))
        finished: list[str] = []
        with torch.inference_mode():
            while self._writing and len(finished) < enough:
                finished += self._step()
                self._start()
        return finished

    def abandon(self) -> list[Reply]:
        """Give up the replies that are being written, and return them; others still wait."""
        given_up, self._writing = list(self._writing.values()), {}
        return [task.reply for task in given_up]

    def _start(self) -> None:
        """Give rows to those that wait, in order. What a row holds of the prompt is kept but for the last token.

        That one is computed anew: the reply starts from its logits.
        """
        while self._waiting and self.table.seat(self._waiting[0].slot, self._waiting[0].prompt, self._writing):
            task = self._waiting.pop(0)
            tokens = task.prompt + task.reply.begin()
            held = self.table.tokens[self.table.row_of(task.slot)]
            known = min(common_prefix(held, tokens), len(tokens) - 1)
            del held[known:]
            task.feed = tokens[known:]
            self._writing[task.slot] = task

    def _step(self) -> list[str]:
        """Choose the next token of each reply; return those that are done."""
        slots, logits = self._passes.logits({task.slot: task.feed for task in self._writing.values()})
        tasks = [self._writing[slot] for slot in slots]
        for task, token in zip(tasks, choose(logits, [task.reply for task in tasks], self._sampling), strict=True):
            task.feed = [] if task.reply.done else task.reply.accept(token)
        done = [task.slot for task in tasks if task.reply.done]
        for slot in done:
            del self._writing[slot]
        return done
