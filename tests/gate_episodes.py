"""Plays the episodes that the gate's labels speak of, and writes them beside the labels.

    python -m tests.gate_episodes          writes unit/data/gate/episodes/<environment>.json anew

One episode of each was written by hand, for the oldest labels; it is kept.

The player is the expert as it searches, led astray now and then by a command at random, so that histories hold what a
student's would: detours, places that were empty, things that were picked up in vain. The same seed plays the same.
"""

import json
import random
import re
from pathlib import Path
from tempfile import TemporaryDirectory

from leap_core.config import EnvironmentConfig
from leap_core.loading import load_suite
from leap_core.types import Action, Step

EPISODES = Path(__file__).parent / "unit" / "data" / "gate" / "episodes"
NUM_EPISODES, SPECS_SEED = 16, 3
ASTRAY = 0.35
"""How often a command is drawn in place of the expert's."""

BY_HAND = "old"
"""The end of the ids of episodes that were written by hand."""

EXPLORATION = (
    "ls {top}",
    "find {top} -maxdepth 2",
    "pwd",
    "ls -R {top} | head -n 20",
    "find {top} -type d",
    "cat {top}",
)
"""What a student tries in a shell before it knows the directory, which the goal names."""

SETTINGS = {
    "alfworld": {"max_steps": 9, "num_train": NUM_EPISODES},
    "webshop": {"max_steps": 7, "num_train": NUM_EPISODES, "params": {"num_products": 150, "num_goals": 146}},
    "intercode_bash": {"max_steps": 4, "num_train": NUM_EPISODES},
}


def play(suite, environment, spec, privileged, max_steps, rng):
    """One episode, led astray now and then."""
    steps, observation = [], environment.reset(spec)
    oracle = suite.oracle()
    for index in range(max_steps):
        action = oracle.advise(spec, steps, observation, privileged, oracle.levels[0])
        others = elsewhere(suite, spec, observation)
        explores = suite.name == "intercode_bash" and index < 2
        if (rng.random() < ASTRAY or explores) and others:
            action = Action(reason="", command=rng.choice(others))
        result = environment.step(action.command)
        steps.append(Step(index=index, observation=observation, action=action))
        if result.terminated:
            break
        observation = result.observation
    return steps


def elsewhere(suite, spec, observation):
    """The commands that lead astray: those that are listed, or in a shell a look around."""
    if observation.admissible:
        return [command for command in observation.admissible if command not in ("help", "inventory")]
    if suite.name != "intercode_bash":
        return []
    top = re.search(r"/\w+", spec.instruction)
    return [command.format(top=top.group() if top else "/") for command in EXPLORATION]


def main():
    EPISODES.mkdir(parents=True, exist_ok=True)
    for name, settings in SETTINGS.items():
        suite, episodes, rng = (
            load_suite(EnvironmentConfig(name=name, num_dev=1, num_test=1, **settings)),
            [],
            random.Random(7),
        )
        with TemporaryDirectory() as directory:
            root = Path(directory)
            specs = suite.prepare(root, "train", SPECS_SEED)
            environment = suite.make(root)
            for number, spec in enumerate(specs):
                privileged = suite.privileged_state(root, spec)
                steps = play(suite, environment, spec, privileged, settings["max_steps"], rng)
                episodes.append(
                    {
                        "id": f"{name[0]}{number:02d}",
                        "instruction": spec.instruction,
                        "privileged": privileged.model_dump(mode="json"),
                        "steps": [
                            {
                                "observation": step.observation.text,
                                "admissible": step.observation.admissible,
                                "command": step.action.command,
                            }
                            for step in steps
                        ],
                    }
                )
            environment.close()
        bank = EPISODES / f"{name}.json"
        written = json.loads(bank.read_text(encoding="utf-8")) if bank.exists() else []
        episodes += [one for one in written if one["id"].endswith(BY_HAND)]
        bank.write_text(json.dumps(episodes, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
