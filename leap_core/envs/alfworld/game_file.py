"""ALFWorld's game files: the texts that generated games embed, and loading a `game.tw-pddl` into a playable game.

A game file is JSON with `pddl_domain`, `grammar`, `pddl_problem`, and mostly `walkthrough` (commands that win) and
`solvable`. A game always plays by the domain and grammar in its own file, never by ours.
"""

import hashlib
import json
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from leap_core.envs.alfworld.game import Game
from leap_core.envs.alfworld.grammar import GrammarError, parse_grammar
from leap_core.envs.alfworld.pddl import PddlError, parse_domain, parse_problem
from leap_core.errors import GameFileError, UnplayableGameError

UNKNOWN_GOAL = "UNKNOWN GOAL"
"""What stands in the grammar's `task` rule in the place of the task sentence (without the final period)."""
TASK_PREFIX = "Your task is to: "
GAME_FILE = "game.tw-pddl"


@cache
def domain_text() -> str:
    """The PDDL domain: types, predicates and actions of the household."""
    return _read("domain.pddl")


@cache
def grammar_text() -> str:
    """The grammar, with `UNKNOWN_GOAL` where the task sentence of a game goes."""
    return _read("grammar.twl2")


def grammar_for(task: str) -> str:
    """The grammar of a game whose task sentence is `task`, without "Your task is to: " and the final period."""
    return grammar_text().replace(UNKNOWN_GOAL, task)


@dataclass(frozen=True, slots=True, kw_only=True)
class GameFile:
    """A game file as loaded. `walkthrough` is empty where the file has none; `solvable` None where it does not say."""

    path: Path
    sha256: str
    game: Game
    walkthrough: tuple[str, ...]
    solvable: bool | None

    @property
    def task(self) -> str:
        """The task sentence, without "Your task is to: " and the final period."""
        _, found, sentence = self.game.intro.rpartition(TASK_PREFIX)
        if not found:
            raise GameFileError(f"{self.path}: the intro does not contain {TASK_PREFIX!r}, so the task is not known.")
        return sentence.strip().removesuffix(".")


def load_game_file(path: Path) -> GameFile:
    """Read and compile a game file.

    Raises:
        GameFileError: names the file, the key and what is wrong with it.
        UnplayableGameError: its rules or its wording are of a kind that the native engine does not play.
    """
    content = _content(path)
    return _parsed(path, content, hashlib.sha256(content).hexdigest())


def read_content(path: Path, sha256: str) -> bytes:
    """The bytes of a game file.

    Raises:
        GameFileError: it is missing, or its digest is another one.
    """
    content = _content(path)
    _check_digest(path, hashlib.sha256(content).hexdigest(), sha256)
    return content


class GameLibrary:
    """Keeps the last `size` games compiled, and what the digest of each file was when it was last looked at."""

    def __init__(self, size: int = 64) -> None:
        self._size = size
        self._games: OrderedDict[str, GameFile] = OrderedDict()
        self._digests: OrderedDict[Path, tuple[tuple[int, int], str]] = OrderedDict()

    def get(self, path: Path, sha256: str) -> GameFile:
        """The game at `path`, whose content must have the given digest.

        Raises:
            GameFileError: the file is missing, changed since the specs were made, or damaged.
            UnplayableGameError: its rules or its wording are of a kind that the native engine does not play.
        """
        content = None
        stamp = _stamp(path)
        if self._digests.get(path, (None, ""))[0] != stamp:
            content = _content(path)
            self._remember(path, stamp, hashlib.sha256(content).hexdigest())
        _check_digest(path, self._digests[path][1], sha256)
        if sha256 not in self._games:
            self._games[sha256] = _parsed(path, _content(path) if content is None else content, sha256)
            if len(self._games) > self._size:
                self._games.popitem(last=False)
        self._games.move_to_end(sha256)
        return self._games[sha256]

    def _remember(self, path: Path, stamp: tuple[int, int], digest: str) -> None:
        self._digests[path] = (stamp, digest)
        if len(self._digests) > 64 * self._size:
            self._digests.popitem(last=False)


def _check_digest(path: Path, found: str, expected: str) -> None:
    if found != expected:
        raise GameFileError(
            f"{path} changed after its specs were made: its sha256 was {expected[:12]}..., now it is {found[:12]}.... "
            "Restore the file, or make the specs again."
        )


def _parsed(path: Path, content: bytes, sha256: str) -> GameFile:
    data = _json(path, content)
    texts = {key: _text(path, data, key) for key in ("pddl_domain", "grammar", "pddl_problem")}
    key = "pddl_domain"
    try:
        domain = parse_domain(texts[key])
        key = "pddl_problem"
        problem = parse_problem(texts[key], domain)
        key = "grammar"
        game = Game(domain, problem, parse_grammar(texts[key]))
    except (PddlError, GrammarError) as error:
        raise UnplayableGameError(f"{path}: {key!r} cannot be played: {error}. {_ADVICE}") from error
    except RecursionError as error:
        raise UnplayableGameError(f"{path}: {key!r} is nested without end. {_ADVICE}") from error
    return GameFile(
        path=path, sha256=sha256, game=game, walkthrough=_walkthrough(path, data), solvable=_solvable(path, data)
    )


_ADVICE = "If the file is damaged, get or generate it again; if it is from an unknown version of ALFWorld, report it."


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise GameFileError(
            f"Cannot read the game {path}: {error.strerror}. Download the data, or make the specs, again."
        ) from error


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise GameFileError(
            f"Cannot read the game {path}: {error.strerror}. Download the data, or make the specs, again."
        ) from error
    return status.st_mtime_ns, status.st_size


def _json(path: Path, content: bytes) -> dict[str, object]:
    try:
        data = json.loads(content)
    except ValueError as error:
        raise GameFileError(f"{path} is not JSON ({error}): the file is damaged. Get or generate it again.") from error
    if not isinstance(data, dict):
        raise GameFileError(f"{path} holds a JSON {type(data).__name__}, not an object. Get or generate it again.")
    return data


def _text(path: Path, data: dict[str, object], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str):
        came = "is missing" if key not in data else f"is a {type(value).__name__}, not a text"
        raise GameFileError(f"{path}: the key {key!r} {came}. Get or generate the file again.")
    return value


def _walkthrough(path: Path, data: dict[str, object]) -> tuple[str, ...]:
    value = data.get("walkthrough")
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(command, str) for command in value):
        raise GameFileError(f"{path}: the key 'walkthrough' is not a list of commands. Get or generate the file again.")
    return tuple(value)


def _solvable(path: Path, data: dict[str, object]) -> bool | None:
    value = data.get("solvable")
    if value is not None and not isinstance(value, bool):
        raise GameFileError(f"{path}: the key 'solvable' is {value!r}, not true or false. Get the file again.")
    return value


def _read(name: str) -> str:
    return (files("leap_core.envs.alfworld") / "data" / name).read_text(encoding="utf-8")
