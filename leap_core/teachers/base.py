"""The protocol of a privileged teacher."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import JsonValue

from leap_core.chat.messages import ForeseenRequest
from leap_core.config import CorrectionConfig, EndpointName, ExecutionConfig, StudentConfig
from leap_core.envs.base import Suite
from leap_core.errors import WrongSpecError
from leap_core.teachers.privilege import PrivilegedEpisode
from leap_core.types import Action, Correction, CorrectionStatus, PrivilegedState, Step, StepCorrection, Trajectory


@dataclass(frozen=True, kw_only=True)
class TeacherSetup:
    """What a teacher is made from. `model` are the weights of the student that is corrected, where they are known."""

    config: CorrectionConfig
    suite: Suite
    execution: ExecutionConfig
    student: StudentConfig
    experiment: str
    model: Path | str | None = None
    log: Callable[[str], None] = lambda line: None


class Teacher(Protocol):
    """Improves the reason and command of every step of finished episodes (paper, section 3.1).

    `keeps_replies` says that an interrupted call goes on where it stopped, by itself. What is not overridden is that of
    a teacher that asks nobody: no prompts, no endpoint, nothing spent.
    """

    name: str
    keeps_replies: bool = False

    def __init__(self, setup: TeacherSetup) -> None: ...

    @classmethod
    def check(cls, config: CorrectionConfig, environment: str) -> None:
        """Raise a LeapError where a setting is wrong, before hours of work find out. Opens nothing."""
        cls.prompts_digest(config, environment)

    @classmethod
    def prompts_digest(cls, config: CorrectionConfig, environment: str) -> str | None:
        """The sha256 of the templates that decide what is asked, for the stage's identity; None where none do.

        Raises:
            ConfigError: a setting is wrong.
            UnknownNameError: no prompts for this environment.
        """
        return None

    @classmethod
    def pays_at(cls, student: StudentConfig) -> EndpointName | None:
        """The endpoint that is paid for corrections of this student; None where none is."""
        return None

    @classmethod
    def foresee(cls, setup: TeacherSetup, episodes: Sequence[PrivilegedEpisode]) -> list[ForeseenRequest]:
        """What correcting these episodes would ask first of the endpoint that is paid; nothing where none is."""
        return []

    def correct(self, episodes: Sequence[PrivilegedEpisode]) -> list[Correction]:
        """Correct each step of each episode as if the student had followed its own trajectory up to there.

        Returns:
            One correction for each episode, in order, before any check of the realizability gate; in it one step
            correction for each step. Where the teacher failed on an episode: no steps, and `error` says why.

        Raises:
            WrongSpecError: a privileged state is for another spec.
            LeapError: no episode can be corrected: a wrong key, a budget that is spent.
        """
        ...

    def account(self) -> Mapping[str, JsonValue]:
        """What correcting took in this run, for the record: requests, tokens, dollars, faults. May be empty."""
        return {}

    def close(self) -> None:
        """Release what is held. What has been paid for is kept."""
        return


def check_same_spec(trajectory: Trajectory, privileged: PrivilegedState) -> None:
    """Raise WrongSpecError unless both speak of the same spec."""
    if trajectory.spec.id != privileged.spec_id:
        raise WrongSpecError(
            f"Trajectory {trajectory.id!r} is of spec {trajectory.spec.id!r}, but the privileged state is of "
            f"{privileged.spec_id!r}. Pair each trajectory with the state of its own spec."
        )


def taught(step: Step, advice: Action | None, why: str = "") -> StepCorrection:
    """One step with what a teacher says on it, or the student's own command where it says nothing.

    It is rejected where `why` says so, and where there is no advice.
    """
    own = step.action.command
    action = Action(reason="", command=own) if advice is None else advice
    status = CorrectionStatus.KEPT if action.command == own else CorrectionStatus.CHANGED
    if why or advice is None:
        status = CorrectionStatus.REJECTED
    return StepCorrection(step=step.index, reason=action.reason, command=action.command, status=status, why=why)
