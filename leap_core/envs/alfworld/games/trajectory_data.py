"""What stands beside a game in `traj_data.json`: its kind of task and what it asks for."""

import json
from dataclasses import dataclass
from pathlib import Path

from leap_core.envs.alfworld.world.goals import LOOK, TASK_TYPES, Goal
from leap_core.errors import GameFileError, LeftOutGameError

TRAJECTORY_FILE = "traj_data.json"


@dataclass(frozen=True, kw_only=True)
class TrajectoryData:
    """The part of `traj_data.json` that is used."""

    goal: Goal
    sliced: bool


def read_trajectory_data(game: Path) -> TrajectoryData:
    """Read the file beside `game`.

    Raises:
        LeftOutGameError: the task is of a kind that ALFWorld does not play.
        GameFileError: the file is missing or damaged.
    """
    path = game.parent / TRAJECTORY_FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        task_type, params = str(data["task_type"]), data["pddl_params"]
        target = params["toggle_target"] if task_type == LOOK else params["parent_target"]
        goal = Goal(
            task_type=task_type, object_kind=str(params["object_target"]).lower(), target_kind=str(target).lower()
        )
        sliced = bool(params["object_sliced"])
    except OSError as error:
        raise GameFileError(f"Cannot read {path}: {error.strerror}. Get or generate the game again.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise GameFileError(
            f"{path} is damaged ({type(error).__name__}: {error}). Get or generate it again."
        ) from error
    if task_type not in TASK_TYPES:
        raise LeftOutGameError(f"{path}: task type {task_type!r} is none of ALFWorld's: {', '.join(TASK_TYPES)}.")
    return TrajectoryData(goal=goal, sliced=sliced)
