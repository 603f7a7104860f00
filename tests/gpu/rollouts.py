"""Many live episodes: the real student, which keeps what it computed from turn to turn, and plain `generate`.

Made-up conversations grow from turn to turn as in tests/benchmarks/bench_rollout.py; the episodes are not equally long.
"""

from statistics import fmean
from typing import Any

from leap_core.config import ExecutionConfig, StudentConfig
from leap_core.students.base import ActRequest
from leap_core.types import Message
from tests.gpu.job import Figures, Job, Stopwatch, forget_peak, peak_memory
from tests.gpu.profiling import Profiler
from tests.gpu.random_model import conversation, load_plainly

TURNS = 4
TEMPERATURE = 0.3


def play(job: Job, figures: Figures) -> None:
    """Tokens a second and peak memory of `HfStudent`, by the number of live episodes; a profile of one turn."""
    from leap_core.students.hf import HfStudent

    counts, watch = _counts(job), Stopwatch()
    student = HfStudent(
        job.random_model,
        StudentConfig(max_new_tokens=_reply_tokens(job), temperature=TEMPERATURE),
        ExecutionConfig(device=job.device, batch_size=max(counts)),
        temperature=TEMPERATURE,
    )
    figures["load_seconds"] = watch.read()
    student.act(_requests(job, 0, range(2)))
    student.release(["0", "1"])
    for count in counts:
        with figures.unless_it_fails(name := f"{count} episodes"):
            figures[name] = _play(student, job, count)
        student.release([str(episode) for episode in _episodes(count)])
    profiler = Profiler(job.device)
    profiler.start()
    student.act(_requests(job, TURNS, _episodes(max(counts))))
    figures["profile"] = {"episodes": max(counts), **profiler.stop()}


def _play(student: Any, job: Job, count: int) -> dict[str, Any]:
    forget_peak()
    seconds, tokens = [], []
    for turn in range(TURNS):
        requests = _requests(job, turn, _episodes(count))
        watch = Stopwatch()
        replies = student.act(requests)
        seconds.append(watch.read())
        if errors := [reply.error for reply in replies if reply.error]:
            raise RuntimeError(f"{len(errors)} of {count} replies failed in turn {turn}; the first: {errors[0]}")
        tokens.append(sum(reply.usage.completion_tokens for reply in replies))
    return _summary(seconds, tokens, replies[0].usage.prompt_tokens)


def _summary(seconds: list[float], tokens: list[int], prompt_tokens: int) -> dict[str, Any]:
    """Rates of the turns after the first, in which whole prompts are new to everybody."""
    return {
        "tokens_per_second": sum(tokens[1:]) / sum(seconds[1:]),
        "seconds_a_turn": fmean(seconds[1:]),
        "first_turn_seconds": seconds[0],
        "tokens_a_turn": fmean(tokens),
        "last_prompt_tokens": prompt_tokens,
        "memory": peak_memory(),
    }


def generate(job: Job, figures: Figures) -> None:
    """The same turns, but one in the middle, by `model.generate`: one padded batch a turn, nothing kept."""
    from leap_core.students.encoding import encode_prompt, load_tokenizer

    tokenizer = load_tokenizer(job.random_model)
    watch = Stopwatch()
    model = load_plainly(job.random_model, job.device).eval()
    figures["load_seconds"] = watch.read()
    _generate(model, [encode_prompt(tokenizer, _messages(job, 0, 0))], job)
    for count in _counts(job):
        with figures.unless_it_fails(name := f"{count} episodes"):
            forget_peak()
            seconds, tokens = [], []
            for turn in (0, 1, TURNS - 1):
                prompts = [encode_prompt(tokenizer, _messages(job, turn, episode)) for episode in _episodes(count)]
                watch = Stopwatch()
                tokens.append(_generate(model, prompts, job))
                seconds.append(watch.read())
            figures[name] = _summary(seconds, tokens, len(prompts[0]))


def _generate(model: Any, prompts: list[list[int]], job: Job) -> int:
    """Write a reply to each prompt; return how many tokens they have together."""
    import torch
    from transformers import GenerationConfig

    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts], device=job.device)
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=job.device)
    # Without an end-of-text token every reply is as long as it may be, as nearly all of the student's are.
    how = GenerationConfig(
        do_sample=True, temperature=TEMPERATURE, top_k=0, max_new_tokens=_reply_tokens(job), pad_token_id=0
    )
    with torch.inference_mode():
        written = model.generate(ids, attention_mask=mask, generation_config=how)
    return int(written[:, width:].numel())


def _counts(job: Job) -> tuple[int, ...]:
    return (2, 3, 4) if job.dry_run else (32, 64, 128)


def _reply_tokens(job: Job) -> int:
    return 4 if job.dry_run else 48


def _episodes(count: int) -> range:
    """As many episodes, none of which was played before: what a student keeps of others is of no use."""
    return range(1000 * count, 1000 * count + count)


def _requests(job: Job, turn: int, episodes: range) -> list[ActRequest]:
    return [
        ActRequest(slot=str(one), messages=_messages(job, turn, one), admissible=None, seed=one * 1000 + turn)
        for one in episodes
    ]


def _messages(job: Job, turn: int, episode: int) -> tuple[Message, ...]:
    """Prompts of 800 to 1,500 tokens in the first turn, growing by about 170 a turn."""
    opening, each = (60, 20) if job.dry_run else (700, 100)
    return conversation(episode, turn + episode % 5, opening, each)
