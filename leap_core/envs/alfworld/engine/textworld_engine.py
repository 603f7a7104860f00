"""The original engine: TextWorld's PDDL environment under ALFWorld's naming, behind the native one's protocol.

Slow (a reset takes seconds) and not thread-safe, but it is the reference that the native engine is tested against, and
it plays games that the native engine refuses. Its planner is GPL, so it is an optional package.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from leap_core.envs.alfworld.engine.engines import NOTHING_STARTED, NamedFact
from leap_core.envs.alfworld.engine.game import Turn
from leap_core.envs.alfworld.engine.game_file import read_content
from leap_core.errors import EnvironmentCrashError, MissingPackageError, UnplayableGameError

INSTALL = 'pip install -e ".[alfworld]"'
_HIDDEN_PREFIXES = ("not_", "new-axiom@")
"""What the planner keeps beside the game's own predicates: what became false, and parts of conditions."""


class TextWorldEngine:
    """Plays one game at a time; construction fails where the packages are missing."""

    def __init__(self) -> None:
        self._environment = _make_environment()
        self._state: Any = None

    def start(self, path: Path, sha256: str) -> Turn:
        """Begin the game at `path`, whose content must have this digest."""
        read_content(path, sha256)
        self._state = None
        try:
            with _quiet_arguments():
                self._environment.load(str(path))
                self._state = self._environment.reset()
        except (Exception, SystemExit) as error:  # its translator ends the process where PDDL is wrong
            raise UnplayableGameError(
                f"{path} cannot be played by TextWorld ({type(error).__name__}: {error}). Get or generate it again."
            ) from error
        return self._turn(valid=True)

    def act(self, command: str) -> Turn:
        """Execute a command."""
        self._check_started()
        try:
            self._state, _, _ = self._environment.step(command)
        except (Exception, SystemExit) as error:
            self._state = None
            raise EnvironmentCrashError(
                f"TextWorld failed after {command!r}: {type(error).__name__}: {error}"
            ) from error
        return self._turn(valid=self._state["_last_action"] is not None)

    def facts(self) -> frozenset[NamedFact]:
        """Everything that is true now."""
        self._check_started()
        names = {id: info.name for id, info in self._state["_entity_infos"].items()}
        return frozenset(
            (fact.name, *(names.get(argument.name, argument.name) for argument in fact.arguments))
            for fact in self._state["_facts"]
            if not fact.name.startswith(_HIDDEN_PREFIXES)
        )

    def close(self) -> None:
        """Release the episode. Safe to call twice."""
        self._state = None

    def _check_started(self) -> None:
        if self._state is None:
            raise EnvironmentCrashError(NOTHING_STARTED)

    def _turn(self, *, valid: bool) -> Turn:
        commands = tuple(self._state["admissible_commands"])
        return Turn(text=self._state.feedback, admissible=commands, won=bool(self._state["won"]), valid=valid)


def _make_environment() -> Any:
    """TextWorld's environment, with objects named as ALFWorld names them."""
    with _quiet_arguments():
        try:
            from textworld import EnvInfos
            from textworld.envs import PddlEnv

            return named_as_in_alfworld(PddlEnv(EnvInfos(won=True, admissible_commands=True)))
        except ImportError as error:
            raise MissingPackageError(error.name or "alfworld", "ALFWorld's original engine", INSTALL) from error


def named_as_in_alfworld(environment: Any) -> Any:
    """A TextWorld environment whose objects have the names that ALFWorld gives them."""
    with _no_cache_folder():
        from alfworld.agents.environment.alfred_tw_env import AlfredDemangler

    return AlfredDemangler(environment)


@contextmanager
def _quiet_arguments() -> Iterator[None]:
    """Keep `sys.argv`, which the planner's translator overwrites."""
    arguments = list(sys.argv)
    try:
        yield
    finally:
        sys.argv[:] = arguments


@contextmanager
def _no_cache_folder() -> Iterator[None]:
    """Keep `import alfworld` from making a folder in the user's home and from setting ALFWORLD_DATA."""
    before = os.environ.get("ALFWORLD_DATA")
    os.environ["ALFWORLD_DATA"] = tempfile.gettempdir()
    try:
        yield
    finally:
        if before is None:
            del os.environ["ALFWORLD_DATA"]
        else:
            os.environ["ALFWORLD_DATA"] = before
