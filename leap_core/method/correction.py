"""Privileged correction: which episodes are corrected, by whom, and what passes the gate."""

from collections.abc import Sequence

from leap_core.errors import StageFailedError
from leap_core.gate.realizability import apply_gate
from leap_core.teachers.base import Teacher
from leap_core.teachers.privilege import PrivilegedEpisode
from leap_core.types import Correction, CorrectionStatus, Trajectory


def needs_correction(trajectory: Trajectory, threshold: float, *, keep_suspect: bool = False) -> bool:
    """Whether an episode is at or below the score threshold; one that ended in an error has no score and never is.

    One whose score may have been steered is left out, unless `keep_suspect`.
    """
    low = trajectory.score is not None and trajectory.score <= threshold and bool(trajectory.steps)
    return low and (keep_suspect or trajectory.suspicion is None)


def correct_episodes(
    teacher: Teacher, episodes: Sequence[PrivilegedEpisode], *, check_leaks: bool = True
) -> list[Correction]:
    """Ask the teacher for a correction of each step of each episode, then pass all of them through the gate.

    Without `check_leaks`, leaks are marked and counted, but not rejected.

    Returns:
        One correction for each episode, in order, with one step correction for each step, rejected ones included. Where
        the teacher failed: without steps, and `error` says why.
    """
    corrections = teacher.correct(episodes)
    return [
        correction
        if correction.error
        else apply_gate(correction, episode.trajectory, episode.privileged, check_leaks=check_leaks)
        for correction, episode in zip(corrections, episodes, strict=True)
    ]


def check_corrections(corrections: Sequence[Correction], max_error_share: float, max_reject_share: float) -> None:
    """Raise StageFailedError where the teacher failed on too many episodes, or the gate rejected too many steps."""
    errors = [correction for correction in corrections if correction.error]
    if len(errors) > max_error_share * len(corrections):
        raise StageFailedError(
            f"The teacher failed on {len(errors)} of {len(corrections)} episodes, more than the allowed share "
            f"{max_error_share} (correction.max_error_share). First: {errors[0].trajectory_id}: {errors[0].error}"
        )
    steps = [step for correction in corrections for step in correction.steps]
    rejected = [step for step in steps if step.status is CorrectionStatus.REJECTED]
    if len(rejected) > max_reject_share * len(steps):
        raise StageFailedError(
            f"The gate rejected {len(rejected)} of {len(steps)} corrected steps, more than the allowed share "
            f"{max_reject_share} (correction.max_reject_share). First cause: {rejected[0].why}"
        )
