"""Episodes in the store that a plan makes prompts of, to estimate what a stage would cost."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from leap_core.method.tables import read_privileged, read_trajectories
from leap_core.store.records import ArtifactRecord
from leap_core.teachers.privilege import PrivilegedEpisode
from leap_core.types import ArtifactRef, Trajectory
from tasks.planned import PlannedCall, is_pending
from tasks.privileged import PRIVILEGED

MOST_SAMPLED = 25
"""Episodes whose prompts are made. More change an estimate by little, and take their time."""
EpisodeT = TypeVar("EpisodeT")


@dataclass(frozen=True, kw_only=True)
class StepSample:
    """Episodes of which each step is a request. Those of the artifact `source` have `mean_steps` on average.

    `is_own`: they are the very episodes that the stage would read, or were played by the very model.
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


def newest(call: PlannedCall[Any], *stages: str) -> list[ArtifactRecord]:
    """The artifacts of stages in the environment of this run: stage by stage, the newest first."""
    found = []
    for stage in stages:
        alike = [
            record for record in call.store.records(stage) if _environment_of(record) == call.config.environment.name
        ]
        found += sorted(alike, key=lambda record: record.created_at, reverse=True)
    return found


def own_or_newest(call: PlannedCall[Any], role: str, *stages: str) -> Iterator[tuple[ArtifactRef, bool]]:
    """The input of this role, if it is there, then the newest of stages; with whether it is the input itself."""
    if not is_pending(call.inputs[role]):
        yield call.inputs[role], True
    yield from ((record.ref, False) for record in undamaged(call, newest(call, *stages)))


def undamaged(call: PlannedCall[Any], records: Iterable[ArtifactRecord]) -> Iterator[ArtifactRecord]:
    """Those whose files are whole; files are read only when their turn comes."""
    return (record for record in records if call.store.verify(record.ref) is None)


def sample_steps(source: ArtifactRef, episodes: Iterable[Trajectory], *, is_own: bool) -> StepSample | None:
    """A sample of those that have steps; None where none has."""
    found = [one for one in episodes if one.steps]
    if not found:
        return None
    return StepSample(
        source=source,
        episodes=spread(found),
        num_episodes=len(found),
        mean_steps=sum(len(one.steps) for one in found) / len(found),
        is_own=is_own,
    )


def spread(episodes: Sequence[EpisodeT]) -> list[EpisodeT]:
    """At most MOST_SAMPLED of them, evenly over all: neighbours are often of one kind."""
    count = min(len(episodes), MOST_SAMPLED)
    return [episodes[index * len(episodes) // count] for index in range(count)]


def with_hidden_state(call: PlannedCall[Any], ref: ArtifactRef) -> list[PrivilegedEpisode]:
    """The episodes of an artifact with the hidden states of their specs; none where those are not in the store."""
    store, specs = call.store, call.store.record(ref).inputs["specs"]
    for record in store.records(PRIVILEGED.name):
        if record.inputs["specs"].digest == specs.digest:
            states = {state.spec_id: state for state in read_privileged(store.path(record.ref))}
            return [
                PrivilegedEpisode(trajectory=one, privileged=states[one.spec.id])
                for one in read_trajectories(store.path(ref))
                if one.spec.id in states and one.steps
            ]
    return []


def _environment_of(record: ArtifactRecord) -> object:
    environment = record.config.get("environment")
    return environment.get("name") if isinstance(environment, dict) else environment
