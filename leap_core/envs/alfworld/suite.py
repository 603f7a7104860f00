"""ALFWorld's specs: games generated from a seed, or a sample of a downloaded ALFWorld data directory."""

import hashlib
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pydantic import JsonValue

from leap_core.config import EnvironmentConfig
from leap_core.envs.alfworld.engine import LIBRARY, make_engine
from leap_core.envs.alfworld.environment import AlfworldEnvironment, game_of
from leap_core.envs.alfworld.game_file import GAME_FILE, GameFile, load_game_file
from leap_core.envs.alfworld.privileged import reveal
from leap_core.envs.alfworld.trajectory_data import TrajectoryData, read_trajectory_data
from leap_core.envs.base import Environment, Oracle
from leap_core.errors import ConfigError, GameFileError, LeapError, LeftOutGameError, UnknownNameError
from leap_core.types import PrivilegedState, Spec, Split

DATA_SPLITS = ("train", "valid_seen", "valid_unseen")
"""The folders of ALFWorld's data: training, the same rooms with other games, other rooms."""
_GENERATED_PARAMS = {"scene_size": "small"}
_DATA_PARAMS = {"dev_split": "valid_seen", "test_split": "valid_unseen"}
_NESTED = "json_2.1.1"
"""`alfworld-download` puts the splits into this folder of its data directory."""


class AlfworldSuite:
    """The suite named "alfworld"."""

    name = "alfworld"

    def __init__(self, config: EnvironmentConfig) -> None:
        """Check the settings.

        Raises:
            ConfigError: an unknown engine, parameter or split.
        """
        defaults = _GENERATED_PARAMS if config.data is None else _DATA_PARAMS
        for key in config.params:
            if key not in defaults:
                source = "generated games" if config.data is None else "downloaded data"
                raise UnknownNameError(f"key of environment.params for {source}", key, defaults)
        make_engine(config.engine)
        self._config = config
        self._params = {**defaults, **{key: str(value) for key, value in config.params.items()}}
        if config.data is not None:
            self._check_data_splits()

    def prepare(self, root: Path, split: Split, seed: int) -> list[Spec]:
        """Write what the specs of a split need below `root`; return them.

        Downloaded games stay where they are. `skipped-<split>.json` below `root` tells which of them were passed
        over, as ALFWorld itself does, and why.

        Raises:
            GameFileError: a game that would have been taken is damaged.
            LeapError: the data is missing, or holds no playable game.
        """
        count = self._count(split)
        if self._config.data is None:
            return self._generate(root, split, count, seed)
        return self._index(root, split, count) if count else []

    def make(self, root: Path) -> Environment:
        """Make an environment that can play any spec of `root`."""
        return AlfworldEnvironment(make_engine(self._config.engine), root)

    def privileged_state(self, root: Path, spec: Spec) -> PrivilegedState:
        """The hidden state at the start of `spec`.

        Raises:
            GameFileError: the game is missing, changed since the spec was made, or damaged.
        """
        return reveal(spec, LIBRARY.get(*game_of(root, spec)))

    def oracle(self) -> Oracle:
        """The rule-based expert."""
        from leap_core.envs.alfworld.oracle import AlfworldOracle

        return AlfworldOracle()

    def _count(self, split: Split) -> int:
        return {"train": self._config.num_train, "dev": self._config.num_dev, "test": self._config.num_test}[split]

    def _check_data_splits(self) -> None:
        for key in _DATA_PARAMS:
            if self._params[key] not in DATA_SPLITS:
                raise UnknownNameError(f"split in environment.params.{key}", self._params[key], DATA_SPLITS)
        chosen = ["train", *(self._params[key] for key in _DATA_PARAMS)]
        if len(set(chosen)) < len(chosen):
            raise ConfigError(
                f"environment.params makes train, dev and test of {', '.join(chosen)}: no two may share games, because "
                "the model is trained on train and chosen on dev. Choose different splits."
            )

    def _generate(self, root: Path, split: Split, count: int, seed: int) -> list[Spec]:
        from leap_core.envs.alfworld.generator import generate_games

        games = generate_games(root, {split: count}, seed, self._params["scene_size"])
        return [_generated(root, path, split) for _, path in games]

    def _index(self, root: Path, split: Split, count: int) -> list[Spec]:
        """So many playable games of a downloaded split: always the same, and a fair sample of its kinds of tasks."""
        folder = self._data_folder() / (split if split == "train" else self._params[f"{split}_split"])
        specs: list[Spec] = []
        skipped: dict[str, str] = {}
        damaged: list[str] = []
        for path in sorted(folder.rglob(GAME_FILE), key=partial(_mixed, folder)):
            if len(specs) == count:
                break
            try:
                specs.append(_playable(path, split, Path(split, path.parent.relative_to(folder))))
            except LeftOutGameError as error:
                skipped[path.relative_to(folder).as_posix()] = str(error)
            except GameFileError as error:
                damaged.append(str(error))
        _check_whole(damaged, folder)
        root.mkdir(parents=True, exist_ok=True)
        (root / f"skipped-{split}.json").write_text(json.dumps(skipped, indent=1) + "\n", encoding="utf-8")
        if not specs:
            first = f" The first of {len(skipped)} passed over: {next(iter(skipped.values()))}" if skipped else ""
            raise LeapError(f"{folder} holds no playable {GAME_FILE} for the {split} split.{first} {_HOW_TO_GET}")
        return specs

    def _data_folder(self) -> Path:
        """Where the folders of the splits are.

        Raises:
            LeapError: the directory, or a split that is asked for, does not exist.
        """
        data = Path(str(self._config.data)).expanduser().resolve()
        for folder in (data / _NESTED, data):
            if (folder / "train").is_dir():
                return folder
        raise LeapError(
            f"environment.data is {str(data)!r}, but there is no folder 'train' in it or in its {_NESTED!r}. "
            f"{_HOW_TO_GET}"
        )


_HOW_TO_GET = (
    "Get the data: `pip install alfworld` and `alfworld-download --data-dir DIR`, then set environment.data to DIR; "
    "or leave environment.data out, and games are generated."
)


def _generated(root: Path, path: Path, split: Split) -> Spec:
    """The spec of a generated game; `path` is relative to `root`."""
    data = read_trajectory_data(root / path)
    return _spec(load_game_file(root / path), path, split, path.parent.relative_to("games"), data)


def _playable(path: Path, split: Split, id: Path) -> Spec:
    """The spec of a downloaded game.

    Raises:
        LeftOutGameError: it is known to be unsolvable, or of a kind that ALFWorld leaves out.
        GameFileError: it is damaged, or not complete.
    """
    data = read_trajectory_data(path)
    if data.sliced:
        raise LeftOutGameError(f"{path}: the task needs a sliced object, which ALFWorld leaves out.")
    file = load_game_file(path)
    if file.solvable is False:
        raise LeftOutGameError(f"{path}: marked as not solvable.")
    return _spec(file, path, split, id, data)


def _check_whole(damaged: Sequence[str], folder: Path) -> None:
    """Raise GameFileError for games that cannot be read: to pass them over would be to train on other data unsaid."""
    if damaged:
        raise GameFileError(
            f"{len(damaged)} of the games looked at in {folder} cannot be played. First: {damaged[0]} "
            "To go on without a game, delete its folder."
        )


def _spec(file: GameFile, path: Path, split: Split, id: Path, data: TrajectoryData) -> Spec:
    params: dict[str, JsonValue] = {"game": path.as_posix(), "sha256": file.sha256}
    return Spec(
        id=id.as_posix(),
        env=AlfworldSuite.name,
        split=split,
        instruction=file.task,
        group=data.goal.task_type,
        params=params,
    )


def _mixed(folder: Path, path: Path) -> str:
    """Sorts games in an order that has nothing to do with their names, which begin with the kind of task."""
    return hashlib.sha256(path.relative_to(folder).as_posix().encode()).hexdigest()
