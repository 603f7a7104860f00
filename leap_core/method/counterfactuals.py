"""Hidden states that an episode's true one is compared with: they agree with all that was seen up to one step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random

from leap_core.envs.base import Suite
from leap_core.types import PrivilegedState, Spec, Trajectory


@dataclass(frozen=True, kw_only=True)
class Others:
    """Other hidden states than the true one, of different texts; none where what was seen leaves nothing else.

    `are_made` says that the environment made them, with facts; else only their texts stand for it, borrowed from other
    specs of the same kind, and they need not agree with what was seen.
    """

    states: tuple[PrivilegedState, ...]
    are_made: bool

    @property
    def texts(self) -> tuple[str, ...]:
        """What they say in words."""
        return tuple(state.text for state in self.states)


@dataclass(frozen=True, kw_only=True)
class Counterfactuals:
    """Makes other hidden states of the specs below `root`, at most `num` for each step; the same from the same seed.

    `states` are the true ones, by spec.
    """

    suite: Suite
    root: Path
    specs: Sequence[Spec]
    states: Mapping[str, PrivilegedState]
    num: int
    seed: int

    def of(self, trajectory: Trajectory, step: int) -> Others:
        """The other states that one may be in at a step, by all that an episode showed up to its observation.

        Raises:
            LeapError: the spec's data is missing or damaged.
        """
        spec, true = trajectory.spec, self.states[trajectory.spec.id]
        steps = trajectory.steps[: step + 1]
        made = []
        for number in range(self.num):
            rng = Random(f"{self.seed}:{trajectory.id}:{step}:{number}")
            state = self.suite.counterfactual(self.root, spec, true, steps, rng)
            if state is None:
                return self._borrowed(true, spec, rng)
            made.append(state)
        return Others(states=_distinct(made, true), are_made=True)

    def _borrowed(self, true: PrivilegedState, spec: Spec, rng: Random) -> Others:
        """What other specs of the same kind hide, below the first line of the true state, which says the task."""
        first = true.text.partition("\n")[0]
        rest = [self.states[other.id].text.partition("\n")[2] for other in self._alike(spec)]
        texts = [f"{first}\n{text}" for text in rng.sample(rest, min(self.num, len(rest)))]
        states = [PrivilegedState(spec_id=spec.id, text=text, source="borrowed") for text in texts]
        return Others(states=_distinct(states, true), are_made=False)

    def _alike(self, spec: Spec) -> list[Spec]:
        """The other specs of the same group; all others where there are none."""
        of_group = self._by_group.get(spec.group, [])
        return [one for one in (of_group if len(of_group) > 1 else self._known) if one.id != spec.id]

    @cached_property
    def _known(self) -> list[Spec]:
        return [spec for spec in self.specs if spec.id in self.states]

    @cached_property
    def _by_group(self) -> dict[str, list[Spec]]:
        groups: dict[str, list[Spec]] = {}
        for spec in self._known:
            groups.setdefault(spec.group, []).append(spec)
        return groups


def _distinct(states: Sequence[PrivilegedState], true: PrivilegedState) -> tuple[PrivilegedState, ...]:
    return tuple({state.text: state for state in states if state.text != true.text}.values())
