"""The protocol of a privileged teacher."""

from collections.abc import Sequence
from typing import Protocol

from leap_core.types import Correction, PrivilegedState, Trajectory


class Teacher(Protocol):
    """Improves the reason and command of every step of finished episodes (paper, section 3.1)."""

    name: str

    def correct(self, trajectory: Trajectory, privileged: PrivilegedState) -> Correction:
        """Correct each step as if the student had followed its own trajectory up to there.

        Returns:
            One step correction for each step, in order, before any check of the realizability gate.

        Raises:
            WrongSpecError: the privileged state is for another spec.
            TeacherReplyError: no usable reply.
        """
        ...


def check_same_spec(trajectory: Trajectory, privileged: PrivilegedState) -> None:
    """Raise WrongSpecError unless both speak of the same spec."""
    from leap_core.errors import WrongSpecError

    if trajectory.spec.id != privileged.spec_id:
        raise WrongSpecError(
            f"Trajectory {trajectory.id!r} is of spec {trajectory.spec.id!r}, but the privileged state is of "
            f"{privileged.spec_id!r}. Pair each trajectory with the state of its own spec."
        )


__all__: Sequence[str] = ("Teacher", "check_same_spec")
