"""From logits to replies: sampling, the end of a reply, and commands constrained to the admissible ones.

A `Reply` is one answer being written. It does not depend on where logits come from, so the slot cache and plain
`generate` share it. Constraints mask tokens one step at a time and renormalise what is left: commands are not drawn in
proportion to the probability of the whole command, but token by token.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from leap_core.students.encoding import encode_completion, encode_inside, encode_opening, end_ids, opened_thought
from leap_core.text.markup import is_thought_mark

OPENING = "REASON:"
"""What a reply begins with; see leap_core/prompts.py for its form."""

HEADING = "ACTION:"
"""What stands before the command."""

Trie = dict[int, "Trie"]
"""Commands as token sequences that share their beginnings. An end-of-turn token leads to an empty node."""

_MASK64 = (1 << 64) - 1


class Vocabulary:
    """What replies need from a tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.ends = end_ids(tokenizer)
        self.opening = encode_opening(tokenizer, OPENING)
        self.heading = encode_opening(tokenizer, HEADING)
        self.heading_line = self.encode("\n" + HEADING)
        self._opened_thought = opened_thought(tokenizer)
        special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
        self._silent = {
            number
            for number in special | set(tokenizer.all_special_ids)
            if number in self.ends or not is_thought_mark(tokenizer.convert_ids_to_tokens(number))
        }
        self._commands: dict[str, list[int]] = {}
        self._has_colon: dict[int, bool] = {}

    def encode(self, text: str) -> list[int]:
        """The ids of a part of a reply that has other words before it."""
        return encode_inside(self._tokenizer, text)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of a reply, without special tokens but those that mark a thought.

        A thought that the prompt has opened begins with its mark here, too: otherwise it could not be told from an
        answer.
        """
        said = [number for number in ids if number not in self._silent]
        return self._opened_thought + str(self._tokenizer.decode(said, clean_up_tokenization_spaces=False))

    def command(self, command: str) -> list[int]:
        """The ids of " command" as they stand after the heading, and of the end of the turn."""
        ids = self._commands.get(command)
        if ids is None:
            whole = encode_completion(self._tokenizer, f"{HEADING} {command}")
            size = len(self.heading)
            # Some tokenizers merge the colon with what follows; then the command is encoded on its own.
            alone = [*self.encode(f" {command}"), whole[-1]]
            ids = self._commands[command] = whole[size:] if whole[:size] == self.heading else alone
        return ids

    def all_of(self, commands: Sequence[str]) -> list[int]:
        """Every id that a reply with one of these commands may be made to hold."""
        given = [*self.opening, *self.heading, *self.heading_line]
        return given + [token for command in commands for token in self.command(command)]

    def has_colon(self, token: int) -> bool:
        """Whether the heading may be complete with this token: a quick look before the reply is decoded."""
        known = self._has_colon.get(token)
        if known is None:
            known = self._has_colon[token] = ":" in self._tokenizer.decode([token])
        return known


class Reply:
    """One answer being written, token by token.

    With `admissible`, the reply is well formed and ends in one of these commands whatever the model does: its
    opening is given, the reason is cut short when only the longest command would still fit into `max_new_tokens`
    (a limit too small even for that is exceeded), and after the heading only tokens that continue an admissible
    command are allowed. Without it, the reply ends at an end token or at the limit.
    """

    def __init__(
        self, vocabulary: Vocabulary, seed: int, max_new_tokens: int, admissible: Sequence[str] | None
    ) -> None:
        self.vocabulary = vocabulary
        self.seed = seed
        self.ids: list[int] = []
        self.done = False
        self.error: str | None = None
        self.out_of_context = False
        self._limit = max_new_tokens
        self._commands = [vocabulary.command(command) for command in admissible or ()]
        self._node: Trie | None = None
        self._reserve = max(map(len, self._commands), default=0) + len(vocabulary.heading_line)

    def begin(self) -> list[int]:
        """Tokens that the reply starts with before anything is sampled; none where it is unconstrained."""
        if not self._commands:
            return []
        self.ids.extend(self.vocabulary.opening)
        return [*self.vocabulary.opening, *(self._cut() if self._must_cut() else [])]

    @property
    def allowed(self) -> list[int] | None:
        """The tokens that may come next; None: any."""
        return None if self._node is None else list(self._node)

    @property
    def max_length(self) -> int:
        """The most tokens that the reply can have, the end-of-turn token included."""
        return self._limit + self._reserve + len(self.vocabulary.opening)

    @property
    def text(self) -> str:
        """The reply so far, without the end-of-turn token."""
        return self.vocabulary.decode(self.ids)

    def fail(self, error: str) -> None:
        """End the reply with an error that the model did not write."""
        self.error = error
        self.done = True

    def accept(self, token: int) -> list[int]:
        """Take the model's next token. Returns what to feed to the model: that token and any that must follow."""
        if self._node is not None:
            return self._follow([token])
        if token in self.vocabulary.ends and self._commands:
            return self._cut()
        self.ids.append(token)
        if self._commands and self.vocabulary.has_colon(token):
            fed = self._enter_at_heading(token)
            if fed:
                return fed
        if self._must_cut():
            return [token, *self._cut()]
        self.done = token in self.vocabulary.ends or len(self.ids) >= self._limit
        return [token]

    def _must_cut(self) -> bool:
        return bool(self._commands) and self._node is None and self._limit - len(self.ids) <= self._reserve

    def _cut(self) -> list[int]:
        heading = self.vocabulary.heading_line
        self.ids.extend(heading)
        return [*heading, *self._enter()]

    def _enter_at_heading(self, token: int) -> list[int]:
        """If the heading is now complete, go on with commands only; empty if it is not."""
        before, heading, after = self.text.partition(HEADING)
        if not heading:
            return []
        if not after:
            return [token, *self._enter()]
        # The token reaches beyond the heading (": " in one token): write the same text without the excess.
        self.ids.pop()
        tail = self.vocabulary.encode((before + heading)[len(self.text) :])
        self.ids.extend(tail)
        return [*tail, *self._enter()]

    def _enter(self) -> list[int]:
        """Go on with commands only."""
        self._node = {}
        for command in self._commands:
            node = self._node
            for token in command:
                node = node.setdefault(token, {})
        return self._follow([])

    def _follow(self, tokens: list[int]) -> list[int]:
        """Walk down the tree by `tokens`, then on as long as there is only one way."""
        node = self._node or {}
        fed = list(tokens)
        for token in tokens:
            node = node[token]
        while len(node) == 1:
            token, node = next(iter(node.items()))
            fed.append(token)
        self.ids.extend(fed)
        self._node = node
        self.done = not node
        return fed


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How tokens are drawn: `temperature` 0 is greedy; `top_p` is the share of probability that is drawn from."""

    temperature: float
    top_p: float = 1.0


def choose(logits: torch.Tensor, replies: Sequence[Reply], sampling: Sampling) -> list[int]:
    """Choose the next token of each reply from its row of `logits` (replies x vocabulary).

    A reply whose row holds NaN fails, with the cause; its token is 0.
    """
    scores = logits.float()
    # Where every token is ruled out (-inf), none can be chosen either.
    broken = (torch.isnan(scores) | torch.isposinf(scores)).any(dim=-1) | torch.isneginf(scores).all(dim=-1)
    if bool(broken.any()):
        for index in broken.nonzero().flatten().tolist():
            replies[index].fail(
                f"The model gave logits that are not numbers at token {len(replies[index].ids)} of the reply. Its "
                "weights have probably diverged: check the training log, lower training.learning_rate."
            )
        scores = torch.nan_to_num(scores, nan=0.0, posinf=0.0)
    scores = _only_allowed(scores, replies)
    if sampling.temperature == 0:
        return list(scores.argmax(dim=-1).tolist())
    points = torch.tensor(
        [uniform(reply.seed, len(reply.ids)) for reply in replies], dtype=torch.float64, device=scores.device
    )
    return _sample(_most_probable(scores / sampling.temperature, sampling.top_p), points)


def _most_probable(scores: torch.Tensor, top_p: float) -> torch.Tensor:
    """Rule out all but the most probable tokens that together reach `top_p`; of equal ones the first come first."""
    if top_p >= 1:
        return scores
    ordered, order = torch.softmax(scores, dim=-1).sort(dim=-1, descending=True, stable=True)
    # Without its own share a token has not reached it yet: so the one that does is kept, and always the first.
    too_many = ordered.cumsum(dim=-1) - ordered >= top_p
    return scores.masked_fill(torch.zeros_like(too_many).scatter(-1, order, too_many), float("-inf"))


def _only_allowed(scores: torch.Tensor, replies: Sequence[Reply]) -> torch.Tensor:
    pairs = [(row, token) for row, reply in enumerate(replies) for token in reply.allowed or ()]
    if not pairs:
        return scores
    rows, tokens = torch.tensor(pairs, device=scores.device).unbind(dim=1)
    limited = torch.full_like(scores, float("-inf"))
    limited[rows, tokens] = scores[rows, tokens]
    free = torch.tensor([reply.allowed is None for reply in replies], device=scores.device)
    return torch.where(free.unsqueeze(1), scores, limited)


def _sample(scores: torch.Tensor, points: torch.Tensor) -> list[int]:
    """Where the point, as a share of all probability, falls: one number per reply, so nothing else sways it."""
    cumulative = torch.softmax(scores, dim=-1).double().cumsum(dim=-1)
    targets = points.unsqueeze(1) * cumulative[:, -1:]
    return list(torch.searchsorted(cumulative, targets, right=True).flatten().tolist())


@lru_cache(maxsize=4096)
def _scrambled(seed: int) -> int:
    return _splitmix(seed & _MASK64)


def _splitmix(state: int) -> int:
    """One step of the SplitMix64 generator: 64 well-mixed bits of a 64-bit state."""
    state = (state + 0x9E3779B97F4A7C15) & _MASK64
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK64
    return state ^ (state >> 31)


def uniform(seed: int, index: int) -> float:
    """A number in [0, 1 - 2**-32] that depends on `seed` and `index` alone."""
    return (_splitmix(_scrambled(seed) ^ index) >> 32) / 2**32
