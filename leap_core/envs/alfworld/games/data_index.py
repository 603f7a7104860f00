"""What a downloaded ALFWorld data directory holds: every game with what its spec needs, read once, then cached.

Games are `<split>/<task>/<trial>/game.tw-pddl` beside `traj_data.json`. Reading all of them takes a while; the cache is
used for as long as sizes and times of the files stay the same.
"""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from leap_core.disk.files import write_atomically
from leap_core.envs.alfworld.engine.game_file import (
    GAME_FILE,
    TASK_PREFIX,
    TRAJECTORY_FILE,
    UNKNOWN_GOAL,
    RawGame,
    compile_game,
    read_goal,
    read_problem,
    read_raw_game,
    stamp_of,
)
from leap_core.errors import ArtifactError, GameFileError, LeapError, LeftOutGameError, UnplayableGameError
from leap_core.types import Record

DATA_VARIABLE = "ALFWORLD_DATA"
DEFAULT_DATA = "~/.cache/alfworld"
"""Where `alfworld-download` puts its games unless told otherwise."""
DATA_SPLITS = ("train", "valid_seen", "valid_unseen")
"""The folders of ALFWorld's data: training, the same rooms with other games, other rooms."""
NUM_TRAIN_GAMES = 3553
NUM_EVALUATION_GAMES = {"valid_seen": 140, "valid_unseen": 134}
"""How many games published numbers are computed over: in distribution, and out of distribution."""
HOW_TO_GET = (
    "Get the data: `pip install alfworld` and `alfworld-download --data-dir DIR`, then set environment.data to DIR (or "
    f"to '${DATA_VARIABLE}', and the variable to DIR); or leave environment.data out, and games are generated."
)

STATUSES = ("playable", "unplayable", "left out", "without a game", "unsolvable", "damaged")
PLAYABLE, UNPLAYABLE, LEFT_OUT, NO_GAME, UNSOLVABLE, DAMAGED = STATUSES
"""What can be said of a trial. Unplayable games have rules or words that the native engine refuses; the original engine
may play them; left out are the kinds of tasks that ALFWorld leaves out. The data also holds many trials of ALFRED for
which ALFWorld has made no game: nothing is wrong with them."""
CHOSEN = (PLAYABLE, UNPLAYABLE)
"""Of these, specs are made; all others are passed over."""

_NESTED = "json_2.1.1"
"""`alfworld-download` puts the splits into this folder of its data directory."""
_VERSION = 2
_TASK = re.compile(r'("task"\s*:\s*\[\s*\{\s*"rhs"\s*:\s*")((?:[^"\\]|\\.)*)(")')
_PUT = re.compile(r'action\s+PutObject\s*\{\s*template\s*::\s*"([^"]*)"', re.IGNORECASE)
Stamp = tuple[int, int, int, int]
_MISSING = (0, 0)
"""The stamp of a file that is not there."""


class IndexedGame(Record):
    """One trial of a data directory, with its game.

    `id` is `<task>/<trial>`; `why` says what is wrong with one that is not playable.
    `wording` is how one puts an object down, as the file has it: "move {o} to {r}" or "put {o} in/on {r}".
    """

    split: str
    id: str
    status: str
    why: str = ""
    sha256: str = ""
    task: str = ""
    task_type: str = ""
    wording: str = ""
    has_help: bool = False
    stamp: Stamp

    @property
    def path(self) -> str:
        """Where the game file is, relative to the data folder."""
        return f"{self.split}/{self.id}/{GAME_FILE}"


class _Cache(Record):
    version: int
    games: tuple[IndexedGame, ...]


class DataIndex:
    """All games of a data folder, by split, in alphabetical order of their ids."""

    def __init__(self, folder: Path, games: Sequence[IndexedGame]) -> None:
        self.folder = folder
        self._games = {split: tuple(game for game in games if game.split == split) for split in DATA_SPLITS}

    def games(self, split: str) -> tuple[IndexedGame, ...]:
        """Every game of a split, whatever its status."""
        return self._games[split]

    def count(self, split: str) -> Counter[str]:
        """How many games of a split have which status."""
        return Counter(game.status for game in self.games(split))

    def missing_evaluation_games(self, split: str) -> list[str]:
        """Ids of the published evaluation that are not there, or not playable."""
        there = {game.id for game in self.games(split) if game.status in CHOSEN}
        return [id for id in evaluation_games(split) if id not in there]


@cache
def evaluation_games(split: str) -> tuple[str, ...]:
    """The ids of the games that published numbers are computed over; two of the 140 of valid_seen are not known."""
    text = (files("leap_core.envs.alfworld.games") / "data" / "evaluation_games.txt").read_text(encoding="utf-8")
    pairs = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return tuple(id for found, id in pairs if found == split)


def find_data(setting: str) -> Path:
    """The folder of the splits for a value of environment.data: a path, which may begin with ~ or $ALFWORLD_DATA.

    Raises:
        LeapError: there is no such directory, or no `train` in it.
    """
    default = {DATA_VARIABLE: os.environ.get(DATA_VARIABLE) or DEFAULT_DATA}
    named = re.sub(r"\$\{?(\w+)\}?", lambda match: default.get(match[1], os.environ.get(match[1], match[0])), setting)
    data = Path(named).expanduser().resolve()
    for folder in (data / _NESTED, data):
        if (folder / "train").is_dir():
            return folder
    missing = f"folder 'train' in {data} or in its {_NESTED!r}" if data.is_dir() else f"directory {data}"
    raise LeapError(f"environment.data is {setting!r}, but there is no {missing}. {HOW_TO_GET}")


def read_index(folder: Path, cache_folder: Path | None = None) -> DataIndex:
    """Look at every game below `folder`; what was read before and has not changed is taken from the cache.

    `cache_folder` defaults to `leap-agents` in the user's cache directory. A cache that cannot be read or written is
    ignored.
    """
    name = f"alfworld-{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}.json"
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    cache_file = (cache_folder or caches / "leap-agents") / name
    known = {(game.split, game.id): game for game in _read_cache(cache_file)}
    games = [
        _look_at(folder, split, id, known.get((split, id))) for split in DATA_SPLITS for id in _ids(folder / split)
    ]
    if {(game.split, game.id): game for game in games} != known:
        _write_cache(cache_file, games)
    return DataIndex(folder, games)


def _ids(split: Path) -> Iterator[str]:
    """`<task>/<trial>` of every trial, sorted; empty where the split is missing."""
    for task in sorted(_folders(split)):
        yield from (f"{task}/{trial}" for trial in sorted(_folders(split / task)))


def _folders(parent: Path) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(parent) if entry.is_dir()]
    except OSError:
        return []


def _look_at(folder: Path, split: str, id: str, known: IndexedGame | None) -> IndexedGame:
    path = folder / split / id / GAME_FILE
    stamp = (*_stamp(path), *_stamp(path.with_name(TRAJECTORY_FILE)))
    if known is not None and known.stamp == stamp:
        return known
    blank = IndexedGame(split=split, id=id, status=PLAYABLE, stamp=stamp)
    if stamp[:2] == _MISSING != stamp[2:]:
        return blank.with_(status=NO_GAME)
    try:
        return _examined(path, blank)
    except LeftOutGameError as error:
        return blank.with_(status=LEFT_OUT, why=str(error))
    except GameFileError as error:
        return blank.with_(status=DAMAGED, why=str(error))


def _examined(path: Path, blank: IndexedGame) -> IndexedGame:
    """Fill in what the files say.

    Raises:
        LeftOutGameError: ALFWorld leaves this kind of task out, and so has no game for it.
        GameFileError: the game, or the data beside it, is missing or damaged.
    """
    goal, raw = read_goal(path), read_raw_game(path)
    wording = _PUT.search(raw.grammar)
    refusal = _refusal(raw)
    game = blank.with_(
        sha256=raw.sha256,
        task=_task_of(raw),
        task_type=goal.task_type,
        wording=wording[1] if wording else "",
        has_help="action help" in raw.grammar,
    )
    if raw.solvable is not True:
        return game.with_(status=UNSOLVABLE, why=f"{path}: not marked as solvable.")
    return game.with_(status=UNPLAYABLE, why=refusal) if refusal else game


def _task_of(raw: RawGame) -> str:
    """The task sentence, without "Your task is to: " and the final period; empty where the grammar hides it."""
    match = _TASK.search(raw.grammar)
    sentence = str(json.loads(f'"{match[2]}"', strict=False)) if match else ""
    return sentence.removeprefix(TASK_PREFIX).strip().removesuffix(".")


_played_dialects: set[str] = set()
"""Digests of pairs of domain and grammar that the native engine plays."""


def _refusal(raw: RawGame) -> str:
    """Why the native engine refuses a game; empty where it plays it.

    Every problem is read; a domain and a grammar that were compiled once are not compiled for each game.

    Raises:
        GameFileError: the problem is damaged.
    """
    masked = _TASK.sub(rf"\g<1>{UNKNOWN_GOAL}\g<3>", raw.grammar)
    digest = hashlib.sha256(f"{raw.domain}\0{masked}".encode()).hexdigest()
    try:
        if digest in _played_dialects:
            read_problem(raw)
        else:
            compile_game(raw)
            _played_dialects.add(digest)
    except UnplayableGameError as error:
        return str(error)
    return ""


def _read_cache(path: Path) -> tuple[IndexedGame, ...]:
    try:
        found = _Cache.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return ()
    return found.games if found.version == _VERSION else ()


def _write_cache(path: Path, games: Iterable[IndexedGame]) -> None:
    content = _Cache(version=_VERSION, games=tuple(games)).model_dump_json().encode()
    with suppress(OSError, ArtifactError):  # a home that cannot be written to: the next run reads the games again
        write_atomically(path, lambda file: file.write(content))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        return stamp_of(path)
    except OSError:
        return _MISSING


def in_order(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts by status in the order of `STATUSES`, without those that are zero."""
    return {status: counts[status] for status in STATUSES if counts.get(status)}
