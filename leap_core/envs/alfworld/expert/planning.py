"""A plan for one game: a shortest route by the hidden facts, tried out in an engine."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from leap_core.envs.alfworld.engine.engines import Engine
from leap_core.envs.alfworld.games.routes import NoRouteError, RouteStep, shortest_route
from leap_core.envs.alfworld.privileged import StartFacts
from leap_core.envs.alfworld.world.goals import Goal


def winning_plan(
    engine: Engine, path: Path, sha256: str, goal: Goal, hidden: StartFacts, walkthrough: Sequence[str]
) -> tuple[str, ...]:
    """Commands that win the game from its start, as few as are known: our route or the file's walkthrough.

    Both are played, in the wording of the game, and cut where the game is won; empty where neither wins.

    Raises:
        GameFileError: the game is missing, changed or damaged.
    """
    tries: list[Sequence[RouteStep]] = [[(command,) for command in walkthrough]]
    with suppress(NoRouteError):  # the walkthrough may know better
        tries.insert(0, shortest_route(hidden.room(), goal))
    plans = [_played(engine, path, sha256, steps) for steps in tries]
    return min((plan for plan in plans if plan is not None), key=len, default=())


def _played(engine: Engine, path: Path, sha256: str, steps: Sequence[RouteStep]) -> tuple[str, ...] | None:
    """The commands up to the win, each in the wording that is possible; None where they do not win."""
    turn = engine.start(path, sha256)
    commands: list[str] = []
    for step in steps:
        if turn.won:
            break
        command = next((wording for wording in step if wording in turn.admissible), None)
        if command is None:
            return None
        turn = engine.act(command)
        commands.append(command)
    return tuple(commands) if turn.won else None
