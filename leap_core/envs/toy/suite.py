"""Toy's specs: corridors drawn from a seed."""

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from random import Random

from leap_core.config import EnvironmentConfig
from leap_core.envs.base import Environment, Oracle, Suite
from leap_core.envs.sight import Sight
from leap_core.envs.toy.environment import Corridor, ToyEnvironment
from leap_core.envs.toy.oracle import ToyOracle
from leap_core.envs.toy.params import ToyParams
from leap_core.envs.toy.privileged import imagine, reveal
from leap_core.envs.toy.sight import see
from leap_core.errors import ConfigError
from leap_core.types import Figure, PrivilegedState, Spec, Split, Step, Trajectory

_THINGS = ("bell", "coin", "cup", "key", "map", "pen", "ring")
_SHARES = {"train": slice(0, None, 2), "dev": slice(1, None, 4), "test": slice(3, None, 4)}


class ToySuite(Suite):
    """The suite named "toy"."""

    name = "toy"
    figure: Figure = "success"

    def __init__(self, config: EnvironmentConfig) -> None:
        if config.data is not None:
            raise ConfigError("Toy has no data to read: leave environment.data out.", item="environment.data")
        self._config, self._params = config, ToyParams.read(config)

    def prepare(self, root: Path, split: Split, seed: int) -> list[Spec]:
        """Draw the corridors of a split, of which there are num_doors! / 2 (train) or / 4; `root` stays empty."""
        orders = list(permutations(_THINGS[: self._params.num_doors]))
        Random(seed).shuffle(orders)
        chosen = orders[_SHARES[split]][: self._config.num_specs(split)]
        return [_spec(split, number, order) for number, order in enumerate(chosen)]

    @staticmethod
    def sights(trajectory: Trajectory, privileged: PrivilegedState) -> list[Sight]:
        """What was seen by each step of an episode, and where everything is."""
        return see(trajectory, privileged)

    def make(self, root: Path) -> Environment:
        """Make an environment; it needs nothing but the specs."""
        return ToyEnvironment()

    def privileged_state(self, root: Path, spec: Spec) -> PrivilegedState:
        """What is behind the doors of `spec`."""
        return reveal(spec)

    def counterfactual(
        self, root: Path, spec: Spec, privileged: PrivilegedState, steps: Sequence[Step], rng: Random
    ) -> PrivilegedState:
        """What is behind the doors that are still closed changes places."""
        return imagine(spec, steps[-1].observation, rng)

    def oracle(self) -> Oracle:
        """The rule-based expert."""
        return ToyOracle()


def _spec(split: Split, number: int, order: tuple[str, ...]) -> Spec:
    wanted = sorted(order)[number % len(order)]
    params = Corridor(wanted=wanted, behind=order).model_dump(mode="json")
    return Spec(
        id=f"{split}/{number}", env="toy", split=split, instruction=f"Find the {wanted}.", group=wanted, params=params
    )
