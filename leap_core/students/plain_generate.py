"""Batched generation by `model.generate`, for models that the slot cache cannot serve: nothing is reused."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from leap_core.students.decoding import Reply, Sampling, choose


class _Steering(LogitsProcessor):  # type: ignore[misc]
    """Makes greedy `generate` emit what the replies choose: every score but the chosen token's becomes -inf.

    A reply may ask for several tokens in a row, which are emitted one per step; a new one is chosen when none is
    pending.
    """

    def __init__(self, replies: Sequence[Reply], sampling: Sampling, filler: int) -> None:
        self._replies = replies
        self._sampling = sampling
        self._filler = filler
        self._waiting = [reply.begin() for reply in replies]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        idle = [row for row, queue in enumerate(self._waiting) if not queue and not self._replies[row].done]
        if idle:
            chosen = choose(scores[idle], [self._replies[row] for row in idle], self._sampling)
            for row, token in zip(idle, chosen, strict=True):
                if not self._replies[row].done:
                    self._waiting[row] = self._replies[row].accept(token)
        tokens = [queue.pop(0) if queue else self._filler for queue in self._waiting]
        steered = torch.full_like(scores, float("-inf"))
        steered[torch.arange(len(tokens)), torch.tensor(tokens)] = 0.0
        return steered


class _AllDone(StoppingCriteria):  # type: ignore[misc]
    def __init__(self, replies: Sequence[Reply]) -> None:
        self._replies = replies

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        done = all(reply.done for reply in self._replies)
        return torch.full((input_ids.shape[0],), done, dtype=torch.bool, device=input_ids.device)


def write_replies(
    model: Any,
    device: str,
    filler: int,
    prompts: Sequence[list[int]],
    replies: Sequence[Reply],
    sampling: Sampling,
    use_cache: bool = True,
) -> None:
    """Write each reply to its end; rows are filled up with the token `filler`.

    Without `use_cache` every token costs the whole row anew: for rows whose earlier keys change as they grow.
    """
    width = max(map(len, prompts))
    ids = torch.tensor([[filler] * (width - len(prompt)) + prompt for prompt in prompts], device=device)
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
    longest = max(reply.max_length for reply in replies)
    # What came with the model (penalties, beams, limits) would be mixed in here, so it must have been dropped.
    model.generate(  # runs without gradients of its own accord
        input_ids=ids,
        attention_mask=mask,
        generation_config=GenerationConfig(
            do_sample=False, pad_token_id=filler, max_new_tokens=longest, use_cache=use_cache
        ),
        logits_processor=LogitsProcessorList([_Steering(replies, sampling, filler)]),
        stopping_criteria=StoppingCriteriaList([_AllDone(replies)]),
    )
