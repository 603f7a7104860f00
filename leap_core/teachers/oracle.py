"""The teacher that needs no model: an environment's rule-based expert, asked at every step of a student's episode."""

from leap_core.config import CorrectionConfig
from leap_core.envs.base import Suite
from leap_core.errors import TeacherReplyError
from leap_core.teachers.base import check_same_spec
from leap_core.types import Correction, CorrectionStatus, PrivilegedState, StepCorrection, Trajectory


class OracleTeacher:
    """Corrects with the environment's own `Oracle`. Deterministic; spends no tokens and no money."""

    name = "oracle"

    def __init__(self, config: CorrectionConfig, suite: Suite) -> None:
        self._oracle = suite.oracle()
        self._level = config.level

    def correct(self, trajectory: Trajectory, privileged: PrivilegedState) -> Correction:
        """Correct each step as if the student had followed its own trajectory up to there.

        Returns:
            One step correction for each step, in order. A step on which the oracle has no advice is `rejected`,
            with the student's own command and the cause in `why`.

        Raises:
            WrongSpecError: the privileged state is for another spec.
        """
        check_same_spec(trajectory, privileged)
        steps = tuple(self._correct_step(trajectory, index, privileged) for index in range(len(trajectory.steps)))
        return Correction(
            trajectory_id=trajectory.id,
            spec_id=trajectory.spec.id,
            teacher=self.name,
            level=self._level,
            steps=steps,
        )

    def _correct_step(self, trajectory: Trajectory, index: int, privileged: PrivilegedState) -> StepCorrection:
        step, history = trajectory.steps[index], trajectory.steps[:index]
        command = step.action.command
        try:
            advice = self._oracle.advise(trajectory.spec, history, step.observation, privileged, self._level)
        except TeacherReplyError as error:
            return StepCorrection(
                step=step.index, reason="", command=command, status=CorrectionStatus.REJECTED, why=str(error)
            )
        status = CorrectionStatus.KEPT if advice.command == command else CorrectionStatus.CHANGED
        return StepCorrection(step=step.index, reason=advice.reason, command=advice.command, status=status)
