"""The protocols of an environment: a `Suite` of specs, the `Environment` that plays one of them, and their expert.

`tests/contracts` runs the same checks over every suite named in `ENVIRONMENTS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Protocol, Self

from leap_core.config import EnvironmentConfig, Section, read_params
from leap_core.envs import ENVIRONMENTS
from leap_core.envs.sight import Sight
from leap_core.registry import load_kind
from leap_core.types import Action, Figure, Level, Observation, PrivilegedState, Spec, Split, Step, Trajectory


class EnvironmentParams(Section):
    """`environment.params` of one environment; its `params.py` adds the settings."""

    @classmethod
    def read(cls, config: EnvironmentConfig) -> Self:
        """Validate `config.params`.

        Raises:
            ConfigError: an unknown key (with the nearest known one) or a bad value.
        """
        return read_params(config.params, cls, "environment.params")


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What an environment gives back for one command.

    `terminated` means that the environment ended the episode; it is not `success`. `valid` is False where the
    command was not understood or not possible. `score` is in [0, 1].

    An environment whose score is made of parts gives them with the result that ends the episode: `score_parts` maps
    their names, words in small letters, to values in [0, 1]. `suspicion` says why the score may have been steered.
    """

    observation: Observation
    terminated: bool
    score: float
    success: bool
    valid: bool = True
    score_parts: Mapping[str, float] = field(default_factory=dict)
    suspicion: str | None = None

    def __post_init__(self) -> None:
        # Here, where a wrong one fails its own episode: a NaN would go into means, and from there into choices.
        for name, value in {"score": self.score, **self.score_parts}.items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}, but must be in [0, 1]")


class Environment(Protocol):
    """One live episode at a time. Not thread-safe; a worker process holds many."""

    def reset(self, spec: Spec) -> Observation:
        """Start `spec` from its beginning; the same spec always starts the same."""

    def step(self, command: str) -> StepResult:
        """Execute one command. A wrong command is an answer with `valid=False`, never an exception."""

    def close(self) -> None:
        """Release what the episode holds. Safe to call twice."""


Narrator = Callable[[Environment, Spec, int, Random], Trajectory]
"""Plays a spec for so many random steps and says in plain words what it does: text to pre-train a tiny student on."""


class Oracle(Protocol):
    """A rule-based expert of one environment, the embedded default's source of demonstrations and corrections.

    `levels` are the shares of the privileged state at which it can advise, in ascending order. At the last one it
    reaches the goal of every spec.
    """

    levels: tuple[Level, ...]

    def advise(
        self, spec: Spec, history: Sequence[Step], observation: Observation, privileged: PrivilegedState, level: Level
    ) -> Action:
        """Say what to do now, after the steps in `history` were really taken, and why.

        The reason may speak only of what `history` and `observation` show, of the goal, and of general knowledge.
        `level` is the share of the privileged state that may guide the choice: 0 acts on what was seen
        and on general knowledge alone, 100 walks straight to the goal.
        """


class Suite(Protocol):
    """All specs of one environment, and how to play them. Subclass it: `version` and what follows has defaults.

    `root` below is the directory of a published specs artifact, where `prepare` wrote. `figure` is what decides which
    of two models is better here: the best iteration is chosen by it, and reports show it first. `version` is raised
    when the same spec and commands give other observations or scores: then all that was played is played again.
    `sparing` says that
    the teacher's prompts ask it to change only a few steps and to leave the rest alone. `sample_commands` are always
    valid ones, for checks to try where an observation lists no admissible commands.
    """

    name: str
    figure: Figure
    version: int = 1
    sparing: bool = False
    sample_commands: Sequence[str] = ()

    def __init__(self, config: EnvironmentConfig) -> None: ...

    def check_data(self) -> None:
        """Raise LeapError, saying how to get the data, where `environment.data` leads nowhere. Takes no time."""
        return None

    def prepare(self, root: Path, split: Split, seed: int) -> list[Spec]:
        """Write what the specs of one split need (generated games, an index) below `root`; return them in order.

        No two splits share a game. A split does not depend on how large the others are.

        Raises:
            LeapError: data is missing or damaged; says which file and how to get it.
        """

    def make(self, root: Path) -> Environment:
        """Make an environment that can play any spec of `root`."""

    def privileged_state(self, root: Path, spec: Spec) -> PrivilegedState:
        """The hidden state at the start of `spec`."""

    def counterfactual(
        self, root: Path, spec: Spec, privileged: PrivilegedState, steps: Sequence[Step], rng: Random
    ) -> PrivilegedState | None:
        """Another hidden state of `spec` that agrees with all that was seen in `steps`; None: none can be made.

        `privileged` is the true one, which is given back where what was seen leaves nothing else. The last of `steps`
        is the one that is thought about: its observation was seen, its action is not looked at.
        """
        return None

    def oracle(self) -> Oracle:
        """The rule-based expert of this environment."""

    @staticmethod
    def sights(trajectory: Trajectory, privileged: PrivilegedState) -> list[Sight]:
        """For the gate: what was seen by each step of an episode, as relations; empty: it looks at words alone."""
        return []

    def narrator(self) -> Narrator | None:
        """What plays at random and narrates it; none: no student can be pre-trained on this environment."""
        return None


def find_suite(name: str) -> type[Suite]:
    """Import the suite class that `environment.name` stands for.

    Raises:
        UnknownNameError: there is no such environment; suggests the nearest name.
    """
    suite: type[Suite] = load_kind("environment", name, ENVIRONMENTS)
    return suite
