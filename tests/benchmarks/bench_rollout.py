"""Speed of the student in process, as ratios within one run.

Run: python -m tests.benchmarks.bench_rollout [--episodes 32] [--turns 20] [--threads 1]
     python -m tests.benchmarks.bench_rollout --model DIR [--episodes 32] [--turns 4] [--threads 2]

Without a model: many episodes together against one after another, in episodes per second. Both sides answer the same
prompts with the same tiny model; the plain side calls `model.generate` for one prompt at a time, as a simple rollout
loop would. The transcript is made up: what an episode's environment says does not depend on the replies, so both sides
do the same work.

With a model: the slot engine against plain batched decoding with prefill, on the same tokens. Prompts, observations and
replies are random tokens of ragged lengths, and each turn goes on from the reply as it was written. The plain side is
the loop that one would write with transformers (see `PlainBatch`): all episodes take turns together.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from leap_core.config import ExecutionConfig, StudentConfig
from leap_core.types import Message

REPLY_TOKENS = 24


def conversation(episode: int, turn: int) -> tuple[Message, ...]:
    """The prompt of one turn of a made-up household episode: some 90 tokens, then about 30 more each turn."""
    kinds = ("cabinet", "shelf", "drawer", "countertop")
    places = ", ".join(f"a {kind} {number}" for kind in kinds for number in range(1, 6))
    goal = f"You are in the middle of a room. You see {places}.\nYour task is to: put a mug in shelf {1 + episode % 5}."
    messages = [Message(role="user", content=goal)]
    for step in range(turn):
        place = f"{kinds[(episode + step) % 4]} {1 + (episode * 7 + step * 3) % 5}"
        seen = ", ".join(f"a {thing} {1 + (episode + step) % 3}" for thing in ("mug", "cd", "book", "pen"))
        messages.append(Message(role="assistant", content=f"ACTION: go to {place}"))
        messages.append(Message(role="user", content=f"You arrive at {place}. On the {place}, you see {seen}."))
    return tuple(messages)


def run_together(model: Path, episodes: int, turns: int) -> float:
    """Seconds for all episodes, a turn of every one at a time."""
    from leap_core.students.base import ActRequest
    from leap_core.students.hf import HfStudent

    execution = ExecutionConfig(device="cpu", batch_size=episodes)
    student = HfStudent(model, StudentConfig(max_new_tokens=REPLY_TOKENS), execution, temperature=1.0)
    start = time.perf_counter()
    for turn in range(turns):
        requests = [
            ActRequest(slot=str(e), messages=conversation(e, turn), admissible=None, seed=e * 1000 + turn)
            for e in range(episodes)
        ]
        student.act(requests)
    return time.perf_counter() - start


def run_one_by_one(model: Path, episodes: int, turns: int) -> float:
    """Seconds for all episodes, one after another, one `generate` a turn."""
    import torch
    from transformers import AutoModelForCausalLM

    from leap_core.students.encoding import encode_prompt, load_tokenizer

    tokenizer = load_tokenizer(model)
    loaded = AutoModelForCausalLM.from_pretrained(model).eval()
    start = time.perf_counter()
    for episode in range(episodes):
        for turn in range(turns):
            prompt = torch.tensor([encode_prompt(tokenizer, conversation(episode, turn))])
            ones = torch.ones_like(prompt)
            loaded.generate(prompt, attention_mask=ones, do_sample=True, top_k=0, max_new_tokens=REPLY_TOKENS)
    return time.perf_counter() - start


class Script(NamedTuple):
    """One made-up episode as tokens: what is said before each reply, and how many tokens the reply has."""

    said: list[list[int]]
    replies: list[int]


def write_scripts(episodes: int, turns: int, vocabulary: int) -> list[Script]:
    """Episodes that begin with 250 to 350 tokens, then 20 to 60 a turn; replies have 15 to 50."""
    rng = random.Random(0)
    return [
        Script(
            [
                [rng.randrange(100, vocabulary) for _ in range(rng.randint(20, 60) if turn else rng.randint(250, 350))]
                for turn in range(turns)
            ],
            [rng.randint(15, 50) for _ in range(turns)],
        )
        for _ in range(episodes)
    ]


class PlainBatch:
    """Batched decoding with the cache of transformers: what is new is padded on the left, and all rows step together.

    Rows whose reply is over go on with tokens that a mask hides from then on.
    """

    def __init__(self, model: Any, num_rows: int) -> None:
        import torch
        from transformers import DynamicCache

        self._torch, self._model = torch, model
        self._cache = DynamicCache(config=model.config)
        self._mask = torch.zeros((num_rows, 0), dtype=torch.long)
        self._next: list[list[int]] = [[] for _ in range(num_rows)]

    def turn(self, said: list[list[int]], lengths: list[int]) -> None:
        """Read what is new in each row, and write a reply of the given length."""
        feeds = [before + new for before, new in zip(self._next, said, strict=True)]
        written: list[list[int]] = [[] for _ in said]
        while True:
            chosen = self._forward(feeds)
            for reply, length, token in zip(written, lengths, chosen, strict=True):
                if len(reply) < length:
                    reply.append(token)
            self._next = [reply[-1:] for reply in written]
            if all(len(reply) == length for reply, length in zip(written, lengths, strict=True)):
                return
            going = [len(reply) < length for reply, length in zip(written, lengths, strict=True)]
            feeds = [[reply[-1]] if on else [] for reply, on in zip(written, going, strict=True)]

    def _forward(self, feeds: list[list[int]]) -> list[int]:
        torch, width = self._torch, max(map(len, feeds))
        new = torch.tensor([[0] * (width - len(feed)) + [1] * len(feed) for feed in feeds])
        self._mask = torch.cat([self._mask, new], dim=1)
        output = self._model(
            input_ids=torch.tensor([[0] * (width - len(feed)) + feed for feed in feeds]),
            attention_mask=self._mask,
            position_ids=(self._mask.cumsum(dim=1) - 1).clamp(min=0)[:, -width:],
            past_key_values=self._cache,
            logits_to_keep=1,
        )
        return list(torch.multinomial(output.logits[:, -1].softmax(dim=-1), 1).flatten().tolist())


def write_plainly(model: Any, scripts: list[Script]) -> None:
    """All turns of the plain side."""
    import torch

    with torch.inference_mode():
        batch = PlainBatch(model, len(scripts))
        for turn in range(len(scripts[0].replies)):
            batch.turn([script.said[turn] for script in scripts], [script.replies[turn] for script in scripts])


def write_in_slots(model: Any, vocabulary: Any, scripts: list[Script]) -> None:
    """All turns in the slot engine, each episode going on when its reply is there."""
    from leap_core.students.decoding import Reply, Sampling
    from leap_core.students.slot_engine import SlotEngine

    engine = SlotEngine(model, "cpu", len(scripts), Sampling(temperature=1.0))
    prompts = {str(number): list(script.said[0]) for number, script in enumerate(scripts)}
    turns = dict.fromkeys(prompts, 0)
    replies: dict[str, Reply] = {}
    going = list(prompts)
    while True:
        for slot in going:
            length = scripts[int(slot)].replies[turns[slot]]
            replies[slot] = Reply(vocabulary, int(slot) * 1000 + turns[slot], length, None)
            engine.submit(slot, prompts[slot], replies[slot])
        going = []
        finished = engine.advance()
        if not finished:
            return
        for slot in finished:
            turns[slot] += 1
            if turns[slot] < len(scripts[int(slot)].replies):
                prompts[slot] = prompts[slot] + replies[slot].ids + scripts[int(slot)].said[turns[slot]]
                going.append(slot)


def cpu_seconds(work: Callable[[], None]) -> float:
    """What all threads of this process spend on the work."""
    start = time.process_time()
    work()
    return time.process_time() - start


def compare_with_plain_batches(path: Path, episodes: int, turns: int) -> None:
    """Print seconds of both sides and how fast the engine is beside the plain loop, over three repetitions.

    Seconds are those of the CPU: other work on the machine counts in them least.
    """
    from transformers import AutoModelForCausalLM

    from leap_core.students.decoding import Vocabulary
    from leap_core.students.encoding import load_tokenizer

    vocabulary = Vocabulary(load_tokenizer(path))
    vocabulary.ends = frozenset()  # so that each reply has the length that the script says
    plain, ours = (AutoModelForCausalLM.from_pretrained(path).eval().requires_grad_(False) for _ in range(2))
    scripts = write_scripts(episodes, turns, plain.config.vocab_size)
    ratios = []
    for repetition in range(3):
        slow = cpu_seconds(lambda: write_plainly(plain, scripts))
        fast = cpu_seconds(lambda: write_in_slots(ours, vocabulary, scripts))
        ratios.append(slow / fast)
        print(f"{repetition}: plain {slow:.1f} s of CPU, slots {fast:.1f} s, ratio {slow / fast:.2f}", flush=True)
    print(f"ratio {statistics.median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f})")


def compare_with_single_prompts(episodes: int, turns: int) -> None:
    """Print episodes per second of both sides and their ratio, over three repetitions."""
    from leap_core.students.tiny import make_tiny_student

    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder)
        texts = [message.content for e in range(20) for message in conversation(e, turns)]
        make_tiny_student(model, texts, seed=0)
        for repetition in range(3):
            # The slow side plays fewer episodes: its cost per episode is the same.
            few = max(2, episodes // 8)
            slow = few / run_one_by_one(model, few, turns)
            fast = episodes / run_together(model, episodes, turns)
            ratios.append(fast / slow)
            print(f"{repetition}: {slow:.2f} -> {fast:.2f} episodes/s, ratio {fast / slow:.1f}")
    print(f"ratio {statistics.median(ratios):.1f} (from {min(ratios):.1f} to {max(ratios):.1f})")


def main() -> None:
    """Read the options, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="directory of a model that the slot engine serves")
    parser.add_argument("--episodes", type=int, default=32)
    parser.add_argument("--turns", type=int)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()

    import torch

    torch.set_num_threads(options.threads or (2 if options.model else 1))
    if options.model:
        compare_with_plain_batches(options.model, options.episodes, options.turns or 4)
    else:
        compare_with_single_prompts(options.episodes, options.turns or 20)


if __name__ == "__main__":
    main()
