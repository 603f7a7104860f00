"""The teacher that needs no model: an environment's rule-based expert, asked at every step of a student's episode."""

from collections.abc import Sequence

from leap_core.errors import TeacherReplyError
from leap_core.teachers.base import Teacher, TeacherSetup, check_same_spec, taught
from leap_core.teachers.privilege import PrivilegedEpisode
from leap_core.types import Correction, PrivilegedState, StepCorrection, Trajectory


class OracleTeacher(Teacher):
    """Corrects with the environment's own `Oracle`. Deterministic; spends no tokens and no money."""

    name = "oracle"

    def __init__(self, setup: TeacherSetup) -> None:
        self._oracle = setup.suite.oracle()
        self._level = setup.config.level

    def correct(self, episodes: Sequence[PrivilegedEpisode]) -> list[Correction]:
        """Correct each step as if the student had followed its own trajectory up to there.

        A step on which the oracle has no advice is `rejected`, with the student's own command and the cause in `why`.

        Raises:
            WrongSpecError: a privileged state is for another spec.
        """
        return [self.correct_episode(one.trajectory, one.privileged) for one in episodes]

    def correct_episode(self, trajectory: Trajectory, privileged: PrivilegedState) -> Correction:
        """Correct one episode; see `correct`."""
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
        try:
            advice = self._oracle.advise(trajectory.spec, history, step.observation, privileged, self._level)
        except TeacherReplyError as error:
            return taught(step, None, str(error))
        return taught(step, advice)
