"""The engines that can play a game file: a small protocol, the native one, and the choice between engines.

Adding an engine is one class and one line in `ENGINES`.
"""

from pathlib import Path
from typing import Protocol

from leap_core.envs.alfworld.engine.game import Episode, Turn
from leap_core.envs.alfworld.engine.game_file import GameFile, GameLibrary
from leap_core.envs.alfworld.engine.grammar import GrammarError
from leap_core.errors import EnvironmentCrashError, GameFileError, MissingPackageError, UnplayableGameError
from leap_core.registry import load_kind

ENGINES = {
    "auto": "leap_core.envs.alfworld.engine.engines:AutoEngine",
    "native": "leap_core.envs.alfworld.engine.engines:NativeEngine",
    "textworld": "leap_core.envs.alfworld.engine.textworld_engine:TextWorldEngine",
}
NamedFact = tuple[str, ...]
"""A predicate, then the names of what it holds of, as the player reads them: ("inreceptacle", "mug 1", "desk 1")."""


class Engine(Protocol):
    """Plays game files, one episode at a time."""

    def start(self, path: Path, sha256: str) -> Turn:
        """Begin the game at `path`, whose content must have this digest.

        Raises:
            GameFileError: it is missing, changed or damaged.
            UnplayableGameError: its rules or its wording are of a kind that this engine does not play.
        """

    def act(self, command: str) -> Turn:
        """Execute a command. One that is not admissible changes nothing.

        Raises:
            EnvironmentCrashError: nothing was started, or the engine failed.
            GameFileError: the game's grammar has no words for what happened.
        """

    def facts(self) -> frozenset[NamedFact]:
        """Everything that is true now, seen or not. Hidden state: for teachers and checks, never for a student.

        Raises:
            EnvironmentCrashError: nothing was started.
        """

    def close(self) -> None:
        """Release the episode. Safe to call twice."""


class NativeEngine:
    """The engine in pure Python. Compiled games are shared by all engines of a process."""

    def __init__(self) -> None:
        self._file: GameFile | None = None
        self._episode: Episode | None = None

    def start(self, path: Path, sha256: str) -> Turn:
        """Begin the game at `path`, whose content must have this digest."""
        self._file = LIBRARY.get(path, sha256)
        self._episode = Episode(self._file.game)
        return self._episode.first_turn()

    def act(self, command: str) -> Turn:
        """Execute a command."""
        file, episode = self._live()
        try:
            return episode.act(command)
        except (GrammarError, RecursionError) as error:
            raise GameFileError(f"{file.path}: 'grammar' fails after {command!r}: {error}.") from error

    def facts(self) -> frozenset[NamedFact]:
        """Everything that is true now."""
        file, episode = self._live()
        names = file.game.names
        return frozenset(
            (predicate, *(names.get(id, id) for id in row)) for predicate, row in file.game.told_facts(episode.state)
        )

    def close(self) -> None:
        """Release the episode. Safe to call twice."""
        self._file = self._episode = None

    def _live(self) -> tuple[GameFile, Episode]:
        if self._file is None or self._episode is None:
            raise EnvironmentCrashError(NOTHING_STARTED)
        return self._file, self._episode


class AutoEngine:
    """Native where it can, else the original engine, which is an optional package."""

    def __init__(self) -> None:
        self._native = NativeEngine()
        self._original: Engine | None = None
        self._current: Engine = self._native

    def start(self, path: Path, sha256: str) -> Turn:
        """Begin the game with the native engine, or with the original one where that refuses and this is installed."""
        self._current.close()
        self._current = self._native
        try:
            return self._native.start(path, sha256)
        except UnplayableGameError as refusal:
            try:
                self._original = self._original or make_engine("textworld")
            except MissingPackageError as missing:
                raise UnplayableGameError(f"{refusal} The original engine may play it: {missing}") from refusal
            self._current = self._original
            return self._original.start(path, sha256)

    def act(self, command: str) -> Turn:
        """Execute a command. One that is not admissible changes nothing."""
        return self._current.act(command)

    def facts(self) -> frozenset[NamedFact]:
        """Everything that is true now, seen or not."""
        return self._current.facts()

    def close(self) -> None:
        """Release the episode. Safe to call twice."""
        self._current.close()


LIBRARY = GameLibrary()
NOTHING_STARTED = "No game is being played: reset the environment before the first command."


def make_engine(name: str) -> Engine:
    """An engine by its name in the configuration.

    Raises:
        UnknownNameError: there is no such engine.
        MissingPackageError: it needs a package that is not installed.
    """
    engine: Engine = load_kind("engine", name, ENGINES)()
    return engine
