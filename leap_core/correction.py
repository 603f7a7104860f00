"""Privileged correction: which episodes are corrected, by whom, and what passes the gate."""

from collections import Counter
from collections.abc import Sequence

from leap_core.errors import TeacherReplyError
from leap_core.realizability import apply_gate
from leap_core.teachers.base import Teacher
from leap_core.types import Correction, CorrectionStatus, Level, PrivilegedState, Trajectory


def needs_correction(trajectory: Trajectory, threshold: float) -> bool:
    """Whether an episode is at or below the score threshold; one that ended in an error has no score and never is."""
    return trajectory.score is not None and trajectory.score <= threshold and bool(trajectory.steps)


def correct_episode(teacher: Teacher, trajectory: Trajectory, privileged: PrivilegedState, level: Level) -> Correction:
    """Ask the teacher for a correction of each step, then pass all of them through the gate.

    Returns:
        One step correction for each step, rejected ones included. Where the teacher gave no usable reply, a
        correction without steps whose `error` says why.
    """
    try:
        correction = teacher.correct(trajectory, privileged)
    except TeacherReplyError as error:
        return Correction(
            trajectory_id=trajectory.id,
            spec_id=trajectory.spec.id,
            teacher=teacher.name,
            level=level,
            steps=(),
            error=str(error),
        )
    return apply_gate(correction, trajectory, privileged)


def count_corrections(corrections: Sequence[Correction]) -> dict[str, int]:
    """Counts by status, and of rejections by cause (`rejected:leak`, `rejected:inadmissible`, ...)."""
    counts: Counter[str] = Counter({status.value: 0 for status in CorrectionStatus})
    for correction in corrections:
        for step in correction.steps:
            counts[step.status.value] += 1
            if step.status is CorrectionStatus.REJECTED:
                counts[f"rejected:{step.why.partition(':')[0]}"] += 1
    counts["failed_episodes"] = sum(correction.error is not None for correction in corrections)
    return dict(counts)
