"""WebShop's specs: goals in the original's shop, or in a generated one."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from random import Random

from leap_core.config import EnvironmentConfig
from leap_core.envs.base import Environment, Oracle, Suite
from leap_core.envs.folders import find_folder
from leap_core.envs.sight import Sight
from leap_core.envs.skipped import Skipped, write_skipped
from leap_core.envs.webshop.environment import GOAL, NOUNS, WebshopEnvironment, goal_and_nouns
from leap_core.envs.webshop.expert.human import HumanExpert, key_of, read_trajectories
from leap_core.envs.webshop.oracle import WebshopOracle
from leap_core.envs.webshop.params import WebshopParams
from leap_core.envs.webshop.privileged import reveal
from leap_core.envs.webshop.shop.data_files import HOW_TO_GET, find_files
from leap_core.envs.webshop.shop.goals import Goal
from leap_core.envs.webshop.shop.shop import REPORT_FILE, SHOP_FOLDER, Shop, ShopSettings, provide_shop
from leap_core.envs.webshop.sight import see
from leap_core.envs.webshop.site.counterfactual import imagine
from leap_core.envs.webshop.site.nouns import load_nouns, resolve_noun_step
from leap_core.errors import LeapError
from leap_core.types import Figure, PrivilegedState, Spec, Split, Step, Trajectory


class WebshopSuite(Suite):
    """The suite named "webshop"."""

    name = "webshop"
    version = 2
    figure: Figure = "score"
    sparing = True
    sample_commands = ("search[heavy duty]", "search[a]", "search[long lasting red]")

    def __init__(self, config: EnvironmentConfig) -> None:
        """Check the settings.

        Raises:
            ConfigError: an unknown parameter or value.
        """
        self._config = config
        self._params = WebshopParams.read(config)

    def check_data(self) -> None:
        """Raise LeapError where `environment.data` leads nowhere, or a file is missing there."""
        if self._config.data is not None:
            find_files(find_folder(self._config.data, HOW_TO_GET), self._params.size)

    def prepare(self, root: Path, split: Split, seed: int) -> list[Spec]:
        """Put the shop below `root` and return the goals of a split, in the original's order.

        The seed is that of a generated shop; downloaded data is the same for all. Which step finds nouns is settled
        here and written into the specs, so that it cannot change under results that were made with them. Goals to train
        on that a person was recorded for come first.

        Raises:
            LeapError: the data is missing or damaged, or has no goal for this split.
        """
        with provide_shop(root, self._settings(seed)) as shop:
            goals = self._choose(shop, split)
        if not goals and self._config.num_specs(split):
            raise LeapError(
                f"The shop has no {self._params.goals} goals for the {split} split: {shop.report.num_goals} goals, of "
                f"which the first {shop.report.test_goals} are for test and the next {shop.report.dev_goals} for dev. "
                "Use the full set of products, or set environment.params.goals = 'synthetic'."
            )
        write_skipped(root, Skipped(counts=shop.report.left_out))
        nouns = resolve_noun_step(self._params.nouns)
        return [_spec(goal, split, nouns) for goal in goals]

    @staticmethod
    def sights(trajectory: Trajectory, privileged: PrivilegedState) -> list[Sight]:
        """What was seen by each step of an episode, and what is hidden of it."""
        return see(trajectory, privileged)

    def make(self, root: Path) -> Environment:
        """Make an environment that can play any spec of `root`; all of one process play in the same opened shop."""
        return WebshopEnvironment(_open(root), self._params.reduce_commands)

    def privileged_state(self, root: Path, spec: Spec) -> PrivilegedState:
        """What the score of `spec` looks for, and a way there.

        Raises:
            WrongSpecError: the spec is not WebShop's.
        """
        shop = _open(root)
        goal, nouns = goal_and_nouns(spec)
        shown = self._trajectories().get(key_of(spec.instruction), ())
        return reveal(spec, shop.goal(goal), shop, load_nouns(nouns), shown)

    def counterfactual(
        self, root: Path, spec: Spec, privileged: PrivilegedState, steps: Sequence[Step], rng: Random
    ) -> PrivilegedState:
        """The same instruction, written about another product that no page has shown.

        Raises:
            WrongSpecError: the spec is not WebShop's.
        """
        shop = _open(root)
        return imagine(spec, shop.goal(goal_and_nouns(spec)[0]), shop, privileged, steps, rng)

    def oracle(self) -> Oracle:
        """The rule-based expert; with environment.params.trajectories, one that does what people did while it can."""
        return WebshopOracle() if self._params.trajectories is None else HumanExpert(WebshopOracle())

    def _choose(self, shop: Shop, split: Split) -> list[Goal]:
        """So many goals of a split.

        Raises:
            LeapError: people's trajectories are to be followed, and none is about a goal to train on.
        """
        count = self._config.num_specs(split)
        shown = self._trajectories()
        if split != "train" or self._params.trajectories is None:
            return shop.goals(self._params.goals, split, count)
        goals = shop.goals(self._params.goals, split, sum(shop.report.num_goals.values()))
        if not any(key_of(goal.instruction) in shown for goal in goals):
            raise LeapError(
                f"None of the {len(shown)} trajectories in {self._params.trajectories} is about one of the "
                f"{len(goals)} {self._params.goals} goals to train on. They are about human goals of the full shop."
            )
        return sorted(goals, key=lambda goal: key_of(goal.instruction) not in shown)[:count]

    def _trajectories(self) -> dict[str, tuple[str, ...]]:
        if self._params.trajectories is None:
            return {}
        path = Path(self._params.trajectories).expanduser()
        return _read_once(path, path.stat().st_mtime_ns if path.exists() else 0)

    def _settings(self, seed: int) -> ShopSettings:
        params = self._params
        return ShopSettings(
            data=None if self._config.data is None else find_folder(self._config.data, HOW_TO_GET),
            seed=seed,
            size=params.size,
            price_seed=params.price_seed,
            num_products=params.num_products,
            num_goals=params.num_goals,
            max_damaged_share=params.max_damaged_share,
        )


def _spec(goal: Goal, split: Split, nouns: str) -> Spec:
    return Spec(
        id=f"{split}/{goal.id}",
        env=WebshopSuite.name,
        split=split,
        instruction=goal.instruction,
        group=goal.category,
        params={GOAL: goal.id, NOUNS: nouns},
    )


def _open(root: Path) -> Shop:
    """The shop below `root`, opened once for each process as long as its files are the same."""
    folder = root / SHOP_FOLDER
    report = folder / REPORT_FILE
    return _opened(folder.resolve(), report.stat().st_mtime_ns if report.exists() else 0)


@lru_cache(maxsize=1)
def _read_once(path: Path, made: int) -> dict[str, tuple[str, ...]]:
    return read_trajectories(path)


@lru_cache(maxsize=4)
def _opened(folder: Path, made: int) -> Shop:
    return Shop(folder)
