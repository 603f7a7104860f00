"""How many generated games each expert wins, by task type and wording: `python -m tests.parity.experts`.

The project's expert, with and without privilege, and the walkthroughs of the game files, as demonstrations are made.
With `--original N`, on N games of each type: the same expert in the original engine, and ALFWorld's own hand-coded one
there, whose commands are then taken for the file's walkthrough. Needs the optional packages for that.
"""

import argparse
import json
import random
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from leap_core.config import EnvironmentConfig
from leap_core.envs.alfworld.engine.game_file import GAME_FILE
from leap_core.envs.alfworld.games.generator import generate_games
from leap_core.envs.alfworld.suite import AlfworldSuite
from leap_core.envs.alfworld.world.goals import TASK_TYPES
from leap_core.method.demonstrations import demonstrate
from leap_core.types import Level
from tests.parity.memoised import memoise
from tests.unit.alfworld_games import older_domain, older_grammar

WORDINGS = ("move X to Y", "put X in/on Y")
MAX_STEPS = 50
_SEED = 11


class Won(NamedTuple):
    """Whether an expert won a game, and in how many steps."""

    task_type: str
    won: bool
    num_steps: int


def write_data(folder: Path, wording: str, num_games: int) -> Path:
    """A data directory of games in rooms as large as ALFWorld's own, task types in turn."""
    for _, path in generate_games(folder / "generated", {"test": num_games}, _SEED, "full"):
        game = folder / "generated" / path
        if wording == WORDINGS[1]:
            game.write_text(json.dumps(_in_older_words(json.loads(game.read_text(encoding="utf-8")))), encoding="utf-8")
        target = folder / "data" / "train" / path.parts[2] / path.parts[3]
        target.parent.mkdir(parents=True, exist_ok=True)
        game.parent.rename(target)
    return folder / "data"


def _in_older_words(content: dict[str, object]) -> dict[str, object]:
    plan = [re.sub(r"^move (.*) to (.*)$", r"put \1 in/on \2", command) for command in content["walkthrough"]]
    grammar, domain = older_grammar(content["grammar"]), older_domain(content["pddl_domain"])
    return {**content, "grammar": grammar, "pddl_domain": domain, "walkthrough": plan}


def play(data: Path, engine: str, expert: str, level: Level, num_games: int) -> Iterator[Won]:
    """Let an expert of the project play games of each type, as the stage `demonstrations` does."""
    suite, hidden = (
        AlfworldSuite(EnvironmentConfig(data=str(data), num_train=10_000, params={"expert": expert, "engine": chosen}))
        for chosen in (engine, "native")
    )
    root, oracle, taken = data.parent / "specs", suite.oracle(), Counter[str]()
    environment = suite.make(root)
    for spec in sorted(hidden.prepare(root, "train", 0), key=lambda spec: spec.id):
        taken[spec.group] += 1
        if taken[spec.group] <= num_games:
            played = demonstrate(environment, oracle, spec, hidden.privileged_state(root, spec), level, MAX_STEPS)
            yield Won(spec.group, bool(played.success), len(played.steps))
    environment.close()


def play_handcoded(data: Path, num_games: int) -> Iterator[Won]:
    """ALFWorld's hand-coded expert in the original engine; what it did replaces the walkthrough of the file."""
    from textworld import EnvInfos
    from textworld.envs import PddlEnv

    from leap_core.envs.alfworld.engine.textworld_engine import named_as_in_alfworld

    environment = named_as_in_alfworld(PddlEnv(EnvInfos(won=True, admissible_commands=True, facts=True)))
    from alfworld.agents.environment.alfred_tw_env import AlfredExpert

    environment, taken = AlfredExpert(environment, "handcoded"), Counter[str]()
    for path in sorted((data / "train").glob(f"*/*/{GAME_FILE}")):
        task_type = path.parent.parent.name.partition("-")[0]
        taken[task_type] += 1
        if taken[task_type] <= num_games:
            commands, won = _handcoded(environment, path)
            content = json.loads(path.read_text(encoding="utf-8"))
            path.write_text(json.dumps({**content, "walkthrough": commands}), encoding="utf-8")
            yield Won(task_type, won, len(commands))


def _handcoded(environment: object, path: Path) -> tuple[list[str], bool]:
    arguments, commands = list(sys.argv), list[str]()
    random.seed(path.parent.name)  # where it does not know what to do, it does anything
    environment.load(str(path))
    state, done = environment.reset(), False
    sys.argv[:] = arguments  # the planner's translator overwrites them
    while not done and len(commands) < MAX_STEPS:
        commands.append(state["extra.expert_plan"][0])
        state, _, done = environment.step(commands[-1])
    return commands, bool(state["won"])


def show(wording: str, expert: str, games: Iterator[Won]) -> None:
    """One row of the table: won of played with the mean number of steps of those won, for each type."""
    found, cells = list(games), []
    for task_type in TASK_TYPES:
        mine = [game for game in found if game.task_type == task_type]
        steps = [game.num_steps for game in mine if game.won]
        cells.append(f"{len(steps)}/{len(mine)} ({sum(steps) / max(len(steps), 1):.1f})")
    print(f"| {wording} | {expert} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print a table: won of played, and in brackets the mean number of steps of what was won."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", type=int, default=50, help="of each task type and wording")
    parser.add_argument("--original", type=int, default=0, help="of these, in the original engine too")
    options = parser.parse_args()
    if options.original:
        memoise()
    print(f"| wording | expert | {' | '.join(TASK_TYPES)} |\n|---|---|{'---|' * len(TASK_TYPES)}")
    for wording in WORDINGS:
        with tempfile.TemporaryDirectory() as folder:
            data = write_data(Path(folder), wording, len(TASK_TYPES) * options.games)
            for level in (0, 100):
                show(wording, f"ours, level {level}", play(data, "native", "rules", level, options.games))
            show(wording, "the file's walkthrough", play(data, "native", "walkthrough", 0, options.games))
            if options.original:
                show(wording, "ours, level 0, original engine", play(data, "textworld", "rules", 0, options.original))
                show(wording, "ALFWorld's own, original engine", play_handcoded(data, options.original))
                show(wording, "demonstrations from that", play(data, "native", "walkthrough", 0, options.original))


if __name__ == "__main__":
    main()
