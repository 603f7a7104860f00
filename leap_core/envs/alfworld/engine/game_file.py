"""ALFWorld's game files: the texts that generated games embed, and loading a `game.tw-pddl` into a playable game.

A game file is JSON with `pddl_domain`, `grammar`, `pddl_problem`, and mostly `walkthrough` (commands that win) and
`solvable`. A game always plays by the domain and grammar in its own file, never by ours. Its kind of task, and what
that asks for, stand beside it in `traj_data.json`.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from leap_core.envs.alfworld.engine.game import Game
from leap_core.envs.alfworld.engine.grammar import GrammarError, parse_grammar
from leap_core.envs.alfworld.engine.pddl import PddlError, PddlSyntaxError, Problem, parse_domain, parse_problem
from leap_core.envs.alfworld.world.goals import LOOK, TASK_TYPES, Goal
from leap_core.errors import GameFileError, LeftOutGameError, UnplayableGameError

UNKNOWN_GOAL = "UNKNOWN GOAL"
"""What stands in the grammar's `task` rule in the place of the task sentence (without the final period)."""
TASK_PREFIX = "Your task is to: "
GAME_FILE = "game.tw-pddl"
TRAJECTORY_FILE = "traj_data.json"


def domain_text() -> str:
    """The PDDL domain: types, predicates and actions of the household."""
    return _read("domain.pddl")


def grammar_text() -> str:
    """The grammar, with `UNKNOWN_GOAL` where the task sentence of a game goes."""
    return _read("grammar.twl2")


def grammar_for(task: str) -> str:
    """The grammar of a game whose task sentence is `task`, without "Your task is to: " and the final period."""
    return grammar_text().replace(UNKNOWN_GOAL, task)


@dataclass(frozen=True, slots=True, kw_only=True)
class RawGame:
    """A game file as read: texts that nobody has looked into.

    `walkthrough` is empty where the file has none; `solvable` None where it does not say.
    """

    path: Path
    sha256: str
    domain: str
    grammar: str
    problem: str
    walkthrough: tuple[str, ...]
    solvable: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GameFile:
    """A game file as loaded, and the compiled game."""

    path: Path
    sha256: str
    game: Game

    @property
    def task(self) -> str:
        """The task sentence, without "Your task is to: " and the final period."""
        return task_of(self.path, self.game.intro)


def task_of(path: Path, intro: str) -> str:
    """The task sentence of a game that begins with `intro`, without "Your task is to: " and the final period.

    Raises:
        GameFileError: the intro does not say it.
    """
    _, found, sentence = intro.rpartition(TASK_PREFIX)
    if not found:
        raise GameFileError(f"{path}: the intro does not contain {TASK_PREFIX!r}, so the task is not known.")
    return sentence.strip().removesuffix(".")


def load_game_file(path: Path) -> GameFile:
    """Read and compile a game file.

    Raises:
        GameFileError: names the file, the key and what is wrong with it.
        UnplayableGameError: its rules or its wording are of a kind that the native engine does not play.
    """
    return _compiled(read_raw_game(path))


def read_raw_game(path: Path) -> RawGame:
    """Read a game file without looking into its rules and words.

    Raises:
        GameFileError: it is missing, not JSON, or lacks a key.
    """
    return _raw(path, _content(path))


def compile_game(raw: RawGame) -> Game:
    """Make a game playable by the native engine.

    Raises:
        GameFileError: a part of it is cut off.
        UnplayableGameError: its rules or its wording are of a kind that the native engine does not play.
    """
    with _named_errors(raw, "pddl_domain"):
        domain = parse_domain(raw.domain)
    problem = read_problem(raw)
    with _named_errors(raw, "grammar"):
        return Game(domain, problem, parse_grammar(raw.grammar))


def read_problem(raw: RawGame) -> Problem:
    """Read the problem of a game.

    Raises:
        GameFileError: it is cut off.
        UnplayableGameError: it is of a kind that the native engine does not play.
    """
    with _named_errors(raw, "pddl_problem"):
        return parse_problem(raw.problem, parse_domain(raw.domain))


def read_goal(game: Path) -> Goal:
    """Read what a game asks for, from the file beside it.

    Raises:
        LeftOutGameError: the task is of a kind that ALFWorld leaves out, and so has no game for it.
        GameFileError: the file is missing or damaged.
    """
    path = game.parent / TRAJECTORY_FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        task_type, params = str(data["task_type"]), data["pddl_params"]
        target = params["toggle_target"] if task_type == LOOK else params["parent_target"]
        kind, target_kind = str(params["object_target"]).lower(), str(target).lower()
        sliced = bool(params["object_sliced"])
    except OSError as error:
        raise GameFileError(f"Cannot read {path}: {error.strerror}. Get or generate the game again.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise GameFileError(
            f"{path} is damaged ({type(error).__name__}: {error}). Get or generate it again."
        ) from error
    if task_type not in TASK_TYPES:
        raise LeftOutGameError(f"{path}: task type {task_type!r} is none of ALFWorld's: {', '.join(TASK_TYPES)}.")
    if sliced:
        raise LeftOutGameError(f"{game}: the task needs a sliced object, which ALFWorld leaves out.")
    return Goal(task_type=task_type, object_kind=kind, target_kind=target_kind)


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
        with _reading(path):
            stamp = stamp_of(path)
        if self._digests.get(path, (None, ""))[0] != stamp:
            content = _content(path)
            self._digests[path] = (stamp, hashlib.sha256(content).hexdigest())
            if len(self._digests) > 64 * self._size:
                self._digests.popitem(last=False)
        _check_digest(path, self._digests[path][1], sha256)
        if sha256 not in self._games:
            self._games[sha256] = _compiled(_raw(path, _content(path) if content is None else content))
            if len(self._games) > self._size:
                self._games.popitem(last=False)
        self._games.move_to_end(sha256)
        return self._games[sha256]


def _check_digest(path: Path, found: str, expected: str) -> None:
    if found != expected:
        raise GameFileError(
            f"{path} changed after its specs were made: its sha256 was {expected[:12]}..., now it is {found[:12]}.... "
            "Restore the file, or make the specs again."
        )


def _compiled(raw: RawGame) -> GameFile:
    return GameFile(path=raw.path, sha256=raw.sha256, game=compile_game(raw))


def _raw(path: Path, content: bytes) -> RawGame:
    data = _json(path, content)
    return RawGame(
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        domain=_text(path, data, "pddl_domain"),
        grammar=_text(path, data, "grammar"),
        problem=_text(path, data, "pddl_problem"),
        walkthrough=_walkthrough(path, data),
        solvable=_solvable(path, data),
    )


@contextmanager
def _named_errors(raw: RawGame, key: str) -> Iterator[None]:
    """Say of which file and which part of it an error is."""
    try:
        yield
    except PddlSyntaxError as error:
        raise GameFileError(f"{raw.path}: {key!r} is damaged: {error}. Get or generate the file again.") from error
    except (PddlError, GrammarError) as error:
        raise UnplayableGameError(f"{raw.path}: {key!r} cannot be played: {error}. {_ADVICE}") from error
    except RecursionError as error:
        raise UnplayableGameError(f"{raw.path}: {key!r} is nested without end. {_ADVICE}") from error


_ADVICE = "If the file is damaged, get or generate it again; if it is from an unknown version of ALFWorld, report it."


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise GameFileError(
            f"Cannot read the game {path}: {error.strerror}. Download the data, or make the specs, again."
        ) from error


def _content(path: Path) -> bytes:
    with _reading(path):
        return path.read_bytes()


def stamp_of(path: Path) -> tuple[int, int]:
    """When a file was changed last, and its size: while they stay the same, so does its content."""
    status = path.stat()
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


@cache
def _read(name: str) -> str:
    return (files("leap_core.envs.alfworld.engine") / "data" / name).read_text(encoding="utf-8")
