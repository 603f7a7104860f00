"""The student that runs in this process: any Hugging Face causal language model, or an adapter on one.

Many episodes are answered together. What was computed for an episode's earlier turns is kept (slots.py), so that
a turn costs the new tokens alone. Models whose layers cannot be served that way (sliding windows, state spaces:
architecture.py) are answered in batches by `generate`, without reuse.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import torch
from transformers import GenerationConfig

from leap_core.config import ExecutionConfig, StudentConfig
from leap_core.errors import ConfigError, StudentError
from leap_core.students.architecture import (
    can_be_padded,
    check_ids,
    num_ids,
    one_regime_length,
    takes_own_mask,
    valid_padding,
)
from leap_core.students.base import ActReply, ActRequest
from leap_core.students.decoding import Reply, Sampling, Vocabulary
from leap_core.students.encoding import encode_prompt, load_tokenizer
from leap_core.students.loading import expand_home, load_adapter, load_model, resolve_device, tokenizer_source
from leap_core.students.memory import give_back_memory
from leap_core.students.plain_generate import write_replies
from leap_core.students.precision import resolve_precision
from leap_core.students.slot_engine import SlotEngine
from leap_core.students.tiny import TinyParams
from leap_core.students.weights import TINY, base_of_adapter, is_adapter
from leap_core.types import Usage

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
"""What the values of `student.precision` are to torch."""


class _Row(NamedTuple):
    prompt: list[int]
    reply: Reply

    @property
    def most_tokens(self) -> int:
        return len(self.prompt) + self.reply.max_length


class HfStudent:
    """A causal language model as a student.

    Not thread-safe. At most `execution.batch_size` replies are written at a time. Each depends on what is asked beside
    it by rounding alone.
    """

    name = "hf"

    def __init__(
        self,
        path: Path | str,
        config: StudentConfig,
        execution: ExecutionConfig,
        temperature: float,
        log: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Load the model at `path`: a model directory, a hub id, or an adapter directory.

        `path` stands in the place of the model that `config` names. `log` is not called; the stage logs what takes
        long.

        Raises:
            StudentError: nothing usable is there.
        """
        _check_params(config)
        path = expand_home(path)
        if execution.num_threads is not None:
            torch.set_num_threads(execution.num_threads)
        self._sampling = Sampling(temperature=temperature, top_p=config.top_p)
        self._truncates = config.out_of_context == "truncate"
        self._max_new_tokens = config.max_new_tokens
        self._batch_size = execution.batch_size
        self._device = resolve_device(execution.device)
        precision = resolve_precision(config.precision, execution.device)
        self._model = load_for_playing(path, self._device, DTYPES[precision])
        self._tokenizer = load_tokenizer(tokenizer_source(path))
        self._vocabulary = Vocabulary(self._tokenizer)
        self._context = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        if self._truncates and self._context is not None and self._max_new_tokens >= self._context:
            raise StudentError(
                f"student.max_new_tokens is {self._max_new_tokens:,}, and the model reads {self._context:,} tokens: "
                "prompts would be cut to nothing. Lower it, or --set student.out_of_context=fail."
            )
        self._one_regime = one_regime_length(self._model.config)
        self._num_ids = num_ids(self._model.config)
        self._engine: SlotEngine | None = None
        if takes_own_mask(self._model.config):
            self._engine = SlotEngine(self._model, self._device, execution.batch_size, self._sampling)
        self._asked: dict[str, _Row] = {}
        self._plain: list[_Row] = []

    def act(self, requests: Sequence[ActRequest]) -> list[ActReply]:
        """Answer each request, in order."""
        slots = _distinct([request.slot for request in requests])
        self.submit([replace(request, slot=slot) for slot, request in zip(slots, requests, strict=True)])
        replies: dict[str, ActReply] = {}
        while len(replies) < len(slots):
            replies |= self.collect()
        return [replies[slot] for slot in slots]

    def submit(self, requests: Sequence[ActRequest]) -> None:
        """Take requests in, at most one of each slot at a time."""
        if self._model is None:
            raise StudentError("This student is closed. Make a new one.")
        for request in requests:
            prompt = self._shorten(encode_prompt(self._tokenizer, request.messages))
            check_ids(self._num_ids, prompt)
            row = self._asked[request.slot] = _Row(prompt, self._begin(request, len(prompt)))
            if row.reply.done:
                continue
            if self._engine is not None and self._can_be_together(row):
                self._engine.submit(request.slot, row.prompt, row.reply)
            else:
                self._plain.append(row)

    def collect(self) -> dict[str, ActReply]:
        """Return the replies that are there, by slot; write until there are some."""
        if not any(row.reply.done for row in self._asked.values()):
            self._write()
        done = [slot for slot, row in self._asked.items() if row.reply.done]
        return {slot: _to_act_reply(*self._asked.pop(slot)) for slot in done}

    def release(self, slots: Sequence[str]) -> None:
        """Forget which rows these episodes had."""
        if self._engine is not None:
            self._engine.table.release(slots)

    def close(self) -> None:
        """Free the model's memory."""
        self._model = None
        self._engine = None
        give_back_memory()
        if self._device.startswith("cuda"):
            torch.cuda.empty_cache()

    def _begin(self, request: ActRequest, num_prompt: int) -> Reply:
        room = (self._context or num_prompt + self._max_new_tokens) - num_prompt
        reply = Reply(self._vocabulary, request.seed, min(self._max_new_tokens, room), request.admissible)
        if request.admissible:
            check_ids(self._num_ids, self._vocabulary.all_of(request.admissible))
        reply.out_of_context = reply.done = room < 1
        return reply

    def _shorten(self, prompt: list[int]) -> list[int]:
        """Truncate a prompt from the left, where the settings ask for it, so that a whole reply fits after it."""
        if not self._truncates or self._context is None:
            return prompt
        return prompt[-(self._context - self._max_new_tokens) :]

    def _write(self) -> None:
        """Write some of the replies to their end."""
        batch: list[_Row] = []
        try:
            if self._plain:
                batch, self._plain = self._next_batch()
                self._write_plainly(batch)
            elif self._engine is not None:
                self._engine.advance()
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            cause = str(error).splitlines()[0] if str(error) else type(error).__name__
            failed = [row.reply for row in batch] or (self._engine.abandon() if self._engine else [])
            for reply in failed:
                reply.fail(f"Out of memory with {len(failed)} episodes: {cause}. Lower execution.batch_size.")

    def _can_be_together(self, row: _Row) -> bool:
        """Whether the reply may be written beside others; if not (see `one_regime_length`), it must be alone."""
        longest = float("inf") if self._one_regime is None else self._one_regime
        return can_be_padded(self._model.config) and row.most_tokens <= longest

    def _next_batch(self) -> tuple[list[_Row], list[_Row]]:
        """Of the replies that `generate` writes, the next ones that can be in one batch, and the rest."""
        together = [row for row in self._plain if self._can_be_together(row)]
        batch = together[: self._batch_size] or self._plain[:1]
        return batch, [row for row in self._plain if not any(row is one for one in batch)]

    def _write_plainly(self, rows: list[_Row]) -> None:
        limit = self._one_regime
        # A row that may outgrow the first regime while it is written would go on from keys of the other angles.
        outgrows = limit is not None and any(len(row.prompt) <= limit < row.most_tokens for row in rows)
        padding = valid_padding(self._model.config, self._tokenizer.pad_token_id)
        prompts, replies = [row.prompt for row in rows], [row.reply for row in rows]
        write_replies(self._model, self._device, padding, prompts, replies, self._sampling, use_cache=not outgrows)


def _check_params(config: StudentConfig) -> None:
    """Only `tiny` takes `student.params`: the ones it is made with."""
    if config.model == TINY:
        TinyParams.read(config.params)
    elif config.params:
        raise ConfigError(f"Config student.params: only student.model = {TINY!r} has any; came: {dict(config.params)}.")


def _is_out_of_memory(error: Exception) -> bool:
    # On a CPU torch raises a plain RuntimeError that only its text tells apart.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def _distinct(slots: list[str]) -> list[str]:
    """The same names, made different where two requests of one batch have the same."""
    seen: dict[str, int] = {}
    names = []
    for slot in slots:
        seen[slot] = seen.get(slot, 0) + 1
        names.append(slot if seen[slot] == 1 else f"{slot}\x00{seen[slot]}")
    return names


def _to_act_reply(prompt: list[int], reply: Reply) -> ActReply:
    if reply.out_of_context:
        return ActReply(text="", usage=Usage(), out_of_context=True)
    usage = Usage(num_requests=1, prompt_tokens=len(prompt), completion_tokens=len(reply.ids))
    return ActReply(text="" if reply.error else reply.text, usage=usage, error=reply.error)


def load_for_playing(path: Path | str, device: str, dtype: torch.dtype) -> Any:
    """A model, or an adapter on its base, that is only read; it plays by our settings alone.

    Raises:
        StudentError: nothing usable is there.
    """
    model = _load_adapted(path, dtype) if is_adapter(path) else load_model(path, dtype)
    model.generation_config = GenerationConfig()  # only our settings decide how it is sampled
    if hasattr(model.config, "output_router_logits"):  # what a loss is made of; nothing here reads it
        model.config.output_router_logits = False
    # PEFT loads adapters in fp32, whatever their base is in.
    return model.eval().requires_grad_(False).to(device, dtype)


def _load_adapted(path: Path | str, dtype: torch.dtype) -> Any:
    """A base with its adapter: merged in fp32 only, since bf16 would round most of what an adapter adds away."""
    model = load_adapter(load_model(base_of_adapter(path), dtype), path)
    if model.dtype == torch.float32:
        return model.merge_and_unload()
    return model.get_base_model()
