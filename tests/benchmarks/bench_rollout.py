"""Episodes per second of the student: many episodes together against one episode after another.

Run: python -m tests.benchmarks.bench_rollout [--episodes 32] [--turns 20] [--threads 1]

Both sides answer the same prompts with the same tiny model. The plain side calls `model.generate` for one prompt at a
time, as a simple rollout loop would. The transcript is made up: what an episode's environment says does not depend
on the replies, so both sides do the same work.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

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


def main() -> None:
    """Print episodes per second of both sides and their ratio, over three repetitions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=32)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()

    import torch

    from leap_core.students.tiny import make_tiny_student

    torch.set_num_threads(options.threads)
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder)
        texts = [message.content for e in range(20) for message in conversation(e, options.turns)]
        make_tiny_student(model, texts, seed=0)
        for repetition in range(3):
            # The slow side plays fewer episodes: its cost per episode is the same.
            few = max(2, options.episodes // 8)
            slow = few / run_one_by_one(model, few, options.turns)
            fast = options.episodes / run_together(model, options.episodes, options.turns)
            ratios.append(fast / slow)
            print(f"{repetition}: {slow:.2f} -> {fast:.2f} episodes/s, ratio {fast / slow:.1f}")
    print(f"ratio {statistics.median(ratios):.1f} (from {min(ratios):.1f} to {max(ratios):.1f})")


if __name__ == "__main__":
    main()
