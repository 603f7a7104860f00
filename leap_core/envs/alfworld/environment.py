"""One live ALFWorld episode at a time, as the student sees it."""

from pathlib import Path

from leap_core.envs.alfworld.engine.engines import Engine
from leap_core.envs.alfworld.engine.game import Turn
from leap_core.envs.base import StepResult
from leap_core.errors import WrongSpecError
from leap_core.types import Observation, Spec

_BANNER = "-= "
"""How the intro's first paragraph begins: a greeting that says nothing about the game."""


class AlfworldEnvironment:
    """Plays the specs of one directory with a given engine. The limit on steps is the caller's to keep."""

    def __init__(self, engine: Engine, root: Path) -> None:
        self._engine = engine
        self._root = root

    def reset(self, spec: Spec) -> Observation:
        """Start the game of `spec`. The text describes the room and ends with the task.

        Raises:
            WrongSpecError: it is not a spec of ALFWorld.
            GameFileError: the game is missing, changed since the spec was made, damaged, or not playable.
        """
        turn = self._engine.start(*game_of(self._root, spec))
        banner, _, rest = turn.text.partition("\n\n")
        return _observation(turn, rest if banner.startswith(_BANNER) else turn.text)

    def step(self, command: str) -> StepResult:
        """Execute one command; the score is 1 where the goal is reached, else 0."""
        turn = self._engine.act(command)
        return StepResult(
            observation=_observation(turn, turn.text),
            terminated=turn.won,
            score=float(turn.won),
            success=turn.won,
            valid=turn.valid,
        )

    def close(self) -> None:
        """Release the episode. Safe to call twice."""
        self._engine.close()


def game_of(root: Path, spec: Spec) -> tuple[Path, str]:
    """The path and the sha256 of a spec's game; `root` is the directory of the specs.

    Raises:
        WrongSpecError: it is not a spec of ALFWorld.
    """
    game, sha256 = spec.params.get("game"), spec.params.get("sha256")
    if not isinstance(game, str) or not isinstance(sha256, str):
        raise WrongSpecError(
            f"Spec {spec.id!r} (environment {spec.env!r}) does not name a game: ALFWorld needs params 'game' and "
            f"'sha256', this one has {sorted(spec.params)}. Use specs that were made for alfworld."
        )
    return root / game, sha256


def _observation(turn: Turn, text: str) -> Observation:
    return Observation(text=text.strip(), admissible=turn.admissible)
