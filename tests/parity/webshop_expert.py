"""Lets WebShop's expert play every goal of a generated shop, and says what its purchases were worth.

    python -m tests.parity.webshop_expert --seed 0

A goal admits the full score where some product of the shop is worth it, whatever has to be searched for to find it.
"""

import argparse
import tempfile
from collections import Counter
from pathlib import Path

from leap_core.config import EnvironmentConfig
from leap_core.envs.webshop.privileged import HiddenGoal
from leap_core.envs.webshop.suite import WebshopSuite
from leap_core.types import Spec, Step


def main() -> None:
    """Print, for both kinds of goals: how many there are, how many admit the full score, and what was reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="of the shop")
    parser.add_argument("--level", type=int, default=100, help="the expert's level of privilege")
    parser.add_argument("--steps", type=int, default=30, help="limit on the steps of an episode")
    arguments = parser.parse_args()
    for goals in ("human", "synthetic"):
        play_all(goals, arguments)


def play_all(goals, arguments):
    config = EnvironmentConfig(
        name="webshop", num_train=10_000, num_dev=10_000, num_test=10_000, params={"goals": goals, "nouns": "rules"}
    )
    suite, counts, num_steps = WebshopSuite(config), Counter(), 0
    with tempfile.TemporaryDirectory() as folder:
        for split in ("train", "dev", "test"):
            for spec in suite.prepare(Path(folder), split, arguments.seed):
                score, steps, right = play(suite, Path(folder), spec, arguments)
                counts["goals"] += 1
                counts["admit the full score"] += right
                counts["worth 1"] += score == 1
                num_steps += steps
                if right and score != 1:
                    print(f"  {spec.id}: {score} after {steps} steps: {spec.instruction}")
    print(f"{goals}: {dict(counts)}, {num_steps / counts['goals']:.1f} steps")


def play(suite: WebshopSuite, folder: Path, spec: Spec, arguments) -> tuple[float, int, bool]:
    hidden = suite.privileged_state(folder, spec)
    environment, oracle, history = suite.make(folder), suite.oracle(), []
    observation, score = environment.reset(spec), 0.0
    for index in range(arguments.steps):
        action = oracle.advise(spec, history, observation, hidden, arguments.level)
        result = environment.step(action.command)
        history.append(Step(index=index, observation=observation, action=action, valid=result.valid))
        observation, score = result.observation, result.score
        if result.terminated:
            break
    return score, len(history), bool(HiddenGoal.of(hidden).right_items)


if __name__ == "__main__":
    main()
