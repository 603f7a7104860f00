"""Episodes in the store to make prompts of, for stages that a plan would run."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from leap_core.method.correction import needs_correction
from leap_core.method.tables import read_privileged, read_trajectories
from leap_core.store.artifacts import ArtifactStore
from leap_core.store.records import ArtifactRecord
from leap_core.teachers.privilege import PrivilegedEpisode
from leap_core.types import ArtifactRef, Trajectory
from tasks.annotation import read_to_annotate
from tasks.correction import CorrectionIdentity
from tasks.demonstrations import DEMONSTRATIONS
from tasks.evaluation import EVALUATION
from tasks.identity import PlayedIdentity
from tasks.rollout import ROLLOUT
from tasks.stage import Run, StageOutcome, is_pending

MOST_SAMPLED = 25
"""Episodes whose prompts are made. More change an estimate by little, and take their time."""
EpisodeT = TypeVar("EpisodeT")


@dataclass(frozen=True, kw_only=True)
class CorrectionSample:
    """Episodes to correct. `share` of all in the artifact `source` are at or below the threshold.

    `is_own`: it is the rollout that would be corrected, and `num_failed` are its episodes that would be.
    """

    source: ArtifactRef
    episodes: list[PrivilegedEpisode]
    share: float
    num_failed: int
    is_own: bool


@dataclass(frozen=True, kw_only=True)
class StepSample:
    """Episodes that are asked about step by step. Those of the artifact `source` have `mean_steps` on average.

    `is_own`: they are the very demonstrations, or were played by the very model.
    """

    source: ArtifactRef
    episodes: list[Trajectory]
    num_episodes: int
    mean_steps: float
    is_own: bool

    @property
    def num_steps(self) -> int:
        """Steps of the sampled episodes."""
        return sum(len(one.steps) for one in self.episodes)


def sample_for_correction(run: Run, outcome: StageOutcome, identity: CorrectionIdentity) -> CorrectionSample | None:
    """The rollout that would be corrected, if it is there; else the newest one, or demonstrations."""
    own, stages = outcome.inputs["episodes"], (ROLLOUT.name, DEMONSTRATIONS.name)
    others = (record.ref for stage in stages for record in _undamaged(run, _newest(run, stage)))
    for ref in chain([] if is_pending(own) else [own], others):
        episodes = _pair(run.store, ref)
        failed = [
            one
            for one in episodes
            if needs_correction(one.trajectory, identity.threshold, keep_suspect=identity.keep_suspect)
        ]
        if episodes:
            return CorrectionSample(
                source=ref,
                episodes=_spread(failed or episodes),
                share=len(failed) / len(episodes) if failed else 1.0,
                num_failed=len(failed),
                is_own=ref is own,
            )
    return None


def sample_for_annotation(run: Run, outcome: StageOutcome) -> StepSample | None:
    """The demonstrations that would be given reasons, if they are there; else the newest ones."""
    own = outcome.inputs["demonstrations"]
    others = (record.ref for record in _undamaged(run, _newest(run, DEMONSTRATIONS.name)))
    for ref in chain([] if is_pending(own) else [own], others):
        if sample := _sample_steps(ref, read_to_annotate(run.store.path(ref)), is_own=ref is own):
            return sample
    return None


def sample_for_playing(run: Run, outcome: StageOutcome, identity: PlayedIdentity) -> StepSample | None:
    """Episodes of the same model, if there are any; else the newest of other students, or demonstrations."""
    played = [record for stage in (ROLLOUT.name, EVALUATION.name) for record in _newest(run, stage)]
    # Sorting keeps the newest first among those that are equally near.
    played.sort(key=lambda record: record.stage == outcome.stage, reverse=True)
    played.sort(key=lambda record: _is_by_same_model(record, outcome, identity), reverse=True)
    for record in _undamaged(run, [*played, *_newest(run, DEMONSTRATIONS.name)]):
        episodes = [
            one.with_(steps=one.steps[: identity.environment.max_steps])
            for one in read_trajectories(run.store.path(record.ref))
        ]
        if sample := _sample_steps(record.ref, episodes, is_own=_is_by_same_model(record, outcome, identity)):
            return sample
    return None


def _newest(run: Run, stage: str) -> list[ArtifactRecord]:
    """The artifacts of a stage in the environment of this run, the newest first."""
    found = []
    for record in run.store.records(stage):
        environment = record.config.get("environment")
        is_alike = isinstance(environment, dict) and environment.get("name") == run.config.environment.name
        if is_alike:
            found.append(record)
    return sorted(found, key=lambda record: record.created_at, reverse=True)


def _undamaged(run: Run, records: Iterable[ArtifactRecord]) -> Iterator[ArtifactRecord]:
    """Those whose files are whole; files are read only when their turn comes."""
    return (record for record in records if run.store.verify(record.ref) is None)


def _is_by_same_model(record: ArtifactRecord, outcome: StageOutcome, identity: PlayedIdentity) -> bool:
    """Whether the episodes of a record were played by the model of a stage, asked in the same way."""
    model, student = outcome.inputs["model"], record.config.get("student")
    if is_pending(model) or "model" not in record.inputs or not isinstance(student, dict):
        return False
    mine = identity.student.model_dump(mode="json")
    is_asked_alike = all(student.get(key) == mine[key] for key in ("kind", "prompt", "constrain", "params"))
    return is_asked_alike and record.inputs["model"].digest == model.digest


def _sample_steps(source: ArtifactRef, episodes: Iterable[Trajectory], is_own: bool) -> StepSample | None:
    """A sample of those that have steps; None where none has."""
    found = [one for one in episodes if one.steps]
    if not found:
        return None
    return StepSample(
        source=source,
        episodes=_spread(found),
        num_episodes=len(found),
        mean_steps=sum(len(one.steps) for one in found) / len(found),
        is_own=is_own,
    )


def _spread(episodes: Sequence[EpisodeT]) -> list[EpisodeT]:
    """At most MOST_SAMPLED of them, evenly over all: neighbours are often of one kind."""
    count = min(len(episodes), MOST_SAMPLED)
    return [episodes[index * len(episodes) // count] for index in range(count)]


def _pair(store: ArtifactStore, ref: ArtifactRef) -> list[PrivilegedEpisode]:
    """The episodes of an artifact with the hidden states of their specs; none where those are not in the store."""
    specs = store.record(ref).inputs["specs"]
    for record in store.records("privileged"):
        if record.inputs["specs"].digest == specs.digest:
            states = {state.spec_id: state for state in read_privileged(store.path(record.ref))}
            episodes = read_trajectories(store.path(ref))
            return [
                PrivilegedEpisode(trajectory=one, privileged=states[one.spec.id])
                for one in episodes
                if one.spec.id in states and one.steps
            ]
    return []
