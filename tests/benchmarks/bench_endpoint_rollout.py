"""Rollouts at an endpoint whose replies take now short, now long: each episode for itself against turns together.

    python -m tests.benchmarks.bench_endpoint_rollout [--episodes 128] [--turns 20] [--repetitions 3]

Replies take a lognormal time (the median is --median-s), as those of a server under load do; the same requests take the
same time on both sides. The environment takes no time to speak of. Prints seconds, and the ratio with its spread.
"""

import argparse
import hashlib
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "unit")]
from chat_server import Answer, ChatServer, reply  # noqa: E402 - in the folder above
from corridor import Corridor, corridors  # noqa: E402 - in the folder of unit tests

from leap_core.config import EndpointConfig, ExecutionConfig, StudentConfig  # noqa: E402 - as above
from leap_core.envs.workers import EnvironmentPool  # noqa: E402 - as above
from leap_core.method.rollout import RolloutSettings, play_episodes  # noqa: E402 - as above
from leap_core.prompts import load_prompts  # noqa: E402 - as above
from leap_core.students.base import ActReply, ActRequest  # noqa: E402 - as above
from leap_core.students.openai import OpenAIStudent  # noqa: E402 - as above

SPREAD = 0.8  # of the logarithm: one reply in twenty takes four times the median


class Together:
    """The same student, asked for whole turns only."""

    name = "together"

    def __init__(self, student: OpenAIStudent) -> None:
        self._student = student

    def act(self, requests: list[ActRequest]) -> list[ActReply]:
        return self._student.act(requests)

    def release(self, slots: list[str]) -> None:
        pass

    def close(self) -> None:
        self._student.close()


def answer(median_s: float) -> Callable[[dict[str, Any], int], Answer]:
    """Goes to the right, after a time that depends on the prompt alone."""

    def after_a_while(body: dict[str, Any], number: int) -> Answer:
        last = body["messages"][-1]["content"]
        chance = random.Random(hashlib.sha256(last.encode()).digest())
        text = "REASON: The way out is there.\nACTION: right"
        return reply(text, delay_s=median_s * chance.lognormvariate(0.0, SPREAD))

    return after_a_while


def play(given: argparse.Namespace, wrap: Callable[[OpenAIStudent], Any]) -> float:
    """Seconds for all episodes."""
    lengths = {f"e{number}": given.turns - number % 5 for number in range(given.episodes)}
    settings = RolloutSettings(
        iteration=1, seed=0, max_steps=100, max_consecutive_invalid=None, constrain=False, batch_size=given.concurrency
    )
    with (
        ChatServer(answer(given.median_s)) as server,
        TemporaryDirectory() as name,
        EnvironmentPool(Corridor, 0) as pool,
    ):
        endpoint = EndpointConfig(base_url=server.url, max_concurrency=given.concurrency)
        execution = ExecutionConfig(student=endpoint, journal=f"{name}/journal.sqlite")
        student = wrap(OpenAIStudent("a-model", StudentConfig(kind="openai"), execution, 0.0))
        started = time.monotonic()
        played = play_episodes(student, pool, load_prompts("alfworld", "default"), corridors(**lengths), settings)
        took = time.monotonic() - started
        assert all(one.success for one in played)
        student.close()
    return took


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=128)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--median-s", type=float, default=0.5)
    parser.add_argument("--repetitions", type=int, default=3)
    given = parser.parse_args()
    ratios = []
    for _ in range(given.repetitions):
        together, alone = play(given, Together), play(given, lambda student: student)
        ratios.append(together / alone)
        print(f"turns together {together:.1f} s, each for itself {alone:.1f} s, ratio {ratios[-1]:.2f}")
    print(f"median ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
