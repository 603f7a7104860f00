"""Stage `demonstrations`: expert episodes for behaviour cloning, as turn rows."""

from collections.abc import Iterator, Sequence
from contextlib import closing

from pydantic import Field

from leap_core.config import Section
from leap_core.errors import StageFailedError
from leap_core.loading import load_suite
from leap_core.method.dataset import demonstration_rows
from leap_core.method.demonstrations import demonstrate, successful
from leap_core.method.tables import (
    read_privileged,
    read_specs,
    read_trajectories,
    write_trajectories,
    write_turn_rows,
)
from leap_core.prompts import load_prompts
from leap_core.store.records import ArtifactRecord
from leap_core.types import ArtifactRef, Level, Spec, Trajectory
from tasks.counts import Count, Counts
from tasks.identity import PlayedEnvironment
from tasks.planned import Effort, PlannedCall
from tasks.run import Run
from tasks.shards import Shards
from tasks.stage import Stage, StageReport, StageWork


class DemonstrationsCounts(Counts):
    """Episodes that are cloned, those in which the expert failed, and the steps of the former."""

    episodes: Count
    failed_episodes: Count
    steps: Count


class DemonstrationsIdentity(Section):
    """How many episodes of which expert, and the prompts that their rows are rendered with."""

    environment: PlayedEnvironment
    num_episodes: int = Field(title="demonstrations.num_episodes")
    level: Level = Field(title="demonstrations.level")
    prompt: str = Field(title="student.prompt")


def collect_demonstrations(run: Run, specs: ArtifactRef, privileged: ArtifactRef) -> ArtifactRef:
    """Return expert episodes on the first train specs."""
    config = run.config
    identity = DemonstrationsIdentity(
        environment=PlayedEnvironment.of(config.environment),
        num_episodes=config.demonstrations.num_episodes,
        level=config.demonstrations.level,
        prompt=config.student.prompt,
    )
    return DEMONSTRATIONS(run, identity, {"specs": specs, "privileged": privileged}, iteration=0)


def _collect(work: StageWork[DemonstrationsIdentity]) -> StageReport:
    identity = work.identity
    episodes, resumed = _play_in_shards(work, read_specs(work.inputs["specs"])[: identity.num_episodes])
    kept = successful(episodes)
    if not kept:
        raise StageFailedError(
            f"None of {len(episodes)} expert episodes reached its goal within environment.max_steps = "
            f"{identity.environment.max_steps}. Raise environment.max_steps or demonstrations.level."
        )
    prompts = load_prompts(identity.environment.name, identity.prompt)
    write_trajectories(work.output, kept)
    write_turn_rows(work.output, demonstration_rows(kept, prompts, identity.level))
    return StageReport(
        counts=DemonstrationsCounts(
            episodes=len(kept),
            failed_episodes=len(episodes) - len(kept),
            steps=sum(len(episode.steps) for episode in kept),
        ),
        resumed=resumed,
    )


def _play_in_shards(work: StageWork[DemonstrationsIdentity], specs: Sequence[Spec]) -> tuple[list[Trajectory], bool]:
    """Let the expert play every spec once; returns whether some episodes came from an earlier attempt."""
    identity, suite = work.identity, load_suite(work.config.environment)
    limit = identity.environment.max_steps
    oracle, states = suite.oracle(), {state.spec_id: state for state in read_privileged(work.inputs["privileged"])}
    shards = Shards(
        scratch=work.scratch,
        size=work.config.execution.shard_size,
        tag="expert",
        write=write_trajectories,
        read=read_trajectories,
    )
    with closing(suite.make(work.inputs["specs"])) as environment:

        def play(some: Sequence[tuple[int, Spec]]) -> Iterator[Trajectory]:
            for number, spec in some:
                yield demonstrate(environment, oracle, spec, states[spec.id], identity.level, limit)
                work.progress(f"{number:,} of {len(specs):,} episodes", done=number, left=len(specs) - number)

        episodes = shards.map(lambda some: list(play(some)), list(enumerate(specs, 1)))
    return episodes, shards.num_resumed > 0


def _effort(call: PlannedCall[DemonstrationsIdentity]) -> Effort:
    return Effort(num=call.identity.num_episodes, alike=[call.identity.environment.name, call.identity.level])


def _effort_of(record: ArtifactRecord) -> Effort:
    identity = DemonstrationsIdentity.model_validate(record.config)
    counts = DemonstrationsCounts.read(record.counts, record.ref.id)
    return Effort(num=counts.episodes + counts.failed_episodes, alike=[identity.environment.name, identity.level])


DEMONSTRATIONS = Stage(
    name="demonstrations",
    version=5,
    work=_collect,
    counts=DemonstrationsCounts,
    effort=_effort,
    effort_of=_effort_of,
)
