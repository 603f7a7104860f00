"""ALFWorld's specs: games generated from a seed, or a sample of a downloaded ALFWorld data directory."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

from pydantic import JsonValue

from leap_core.config import EnvironmentConfig
from leap_core.envs.alfworld.engine.engines import make_engine
from leap_core.envs.alfworld.engine.game_file import load_game_file, read_goal, read_raw_game, task_of
from leap_core.envs.alfworld.environment import AlfworldEnvironment, game_of
from leap_core.envs.alfworld.games.counterfactual import imagine
from leap_core.envs.alfworld.games.data_index import (
    CHOSEN,
    DAMAGED,
    HOW_TO_GET,
    NO_GAME,
    UNPLAYABLE,
    DataIndex,
    IndexedGame,
    find_data,
    in_order,
    read_index,
)
from leap_core.envs.alfworld.params import AlfworldParams
from leap_core.envs.alfworld.privileged import StartFacts, reveal, winning_plan
from leap_core.envs.alfworld.sight import see
from leap_core.envs.alfworld.world.goals import Goal
from leap_core.envs.base import Environment, Narrator, Oracle, Suite
from leap_core.envs.sight import Sight
from leap_core.envs.skipped import Skipped, describe_counts, write_skipped
from leap_core.errors import GameFileError, LeapError, MissingPackageError, UnplayableGameError
from leap_core.types import Figure, PrivilegedState, Spec, Split, Step, Trajectory


class AlfworldSuite(Suite):
    """The suite named "alfworld"."""

    name = "alfworld"
    figure: Figure = "success"

    def __init__(self, config: EnvironmentConfig) -> None:
        """Check the settings.

        Raises:
            ConfigError: an unknown parameter, one that is not for this kind of games, or a bad value.
            MissingPackageError: the engine needs a package that is not installed.
        """
        self._config = config
        self._params = AlfworldParams.read(config)
        self._engine = make_engine(self._params.engine)  # for looking at games; each environment has its own
        self._last: tuple[tuple[Path, str], StartFacts, Goal] | None = None

    def check_data(self) -> None:
        """Raise LeapError where `environment.data` leads nowhere."""
        if self._config.data is not None:
            find_data(self._config.data)

    def prepare(self, root: Path, split: Split, seed: int) -> list[Spec]:
        """Write what the specs of a split need below `root`; return them.

        Downloaded games stay where they are. Those that are passed over are recorded: of a kind that ALFWorld leaves
        out, not known to be solvable, or damaged.

        Raises:
            GameFileError: too large a share of the games is damaged.
            UnplayableGameError: the native engine refuses a game, and the original engine is not to be had.
            LeapError: the data is missing, or holds no playable game.
        """
        count = self._config.num_specs(split)
        if self._config.data is None:
            return self._generate(root, split, count, seed)
        return self._index(root, split, count) if count else []

    @staticmethod
    def sights(trajectory: Trajectory, privileged: PrivilegedState) -> list[Sight]:
        """What was seen by each step of an episode, and where everything is."""
        return see(trajectory, privileged)

    def make(self, root: Path) -> Environment:
        """Make an environment that can play any spec of `root`."""
        return AlfworldEnvironment(make_engine(self._params.engine), root)

    def privileged_state(self, root: Path, spec: Spec) -> PrivilegedState:
        """The hidden state at the start of `spec`.

        Raises:
            GameFileError: the game is missing, changed since the spec was made, or damaged.
        """
        path, sha256 = game_of(root, spec)
        hidden, goal = self._start(path, sha256)
        walkthrough = read_raw_game(path).walkthrough
        plan = winning_plan(self._engine, path, sha256, goal, hidden, walkthrough)
        self._engine.close()
        return reveal(spec, goal, hidden, plan, walkthrough, source=f"{self._params.engine} engine")

    def counterfactual(
        self, root: Path, spec: Spec, privileged: PrivilegedState, steps: Sequence[Step], rng: Random
    ) -> PrivilegedState:
        """The same room, with what was not yet seen in other places that were not looked into.

        Raises:
            GameFileError: the game is missing, changed since the spec was made, or damaged.
        """
        hidden, goal = self._start(*game_of(root, spec))
        return imagine(spec, goal, hidden, privileged, steps, rng)

    def oracle(self) -> Oracle:
        """The rule-based expert; with environment.params.expert = "walkthrough", one that follows the files' own."""
        from leap_core.envs.alfworld.expert.walkthroughs import WalkthroughExpert
        from leap_core.envs.alfworld.oracle import AlfworldOracle

        return WalkthroughExpert(AlfworldOracle()) if self._params.expert == "walkthrough" else AlfworldOracle()

    def narrator(self) -> Narrator:
        """What plays at random and narrates it."""
        from leap_core.envs.alfworld.expert.random_play import play_randomly

        return play_randomly

    def _start(self, path: Path, sha256: str) -> tuple[StartFacts, Goal]:
        """How a game starts, and its goal; those of the last one asked for are at hand."""
        if self._last is None or self._last[0] != (path, sha256):
            self._engine.start(path, sha256)
            self._last = (path, sha256), StartFacts(self._engine.facts()), read_goal(path)
        return self._last[1:]

    def _generate(self, root: Path, split: Split, count: int, seed: int) -> list[Spec]:
        from leap_core.envs.alfworld.games.generator import generate_games

        games = generate_games(root, {split: count}, seed, self._params.scene_size)
        return [_generated(root, path, split) for _, path in games]

    def _index(self, root: Path, split: Split, count: int) -> list[Spec]:
        """So many games of a downloaded split: always the same, and a fair sample of its kinds of tasks."""
        index = read_index(find_data(str(self._config.data)))
        name = {"train": "train", "dev": self._params.dev_split, "test": self._params.test_split}[split]
        self._check_whole(index, name)
        games = [game for game in index.games(name) if game.status in CHOSEN]
        chosen = sorted(games, key=_mixed)[:count]
        if not chosen:
            there = describe_counts(in_order(index.count(name)))
            raise LeapError(
                f"{index.folder / name} holds no playable game for the {split} split: {there}. {HOW_TO_GET}"
            )
        write_skipped(root, _skipped(index, name))
        return [self._indexed(index.folder, game, split) for game in chosen]

    def _check_whole(self, index: DataIndex, split: str) -> None:
        games = [game for game in index.games(split) if game.status != NO_GAME]
        damaged = [game for game in games if game.status == DAMAGED]
        limit = self._params.max_damaged_share
        if len(damaged) > limit * len(games):
            raise GameFileError(
                f"{len(damaged)} of {len(games)} games in {index.folder / split} are damaged, more than "
                f"environment.params.max_damaged_share = {limit:g} allows. First: {damaged[0].why} Get the data again, "
                "or delete the folders of the damaged games."
            )

    def _indexed(self, folder: Path, game: IndexedGame, split: Split) -> Spec:
        """The spec of a downloaded game.

        Raises:
            UnplayableGameError: the native engine refuses it, and the original engine is not to be had.
        """
        path = folder / game.path
        if game.status == UNPLAYABLE:
            self._check_original_engine(game)
        task = game.task or task_of(path, self._engine.start(path, game.sha256).text)
        return _spec(path, game.sha256, task, split, Path(split, game.id), game.task_type)

    def _check_original_engine(self, game: IndexedGame) -> None:
        """Raise UnplayableGameError unless a game that the native engine refuses can go to the original one."""
        if self._params.engine == "native":
            raise UnplayableGameError(
                f"{game.why} With environment.params.engine = 'auto', the original engine may play it."
            )
        try:
            make_engine("textworld")
        except MissingPackageError as error:
            raise UnplayableGameError(f"{game.why} The original engine may play it: {error}") from error


def _generated(root: Path, path: Path, split: Split) -> Spec:
    """The spec of a generated game; `path` is relative to `root`."""
    file = load_game_file(root / path)
    task_type = read_goal(root / path).task_type
    return _spec(path, file.sha256, file.task, split, path.parent.relative_to("games"), task_type)


def _skipped(index: DataIndex, split: str) -> Skipped:
    games = [game for game in index.games(split) if game.status not in CHOSEN]
    counts = in_order(Counter(game.status for game in games))
    return Skipped(counts=counts, why={game.id: f"{game.status}: {game.why}" for game in games if game.why})


def _spec(path: Path, sha256: str, task: str, split: Split, id: Path, task_type: str) -> Spec:
    params: dict[str, JsonValue] = {"game": path.as_posix(), "sha256": sha256}
    return Spec(id=id.as_posix(), env=AlfworldSuite.name, split=split, instruction=task, group=task_type, params=params)


def _mixed(game: IndexedGame) -> str:
    """Sorts games in an order that has nothing to do with their names, which begin with the kind of task."""
    return hashlib.sha256(game.path.partition("/")[2].encode()).hexdigest()
