"""Plays one game in an engine and writes down everything that can be compared."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from leap_core.envs.alfworld.engine.engines import Engine
from leap_core.envs.alfworld.engine.game import Turn
from tests.parity.commands import Player

TURN_FIELDS = ("text", "admissible", "won", "valid")


class Played(NamedTuple):
    """One turn: what was typed (None for the beginning), where that came from, what came back, what is true now."""

    command: str | None
    source: str
    turn: Turn
    facts: frozenset[tuple[str, ...]]


def write_game(folder: Path, content: dict[str, object]) -> tuple[Path, str]:
    """Write a game file; return its path and digest."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "game.tw-pddl"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def play(engine: Engine, path: Path, sha256: str, player: Player, num_steps: int, on: Callable[[Played], None]) -> None:
    """Play `num_steps` commands, on past a win; `on` gets every turn, the beginning too."""
    turn = engine.start(path, sha256)
    on(Played(None, "start", turn, engine.facts()))
    for _ in range(num_steps):
        command, source = player.next(turn.admissible)
        turn = engine.act(command)
        on(Played(command, source, turn, engine.facts()))


def differences(one: Played, other_turn: Turn, other_facts: frozenset[tuple[str, ...]]) -> list[str]:
    """What differs between two engines after the same command; empty where nothing does."""
    found = [name for name in TURN_FIELDS if getattr(one.turn, name) != getattr(other_turn, name)]
    return [*found, *(["facts"] if one.facts != other_facts else [])]
