"""The engines that can play a game file: a small protocol, and the native one.

Adding an engine is one class and one line in `ENGINES`.
"""

from pathlib import Path
from typing import Protocol

from leap_core.envs.alfworld.game import Episode, Turn
from leap_core.envs.alfworld.game_file import GameFile, GameLibrary
from leap_core.envs.alfworld.grammar import GrammarError
from leap_core.errors import ConfigError, EnvironmentCrashError, GameFileError
from leap_core.registry import load_kind

ENGINES = {"native": "leap_core.envs.alfworld.engine:NativeEngine"}
DEFAULT_ENGINE = "native"


class Engine(Protocol):
    """Plays game files, one episode at a time."""

    def start(self, path: Path, sha256: str) -> Turn:
        """Begin the game at `path`, whose content must have this digest.

        Raises:
            GameFileError: it is missing, changed, damaged, or not playable.
        """
        ...

    def act(self, command: str) -> Turn:
        """Execute a command. One that is not admissible changes nothing."""
        ...

    def close(self) -> None:
        """Release the episode."""
        ...


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
        """Execute a command. One that is not admissible changes nothing.

        Raises:
            EnvironmentCrashError: nothing was started.
            GameFileError: the game's grammar has no words for what happened.
        """
        if self._episode is None or self._file is None:
            raise EnvironmentCrashError("No game is being played: reset the environment before the first command.")
        try:
            return self._episode.act(command)
        except (GrammarError, RecursionError) as error:
            raise GameFileError(f"{self._file.path}: 'grammar' fails after {command!r}: {error}.") from error

    def close(self) -> None:
        """Release the episode."""
        self._file = self._episode = None


LIBRARY = GameLibrary()


def make_engine(name: str) -> Engine:
    """An engine by its name in the configuration; "auto" is the native one.

    Raises:
        ConfigError: there is no such engine.
    """
    chosen = DEFAULT_ENGINE if name == "auto" else name
    if chosen not in ENGINES:
        raise ConfigError(f"environment.engine is {name!r}, but ALFWorld has only: auto, {', '.join(sorted(ENGINES))}.")
    engine: Engine = load_kind("engine", chosen, ENGINES)()
    return engine
