"""How likely given replies are after given prompts, by weights in this process.

Replies are fed, not written: a pass gives the log-probability of every token of a reply at once. Replies that are
compared with each other stand after prompts that begin alike, and one step of an episode begins as the step before it
did; what they have in common is computed once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import DynamicCache

from leap_core.config import ExecutionConfig, StudentConfig
from leap_core.errors import StudentError
from leap_core.students.architecture import check_ids, num_ids, one_regime_length, takes_own_mask, valid_padding
from leap_core.students.base import GivenReply, ReplyScore
from leap_core.students.encoding import encode_completion, encode_prompt, load_tokenizer
from leap_core.students.hf import DTYPES, load_for_playing
from leap_core.students.loading import expand_home, resolve_device, tokenizer_source
from leap_core.students.memory import give_back_memory
from leap_core.students.precision import resolve_precision
from leap_core.students.slot_passes import takes_keep

_MOST_TOKENS = 2**14
"""In one pass, over all rows, with what is known of them already: bounds keys, values and activations."""
_MOST_LOGITS = 2**26
"""In one pass: 256 MiB in fp32."""


@dataclass(kw_only=True)
class _Row:
    """Prompt and reply as one row of tokens; the reply's begin at `start`."""

    tokens: list[int]
    start: int
    logprobs: list[float] | None = None

    @property
    def score(self) -> ReplyScore | None:
        if self.logprobs is None:
            return None
        return ReplyScore(ids=tuple(self.tokens[self.start :]), logprobs=tuple(self.logprobs))


class Scorer:
    """Weights that say how likely replies are. Not thread-safe."""

    def __init__(self, path: Path | str, config: StudentConfig, execution: ExecutionConfig) -> None:
        """Load the model at `path`: a model directory, a hub id, or an adapter directory.

        Of `config` the precision counts alone, of `execution` the device, the threads, and the most rows of a pass.

        Raises:
            StudentError: nothing usable is there.
        """
        path = expand_home(path)
        if execution.num_threads is not None:
            torch.set_num_threads(execution.num_threads)
        self._device = resolve_device(execution.device)
        precision = resolve_precision(config.precision, execution.device)
        self._model = load_for_playing(path, self._device, DTYPES[precision])
        self._tokenizer = load_tokenizer(tokenizer_source(path))
        model_config = self._model.config
        self._context = getattr(model_config.get_text_config(), "max_position_embeddings", None)
        self._one_regime = one_regime_length(model_config)
        self._num_ids = num_ids(model_config)
        self._padding = valid_padding(model_config, self._tokenizer.pad_token_id)
        self._takes_keep = takes_keep(self._model)
        self._most_rows = execution.batch_size
        self._prefix = _Prefix(self._model, self._device) if self._takes_keep and takes_own_mask(model_config) else None

    def score(self, groups: Sequence[Sequence[GivenReply]]) -> list[list[ReplyScore | None]]:
        """Score each reply; None where it is longer with its prompt than the model reads.

        Prompts of a group begin alike, and mostly as those of the group before. What a score depends on beside its own
        prompt and reply is rounding, by the other replies of this call.
        """
        if self._model is None:
            raise StudentError("This scorer is closed. Make a new one.")
        rows = [[self._row(reply) for reply in group] for group in groups]
        together = [[row for row in group if self._fits_context(row) and self._is_of_one_regime(row)] for group in rows]
        with torch.inference_mode():
            if self._prefix is None:
                self._score_plainly([row for group in together for row in group])
            else:
                self._prefix.forget()
                for group in together:
                    self._score_group(self._prefix, group)
            for row in (row for group in rows for row in group):
                if self._fits_context(row) and row.logprobs is None:
                    self._compute([row], 0, None)
        return [[row.score for row in group] for group in rows]

    def text_of(self, ids: Sequence[int]) -> str:
        """The text of some tokens."""
        return str(self._tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))

    def close(self) -> None:
        """Free the model's memory."""
        self._model = self._prefix = None
        give_back_memory()
        if self._device.startswith("cuda"):
            torch.cuda.empty_cache()

    def _row(self, reply: GivenReply) -> _Row:
        prompt = encode_prompt(self._tokenizer, reply.messages)
        row = _Row(tokens=[*prompt, *encode_completion(self._tokenizer, reply.text)], start=len(prompt))
        check_ids(self._num_ids, row.tokens)
        return row

    def _fits_context(self, row: _Row) -> bool:
        return self._context is None or len(row.tokens) <= self._context

    def _is_of_one_regime(self, row: _Row) -> bool:
        return self._one_regime is None or len(row.tokens) <= self._one_regime

    def _score_plainly(self, rows: Sequence[_Row]) -> None:
        for part in self._parts(sorted(rows, key=lambda row: len(row.tokens))):
            self._compute(part, 0, None)

    def _score_group(self, prefix: "_Prefix", group: Sequence[_Row]) -> None:
        """Compute what all rows begin with, then what follows in each; the last token of a prompt always follows."""
        if not group:
            return
        known = min(common_length([row.tokens for row in group]), *(row.start - 1 for row in group))
        prefix.aim(group[0].tokens[:known])
        for part in self._parts(group):
            self._compute(part, known, prefix.repeated(len(part)))

    def _parts(self, rows: Sequence[_Row]) -> Iterator[list[_Row]]:
        """Cut rows into passes of bounded size."""
        part: list[_Row] = []
        for row in rows:
            if part and not self._is_small([*part, row]):
                yield part
                part = []
            part.append(row)
        if part:
            yield part

    def _is_small(self, rows: Sequence[_Row]) -> bool:
        longest = max(len(row.tokens) for row in rows)
        kept = longest - min(row.start for row in rows) if self._takes_keep else longest
        return (
            len(rows) <= self._most_rows
            and len(rows) * longest <= _MOST_TOKENS
            and len(rows) * kept * self._num_ids <= _MOST_LOGITS
        )

    def _compute(self, rows: Sequence[_Row], known: int, cache: DynamicCache | None) -> None:
        """One pass over the rows, padded on the right, after their first `known` tokens, which `cache` holds."""
        feeds = [row.tokens[known:-1] for row in rows]  # nothing is read after the last token
        width = max(map(len, feeds))
        first = min(row.start for row in rows) - 1 - known
        ids = [[*feed, *[self._padding] * (width - len(feed))] for feed in feeds]
        mask = [[*[1] * (known + len(feed)), *[0] * (width - len(feed))] for feed in feeds]
        output = self._model(
            input_ids=torch.tensor(ids, device=self._device),
            attention_mask=torch.tensor(mask, device=self._device),
            past_key_values=cache,
            use_cache=cache is not None,
            **({"logits_to_keep": torch.arange(first, width, device=self._device)} if self._takes_keep else {}),
        )
        logits = output.logits if self._takes_keep else output.logits[:, first:]
        for row, of_row in zip(rows, logits, strict=True):
            begin = row.start - 1 - known - first
            targets = torch.tensor(row.tokens[row.start :], device=self._device)
            chosen = of_row[begin : begin + len(targets)].float().log_softmax(-1).gather(-1, targets.unsqueeze(-1))
            row.logprobs = chosen.squeeze(-1).tolist()


class _Prefix:
    """Keys and values of the tokens that rows begin with, computed once for all of them."""

    def __init__(self, model: Any, device: str) -> None:
        self._model, self._device = model, device
        self.forget()

    def forget(self) -> None:
        """Hold nothing."""
        self._tokens: list[int] = []
        self._layers: list[tuple[torch.Tensor, torch.Tensor]] = []

    def aim(self, tokens: list[int]) -> None:
        """Hold what belongs to `tokens`; of what is held, the beginning that they share is kept."""
        num_kept = common_length([self._tokens, tokens])
        self._tokens = tokens
        self._layers = [(keys[:, :, :num_kept], values[:, :, :num_kept]) for keys, values in self._layers]
        if num_kept == len(tokens):
            return
        cache = self.repeated(1)
        new = torch.tensor([tokens[num_kept:]], device=self._device)
        self._model(input_ids=new, past_key_values=cache, use_cache=True, logits_to_keep=1)
        self._layers = [(layer.keys, layer.values) for layer in cache.layers]

    def repeated(self, num_rows: int) -> DynamicCache:
        """A cache in which each of so many rows begins with what is held."""
        cache = DynamicCache()
        for number, (keys, values) in enumerate(self._layers):
            shape = (num_rows, -1, -1, -1)
            cache.update(keys.expand(shape), values.expand(shape), number)
        return cache


def common_length(rows: Sequence[Sequence[int]]) -> int:
    """How many tokens all rows begin with."""
    shortest = min(rows, key=len)
    for place, token in enumerate(shortest):
        if any(row[place] != token for row in rows):
            return place
    return len(shortest)
