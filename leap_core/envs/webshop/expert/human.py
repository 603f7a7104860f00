"""Demonstrations by people: the original's recorded trajectories, followed in this shop, with reasons added.

The file `il_trajs_finalized_images.jsonl` of the original has one JSON object a line, of which this reads `states` (the
first holds the instruction), `actions`, and `action_idxs` with `available_actions`: where an index is not negative,
that command was chosen.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from leap_core.envs.base import Oracle
from leap_core.envs.webshop.expert.reading import read_page
from leap_core.envs.webshop.expert.shopper import Shopper
from leap_core.envs.webshop.privileged import HiddenGoal
from leap_core.errors import LeapError
from leap_core.types import LEVELS, Action, Level, Observation, PrivilegedState, Spec, Step

_PRICE = ", and price lower than"
_HOW_TO_GET = (
    "environment.params.trajectories names the original's file of human trajectories, il_trajs_finalized_images.jsonl; "
    "the README of princeton-nlp/WebShop, baseline_models, says where to get it."
)


class HumanExpert:
    """Does what a person did, as long as the episode is theirs and the page offers it; then `other` is asked."""

    levels = LEVELS

    def __init__(self, other: Oracle) -> None:
        self._other = other

    def advise(
        self, spec: Spec, history: Sequence[Step], observation: Observation, privileged: PrivilegedState, level: Level
    ) -> Action:
        """The person's next command with a reason from what was seen by then, or the advice of the other expert."""
        hidden = HiddenGoal.of(privileged)
        command = _next_command(hidden.demonstration, history, observation)
        if command is None:
            return self._other.advise(spec, history, observation, privileged, level)
        shopper = Shopper.of(spec, history, observation, hidden, 0)
        return Action(reason=shopper.why(command, read_page(observation.text)), command=command)


def read_trajectories(path: Path) -> dict[str, tuple[str, ...]]:
    """The commands of each trajectory, by the `key_of` its instruction; of several for one, the first.

    Raises:
        LeapError: the file is missing, or a line of it is not a trajectory.
    """
    found: dict[str, tuple[str, ...]] = {}
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    instruction, commands = _read(line, f"line {number} of {path}")
                    found.setdefault(key_of(instruction), commands)
    except (OSError, UnicodeDecodeError) as error:
        raise LeapError(f"Cannot read {path}: {error}. {_HOW_TO_GET}") from error
    return found


def key_of(instruction: str) -> str:
    """An instruction as it is the same in both files: in small letters, without quotation marks and price limit."""
    text = instruction.lower().replace('"', "").replace("'", "").partition(_PRICE)[0]
    return " ".join(text.split()).strip(".")


def _read(line: str, where: str) -> tuple[str, tuple[str, ...]]:
    try:
        entry = json.loads(line)
        commands = tuple(_command(entry, place) for place in range(len(entry["actions"])))
        _, _, below = entry["states"][0].partition("Instruction:")
        return below.partition("[button]")[0].strip(), commands
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise LeapError(f"{where} is not a trajectory of the original: {error!r}. {_HOW_TO_GET}") from error


def _command(entry: dict[str, Any], place: int) -> str:
    index = entry["action_idxs"][place]
    command = entry["actions"][place] if index < 0 else entry["available_actions"][place][index]
    return str(command.lower())


def _next_command(demonstration: tuple[str, ...], history: Sequence[Step], observation: Observation) -> str | None:
    """What comes next, if all before was done and the page offers it."""
    done = tuple(step.action.command for step in history)
    if done != demonstration[: len(done)] or len(done) >= len(demonstration):
        return None
    command, offered = demonstration[len(done)], observation.admissible
    possible = command.startswith("search[") if offered is None else command in offered
    return command if possible else None
