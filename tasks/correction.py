"""Stage `correction`: the privileged teacher rewrites the steps of failed episodes; the gate checks every one."""

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import accumulate
from typing import Annotated, Self

from pydantic import Field, JsonValue

from leap_core.config import LeapConfig, Section
from leap_core.gate.kinds import cause_of, is_leak
from leap_core.loading import (
    digest_teacher_prompts,
    foresee_corrections,
    load_teacher,
    pays_for_corrections_at,
    set_up_teacher,
)
from leap_core.method.correction import check_corrections, correct_episodes, needs_correction
from leap_core.method.dataset import correction_rows
from leap_core.method.tables import (
    read_corrections,
    read_privileged,
    read_trajectories,
    write_corrections,
    write_turn_rows,
)
from leap_core.prompts import load_prompts
from leap_core.store.artifacts import ArtifactStore
from leap_core.store.records import ArtifactRecord
from leap_core.students.weights import locate_model
from leap_core.teachers.base import Teacher
from leap_core.teachers.privilege import PrivilegedEpisode
from leap_core.types import ArtifactRef, Correction, CorrectionStatus, Level, Record, Trajectory, Usage
from tasks.counts import ByKind, Count, Counts, Each
from tasks.dataset import trains_on_kept_steps
from tasks.demonstrations import DEMONSTRATIONS
from tasks.efforts import steps_an_episode
from tasks.estimates import estimate_requests, no_estimate
from tasks.identity import PlayedStudent
from tasks.planned import Effort, EndpointEstimate, Foresight, Needs, PlannedCall, Request, is_pending
from tasks.playing import model_of, needs_of_player
from tasks.privileged import reveal_privileged_states
from tasks.run import Run
from tasks.samples import own_or_newest, spread, with_hidden_state
from tasks.shards import Shards
from tasks.specs import prepare_specs
from tasks.stage import Stage, StageReport, StageWork

SELF = "self"
"""The teacher that is the student."""


class CorrectionCounts(Counts):
    """Episodes, those of them that were corrected, and what became of each step.

    `rejected_for` counts the rejected steps by cause, `let_through` those that train the student although the gate
    stops them by default: leaks, where `correction.check_leaks` is off.
    """

    episodes: Count
    corrected_episodes: Count
    steps: Count
    kept: Count
    changed: Count
    rejected: Count
    rejected_for: Annotated[ByKind, Each("rejected:{}")]
    let_through: Annotated[ByKind, Each("let_through:{}")]
    failed_episodes: Count

    @classmethod
    def of(cls, corrections: Sequence[Correction], num_episodes: int) -> Self:
        """Count the corrections of some of `num_episodes` episodes."""
        steps = [step for correction in corrections for step in correction.steps]
        statuses = Counter(step.status for step in steps)
        rejected = [step for step in steps if step.status is CorrectionStatus.REJECTED]
        num_leaks = sum(is_leak(step.why) for step in steps if step.status is not CorrectionStatus.REJECTED)
        return cls(
            episodes=num_episodes,
            corrected_episodes=len(corrections),
            steps=len(steps),
            kept=statuses[CorrectionStatus.KEPT],
            changed=statuses[CorrectionStatus.CHANGED],
            rejected=len(rejected),
            rejected_for=dict(Counter(cause_of(step.why) for step in rejected)),
            let_through={"leak": num_leaks} if num_leaks else {},
            failed_episodes=sum(correction.error is not None for correction in corrections),
        )


class CorrectionIdentity(Section):
    """Which episodes are corrected, by whom, and the prompts that their rows are rendered with.

    `teacher_prompts` is the digest of the teacher's prompt templates; None where it has none. `student` is
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
            student=_as_teacher(config) if config.correction.teacher == SELF else None,
            prompt=config.student.prompt,
            keep_suspect=config.correction.keep_suspect,
            check_leaks=config.correction.check_leaks,
        )


def _as_teacher(config: LeapConfig) -> PlayedStudent:
    """How the student replies where it is its own teacher."""
    return PlayedStudent.of(config.student, None, config.execution.device)


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
        if _is_to_be_corrected(identity, episode)
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
    write_corrections(work.output, corrections)
    write_turn_rows(work.output, rows)
    return StageReport(
        counts=CorrectionCounts.of(corrections, len(episodes)),
        metrics={"leak_rate": sum(row.leaked for row in rows) / max(len(rows), 1), **account},
        usage=sum((correction.usage for correction in corrections), Usage()),
        resumed=resumed,
    )


def _is_to_be_corrected(identity: CorrectionIdentity, episode: Trajectory) -> bool:
    return needs_correction(episode, identity.threshold, keep_suspect=identity.keep_suspect)


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
    num_steps = [0, *accumulate(len(one.trajectory.steps) for one in episodes)]

    def tell(num_done: int) -> None:
        done, total = num_steps[num_done], num_steps[-1]
        work.progress(f"{num_done:,} of {len(episodes):,} episodes", done=done, left=total - done)

    tell(0)  # what was loaded until now says nothing of how long the rest takes
    corrections = shards.map(
        lambda some: correct_episodes(teacher, some, check_leaks=work.identity.check_leaks), episodes, tell
    )
    return corrections, shards.num_resumed > 0


def _needs(call: PlannedCall[CorrectionIdentity]) -> Needs:
    endpoint = pays_for_corrections_at(call.config)
    if endpoint == "teacher":
        model = call.identity.params.get("model")
        return Needs(request=Request(endpoint=endpoint, model=model if isinstance(model, str) else None))
    return needs_of_player(call) if call.identity.teacher == SELF else Needs()


def _foresee(call: PlannedCall[CorrectionIdentity]) -> Foresight:
    identity = call.identity
    if identity.level != 0 or identity.teacher_prompts is None:
        return Foresight()
    warning = (
        f"correction.level is 0: the teacher {identity.teacher!r} will be shown no hidden state. Set it unless that is "
        "meant: --set correction.level=50 is the paper's."
    )
    return Foresight(warnings=(warning,))


def _estimate(call: PlannedCall[CorrectionIdentity]) -> EndpointEstimate | None:
    """From prompts for episodes at or below the threshold, or for any where none is."""
    endpoint, num_rollouts = pays_for_corrections_at(call.config), call.config.rollout.num_episodes
    if endpoint is None:
        return None
    sample = _sample(call)
    if sample is None:
        return no_estimate(call, endpoint, num_rollouts)
    num_episodes = sample.num_failed if sample.is_own else round(sample.share * num_rollouts)
    requests = foresee_corrections(call.config, model_of(call) if "model" in call.inputs else None, sample.episodes)
    if not requests:
        why = "no step fits into correction.params.context_tokens. Raise it, or choose a model that reads more"
        return no_estimate(call, endpoint, num_episodes, why)
    source = "the rollout itself" if sample.is_own else f"{sample.source.id}, as the rollout is not there yet"
    return estimate_requests(
        call,
        endpoint,
        requests,
        num_episodes=num_episodes,
        factor=num_episodes / len(sample.episodes),
        basis=f"from prompts of {len(sample.episodes)} episodes of {source}",
    )


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """Episodes to correct. `share` of all in the artifact `source` are at or below the threshold.

    `is_own`: it is the rollout that would be corrected, and `num_failed` are its episodes that would be.
    """

    source: ArtifactRef
    episodes: list[PrivilegedEpisode]
    share: float
    num_failed: int
    is_own: bool


def _sample(call: PlannedCall[CorrectionIdentity]) -> _Sample | None:
    """The rollout that would be corrected, if it is there; else the newest one, or demonstrations."""
    for source, is_own in own_or_newest(call, "episodes", "rollout", DEMONSTRATIONS.name):
        episodes = with_hidden_state(call, source)
        failed = [one for one in episodes if _is_to_be_corrected(call.identity, one.trajectory)]
        if episodes:
            return _Sample(
                source=source,
                episodes=spread(failed or episodes),
                share=len(failed) / len(episodes) if failed else 1.0,
                num_failed=len(failed),
                is_own=is_own,
            )
    return None


def _effort(call: PlannedCall[CorrectionIdentity]) -> Effort | None:
    """Steps: of the rollout, if it is there, else as many of each episode as the newest correction had, or all."""
    if pays_for_corrections_at(call.config) is not None:
        return None  # how long an endpoint takes is not ours to say
    length = steps_an_episode(call, call.stage)
    num = call.config.rollout.num_episodes * (length or call.config.environment.max_steps)
    if call.is_known("episodes"):
        episodes = read_trajectories(call.store.path(call.inputs["episodes"]))
        num = sum(len(one.steps) for one in episodes if _is_to_be_corrected(call.identity, one))
    return Effort(
        num=num,
        alike=_what_a_step_takes(call.identity),
        activity="play" if call.identity.teacher == SELF else None,
        width=max(round(num), 1),
        is_at_most=length is None and not call.is_known("episodes"),
    )


def _effort_of(record: ArtifactRecord) -> Effort:
    identity, counts = CorrectionIdentity.model_validate(record.config), CORRECTION.counts.read(record.counts)
    return Effort(num=counts.steps, alike=_what_a_step_takes(identity))


def _what_a_step_takes(identity: CorrectionIdentity) -> JsonValue:
    return [identity.environment, identity.teacher, identity.level, identity.prompt]


CORRECTION = Stage(
    name="correction",
    version=8,
    work=_correct,
    counts=CorrectionCounts,
    needs=_needs,
    foresee=_foresee,
    estimate=_estimate,
    effort=_effort,
    effort_of=_effort_of,
)


def given_corrections(config: LeapConfig, store: ArtifactStore, iteration: int) -> ArtifactRef | None:
    """The correction artifact that the configuration names for an iteration, if it names one.

    Raises:
        ArtifactError: there is no such artifact, or more than one, or it is damaged.
    """
    names = config.dataset.corrections
    return store.find(CORRECTION.name, names[iteration - 1]) if iteration <= len(names) else None


class Corrected(Record):
    """The artifacts that corrections were made from; `specs` are those of the episodes."""

    episodes: ArtifactRef
    specs: ArtifactRef
    privileged: ArtifactRef


def what_was_corrected(run: Run, rollout: ArtifactRef | None, correction: ArtifactRef) -> Corrected:
    """What a correction artifact was made from: `rollout`, or where that is None what its record names.

    Raises:
        ArtifactError: corrections of another experiment were made from what is not in the store.
    """
    if rollout is None:
        made_from = run.store.record(correction).inputs
        specs = run.store.record(made_from["episodes"]).inputs["specs"]
        return Corrected(episodes=made_from["episodes"], specs=specs, privileged=made_from["privileged"])
    specs = prepare_specs(run, "train")
    return Corrected(episodes=rollout, specs=specs, privileged=reveal_privileged_states(run, specs))


def has_nothing_to_teach(run: Run, correction: ArtifactRef) -> bool:
    """Whether no step of a correction artifact would be trained on; False where a plan does not know."""
    if is_pending(correction):
        return False
    counts = CORRECTION.counts_of(run.store, correction)
    return counts.changed + (counts.kept if trains_on_kept_steps(run.config) else 0) == 0
