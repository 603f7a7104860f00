"""Stage `annotation`: a language model writes the reasons of demonstrations, from what had been seen at each step."""

from contextlib import closing
from pathlib import Path

from pydantic import Field

from leap_core.config import LeapConfig, Section
from leap_core.errors import StageFailedError
from leap_core.method.dataset import demonstration_rows
from leap_core.method.tables import read_privileged, read_trajectories, write_trajectories, write_turn_rows
from leap_core.prompts import load_prompts
from leap_core.teachers.annotator import ANNOTATOR_PROMPTS, Annotator, foresee_reasons, without_reasons
from leap_core.teachers.prompts import load_teacher_prompts
from leap_core.types import ArtifactRef, Level, Trajectory, Usage
from tasks.counts import Count, Counts
from tasks.demonstrations import DEMONSTRATIONS
from tasks.estimates import estimate_requests, no_estimate
from tasks.planned import EndpointEstimate, Needs, PlannedCall, Request
from tasks.run import Run
from tasks.samples import own_or_newest, sample_steps
from tasks.stage import Stage, StageReport, StageWork


class AnnotationCounts(Counts):
    """Episodes, their steps that have a reason now, and those for which the model found none."""

    episodes: Count
    steps: Count
    without_reason: Count


class AnnotationIdentity(Section):
    """The model that writes the reasons, the digest of its prompt templates, and the prompt set of the rows."""

    environment: str = Field(title="environment.name")
    model: str = Field(title="demonstrations.annotate_with")
    annotator_prompts: str
    level: Level = Field(title="demonstrations.level")
    prompt: str = Field(title="student.prompt")

    @classmethod
    def of(cls, config: LeapConfig, model: str) -> "AnnotationIdentity":
        """Take over what of `config` decides the reasons."""
        return cls(
            environment=config.environment.name,
            model=model,
            annotator_prompts=load_teacher_prompts(config.environment.name, ANNOTATOR_PROMPTS).digest,
            level=config.demonstrations.level,
            prompt=config.student.prompt,
        )


def annotate(run: Run, demonstrations: ArtifactRef, privileged: ArtifactRef, model: str) -> ArtifactRef:
    """Return the same demonstrations with reasons by `model`; a step for which it finds none is not taught."""
    identity = AnnotationIdentity.of(run.config, model)
    return ANNOTATION(run, identity, {"demonstrations": demonstrations, "privileged": privileged}, iteration=0)


def read_to_annotate(demonstrations: Path) -> list[Trajectory]:
    """The demonstrations of an artifact as the annotator gets them: no step has a reason any more."""
    return [without_reasons(one) for one in read_trajectories(demonstrations)]


def _annotate(work: StageWork[AnnotationIdentity]) -> StageReport:
    identity, config = work.identity, work.config
    states = {state.spec_id: state for state in read_privileged(work.inputs["privileged"])}
    episodes = [(one, states[one.spec.id]) for one in read_to_annotate(work.inputs["demonstrations"])]
    model, environment = identity.model, identity.environment
    with closing(Annotator(model, environment, config.execution, config.experiment, log=work.log)) as annotator:
        annotated = annotator.annotate(episodes)
        account, why = annotator.account(), annotator.last_failure
    trajectories = [one.trajectory for one in annotated]
    rows = demonstration_rows(trajectories, load_prompts(identity.environment, identity.prompt), identity.level)
    reasons = [step.action.reason for one in trajectories for step in one.steps]
    taught = [row for row, reason in zip(rows, reasons, strict=True) if reason]
    if len(rows) - len(taught) > config.correction.max_reject_share * len(rows):
        raise StageFailedError(
            f"{identity.model} gave no usable reason for {len(rows) - len(taught)} of {len(rows)} steps, more than the "
            f"allowed share {config.correction.max_reject_share} (correction.max_reject_share). Last cause: {why}"
        )
    write_trajectories(work.output, trajectories)
    write_turn_rows(work.output, taught)
    return StageReport(
        counts=AnnotationCounts(episodes=len(trajectories), steps=len(taught), without_reason=len(rows) - len(taught)),
        metrics=account,
        usage=sum((one.usage for one in annotated), Usage()),
    )


def _needs(call: PlannedCall[AnnotationIdentity]) -> Needs:
    return Needs(request=Request(endpoint="teacher", model=call.identity.model))


def _estimate(call: PlannedCall[AnnotationIdentity]) -> EndpointEstimate:
    """From one prompt for each step of demonstrations: those that would be given reasons, else the newest ones."""
    num_wanted = call.config.demonstrations.num_episodes
    found = (
        sample_steps(ref, read_to_annotate(call.store.path(ref)), is_own=is_own)
        for ref, is_own in own_or_newest(call, "demonstrations", DEMONSTRATIONS.name)
    )
    sample = next((one for one in found if one is not None), None)
    if sample is None:
        return no_estimate(call, "teacher", num_wanted)
    num_episodes = sample.num_episodes if sample.is_own else num_wanted
    source = "the demonstrations themselves" if sample.is_own else f"{sample.source.id}, as there are none yet"
    return estimate_requests(
        call,
        "teacher",
        foresee_reasons(call.identity.model, call.identity.environment, sample.episodes),
        num_episodes=num_episodes,
        factor=num_episodes * sample.mean_steps / sample.num_steps,
        basis=f"from a prompt for every step of {len(sample.episodes)} episodes of {source}",
    )


ANNOTATION = Stage(
    name="annotation",
    version=4,
    work=_annotate,
    counts=AnnotationCounts,
    needs=_needs,
    estimate=_estimate,
)
