"""Steps a second of this project's WebShop beside the original's, on the same shop and the same commands.

    python -m tests.benchmarks.bench_webshop                          ours alone
    python -m tests.benchmarks.bench_webshop --original DIR           beside a checkout of princeton-nlp/WebShop

`tests/README.md` says what the original needs. It gets this project's search and noun step, which are faster than its
own, so the ratio is that of pages and wrapper; `--spacy` gives it spaCy, which its wrapper asks at each item's page.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from leap_core.envs.webshop.environment import WebshopEnvironment
from tests.parity.webshop_compare import all_goals, make_shop, spec_of
from tests.parity.webshop_original import OriginalShop
from tests.parity.webshop_play import RandomShopper

SEED = 11
MOST_STEPS = 15


def main() -> None:
    """Play the same episodes on both in turns, several times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--original", type=Path, help="checkout of princeton-nlp/WebShop")
    parser.add_argument("--spacy", action="store_true", help="the original finds nouns with spaCy")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shop = make_shop("generated", Path(folder), SEED)
        goals = all_goals(shop, "human")[: options.episodes]
        environment = WebshopEnvironment(shop, reduce_commands=True)
        scripts = [_script(environment, goal) for goal in goals]
        original = (
            OriginalShop(options.original, Path(folder), shop, real_spacy=options.spacy) if options.original else None
        )
        ratios = []
        for number in range(options.rounds):
            ours = _speed(scripts, lambda goal: environment.reset(spec_of(goal)), environment.step)
            line = f"round {number + 1}: ours {ours:8.0f} steps/s"
            if original is not None:
                theirs = _speed(scripts, lambda goal: original.start(goal), original.play)
                ratios.append(ours / theirs)
                line += f", original {theirs:6.1f} steps/s, ratio {ratios[-1]:5.0f}"
            print(line)
        if ratios:
            print(f"ratio: median {statistics.median(ratios):.0f}, {min(ratios):.0f} to {max(ratios):.0f}")


def _script(environment: WebshopEnvironment, goal) -> tuple:
    """A goal, and what a random shopper does about it."""
    shopper = RandomShopper(goal.id, f"{goal.title} {goal.instruction}".lower().split())
    observation, commands, done = environment.reset(spec_of(goal)), [], False
    while not done and len(commands) < MOST_STEPS:
        offered = observation.admissible
        names = tuple(command[len("click[") : -1] for command in offered) if offered else ("search",)
        commands.append(shopper.act(names, offered))
        result = environment.step(commands[-1])
        observation, done = result.observation, result.terminated
    return goal, commands


def _speed(scripts: list, start: Callable, play: Callable) -> float:
    """Steps a second over all episodes; resets count as time, not as steps."""
    began = time.perf_counter()
    for goal, commands in scripts:
        start(goal)
        for command in commands:
            play(command)
    return sum(len(commands) for _, commands in scripts) / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
