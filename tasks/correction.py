"""Stage `correction`: the privileged teacher rewrites the steps of failed episodes; the gate checks every one."""

from contextlib import closing

from pydantic import Field, JsonValue, SerializerFunctionWrapHandler, model_serializer

from leap_core.config import LeapConfig, Section
from leap_core.loading import digest_teacher_prompts, load_teacher, set_up_teacher
from leap_core.method.correction import check_corrections, correct_episodes, count_corrections, needs_correction
from leap_core.method.dataset import correction_rows
from leap_core.method.tables import (
    read_corrections,
    read_privileged,
    read_trajectories,
    write_corrections,
    write_turn_rows,
)
from leap_core.prompts import load_prompts
from leap_core.students.weights import locate_model
from leap_core.teachers.base import Teacher
from leap_core.teachers.privilege import PrivilegedEpisode
from leap_core.types import ArtifactRef, Correction, Level, Usage
from tasks.identity import PlayedStudent
from tasks.shards import Shards
from tasks.stage import Run, Stage, StageReport, StageWork

SELF = "self"
"""The teacher that is the student."""


class CorrectionIdentity(Section):
    """Which episodes are corrected, by whom, and the prompts that their rows are rendered with.

    `teacher_prompts` is the digest of what the teacher is asked with; None where it is not asked in words. `student` is
    how the student replies where it is the teacher; None where it is not.
    """

    environment: str = Field(title="environment.name")
    teacher: str = Field(title="correction.teacher")
    threshold: float = Field(title="correction.threshold")
    level: Level = Field(title="correction.level")
    params: dict[str, JsonValue] = Field(title="correction.params")
    teacher_prompts: str | None
    student: PlayedStudent | None
    prompt: str = Field(title="student.prompt")
    keep_suspect: bool = Field(False, title="correction.keep_suspect")
    check_leaks: bool = Field(True, title="correction.check_leaks")

    @model_serializer(mode="wrap")
    def _without_what_is_usual(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Corrections that were made before there were these settings are known by the same key."""
        content: dict[str, object] = write(self)
        usual = {"keep_suspect": False, "check_leaks": True}
        return {name: value for name, value in content.items() if name not in usual or value != usual[name]}

    @classmethod
    def of(cls, config: LeapConfig) -> "CorrectionIdentity":
        """Take over what of `config` decides a correction."""
        return cls(
            environment=config.environment.name,
            teacher=config.correction.teacher,
            threshold=config.correction.threshold,
            level=config.correction.level,
            params=config.correction.params,
            teacher_prompts=digest_teacher_prompts(config),
            student=PlayedStudent.of(config.student, None) if config.correction.teacher == SELF else None,
            prompt=config.student.prompt,
            keep_suspect=config.correction.keep_suspect,
            check_leaks=config.correction.check_leaks,
        )


def correct(
    run: Run, iteration: int, episodes: ArtifactRef, privileged: ArtifactRef, model: ArtifactRef
) -> ArtifactRef:
    """Return the corrections of the episodes at or below the score threshold, as turn rows.

    `model` is the student's that played them; only a teacher that is the student itself depends on it.
    """
    identity = CorrectionIdentity.of(run.config)
    inputs = {"episodes": episodes, "privileged": privileged}
    if identity.teacher == SELF:
        inputs["model"] = model
    return CORRECTION(run, identity, inputs, iteration)


def _correct(work: StageWork[CorrectionIdentity]) -> StageReport:
    identity = work.identity
    prompts = load_prompts(identity.environment, identity.prompt)
    states = {state.spec_id: state for state in read_privileged(work.inputs["privileged"])}
    episodes = read_trajectories(work.inputs["episodes"])
    failed = [
        PrivilegedEpisode(trajectory=episode, privileged=states[episode.spec.id])
        for episode in episodes
        if needs_correction(episode, identity.threshold, keep_suspect=identity.keep_suspect)
    ]
    with closing(_load_teacher(work)) as teacher:
        corrections, resumed = _correct_in_shards(work, teacher, failed)
        account = dict(teacher.account())
    check_corrections(corrections, work.config.correction.max_error_share, work.config.correction.max_reject_share)
    rows = [
        row
        for episode, correction in zip(failed, corrections, strict=True)
        for row in correction_rows(episode.trajectory, correction, episode.privileged, prompts, identity.params)
    ]
    counts = count_corrections(corrections)
    write_corrections(work.output, corrections)
    write_turn_rows(work.output, rows)
    return StageReport(
        counts={"episodes": len(episodes), "corrected_episodes": len(failed), "steps": len(rows), **counts},
        metrics={"leak_rate": sum(row.leaked for row in rows) / max(len(rows), 1), **account},
        usage=sum((correction.usage for correction in corrections), Usage()),
        resumed=resumed,
    )


def _load_teacher(work: StageWork[CorrectionIdentity]) -> Teacher:
    model = locate_model(work.inputs["model"], work.config.student.model) if "model" in work.inputs else None
    return load_teacher(set_up_teacher(work.config, model, work.log))


def _correct_in_shards(
    work: StageWork[CorrectionIdentity], teacher: Teacher, episodes: list[PrivilegedEpisode]
) -> tuple[list[Correction], bool]:
    """Correct all episodes; returns whether some corrections came from an earlier attempt."""
    # A teacher that keeps its replies resumes by itself, and shards would only make it wait for the slowest of each.
    size = len(episodes) if teacher.keeps_replies else work.config.execution.shard_size
    shards = Shards(
        scratch=work.scratch,
        size=max(size, 1),
        tag=work.identity.teacher,
        write=write_corrections,
        read=read_corrections,
        failed=lambda correction: correction.error is not None,
    )
    corrections = shards.map(
        lambda some: correct_episodes(teacher, some, check_leaks=work.identity.check_leaks),
        episodes,
        lambda num_done: work.progress(f"{num_done:,} of {len(episodes):,} episodes"),
    )
    return corrections, shards.num_resumed > 0


CORRECTION = Stage(name="correction", version=7, work=_correct)
