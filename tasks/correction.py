"""Stage `correction`: the privileged teacher rewrites the steps of failed episodes; the gate checks every one."""

from pydantic import JsonValue

from leap_core.config import Section
from leap_core.correction import correct_episode, count_corrections, needs_correction
from leap_core.dataset import correction_rows
from leap_core.errors import StageFailedError
from leap_core.loading import load_suite, load_teacher
from leap_core.prompts import load_prompts
from leap_core.tables import (
    read_corrections,
    read_privileged,
    read_trajectories,
    write_corrections,
    write_turn_rows,
)
from leap_core.types import ArtifactRef, Level, Usage
from tasks.shards import Shards
from tasks.stage import Run, Stage, StageReport, StageWork


class CorrectionIdentity(Section):
    """Which episodes are corrected, by whom, and the prompts that their rows are rendered with."""

    environment: str
    teacher: str
    threshold: float
    level: Level
    params: dict[str, JsonValue]
    prompt: str


def correct(run: Run, iteration: int, episodes: ArtifactRef, privileged: ArtifactRef) -> ArtifactRef:
    """Return the corrections of the episodes at or below the score threshold, as turn rows."""
    config = run.config
    identity = CorrectionIdentity(
        environment=config.environment.name,
        teacher=config.correction.teacher,
        threshold=config.correction.threshold,
        level=config.correction.level,
        params=config.correction.params,
        prompt=config.student.prompt,
    )
    return CORRECTION(run, identity, {"episodes": episodes, "privileged": privileged}, iteration)


def _correct(work: StageWork[CorrectionIdentity]) -> StageReport:
    identity = work.identity
    teacher = load_teacher(work.config.correction, load_suite(work.config.environment))
    prompts = load_prompts(identity.environment, identity.prompt)
    states = {state.spec_id: state for state in read_privileged(work.inputs["privileged"])}
    episodes = read_trajectories(work.inputs["episodes"])
    failed = [episode for episode in episodes if needs_correction(episode, identity.threshold)]
    shards = Shards(
        scratch=work.scratch,
        size=work.config.execution.shard_size,
        tag=identity.teacher,
        write=write_corrections,
        read=read_corrections,
        failed=lambda correction: correction.error is not None,
    )
    corrections = shards.map(
        lambda some: [correct_episode(teacher, one, states[one.spec.id], identity.level) for one in some], failed
    )
    rows = [
        row
        for episode, correction in zip(failed, corrections, strict=True)
        for row in correction_rows(episode, correction, states[episode.spec.id], prompts, identity.params)
    ]
    counts = count_corrections(corrections)
    share, limit = counts["rejected"] / max(len(rows), 1), work.config.correction.max_reject_share
    if share > limit:
        raise StageFailedError(
            f"The gate rejected {counts['rejected']} of {len(rows)} corrected steps, more than the allowed share "
            f"{limit} (correction.max_reject_share). First cause: {next(row.why for row in rows if not row.accepted)}"
        )
    write_corrections(work.output, corrections)
    write_turn_rows(work.output, rows)
    return StageReport(
        counts={"episodes": len(episodes), "corrected_episodes": len(failed), "steps": len(rows), **counts},
        metrics={"leak_rate": counts.get("rejected:leak", 0) / max(len(rows), 1)},
        usage=sum((correction.usage for correction in corrections), Usage()),
        resumed=shards.num_resumed > 0,
    )


CORRECTION = Stage(name="correction", version=4, work=_correct)
