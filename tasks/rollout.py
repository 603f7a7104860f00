"""Stage `rollout`: the student plays train specs, unprivileged, to collect what it does wrong."""

from pydantic import Field

from leap_core.errors import StageFailedError
from leap_core.method.rollout import check_episodes, find_overflow, find_unparseable
from leap_core.method.tables import read_specs, write_trajectories
from leap_core.types import ArtifactRef, Usage
from tasks.efforts import effort_of_playing, effort_played
from tasks.identity import PlayedEnvironment, PlayedIdentity, PlayedStudent
from tasks.planned import Effort, EndpointEstimate, PlannedCall
from tasks.playing import PlayedCounts, estimate_playing, needs_of_player, num_specs, play_in_shards
from tasks.run import Run
from tasks.stage import Stage, StageReport, StageWork


class RolloutIdentity(PlayedIdentity):
    """How many episodes are collected, and how."""

    first_spec: int
    num_episodes: int = Field(title="rollout.num_episodes")
    max_consecutive_invalid: int | None = Field(title="rollout.max_consecutive_invalid")


def roll_out(run: Run, iteration: int, specs: ArtifactRef, model: ArtifactRef) -> ArtifactRef:
    """Return episodes of `model` on train specs.

    Those without a demonstration come first: on the others the student knows the way by heart, and errs less than it
    will on new ones. Each iteration takes the next specs of the split, around its end.
    """
    config = run.config
    identity = RolloutIdentity(
        environment=PlayedEnvironment.of(config.environment),
        student=PlayedStudent.of(config.student, config.rollout.temperature, config.execution.device),
        first_spec=config.demonstrations.num_episodes + (iteration - 1) * config.rollout.num_episodes,
        num_episodes=config.rollout.num_episodes,
        max_consecutive_invalid=config.rollout.max_consecutive_invalid,
        iteration=iteration,
        seed=config.seed,
    )
    return ROLLOUT(run, identity, {"specs": specs, "model": model}, iteration)


def _roll_out(work: StageWork[RolloutIdentity]) -> StageReport:
    identity = work.identity
    specs = read_specs(work.inputs["specs"])
    first, count = identity.first_spec, min(identity.num_episodes, len(specs))
    chosen = [specs[number % len(specs)] for number in range(first, first + count)]
    episodes, resumed = play_in_shards(work, chosen, identity.max_consecutive_invalid)
    check_episodes(episodes, work.config.rollout.max_error_share)
    if overflow := find_overflow(episodes):
        work.log(f"warning: {overflow}")
    if unparseable := find_unparseable(episodes):  # correcting it would cost and teach nothing
        raise StageFailedError(unparseable)
    write_trajectories(work.output, episodes)
    return StageReport(
        counts=PlayedCounts.of(episodes),
        usage=sum((episode.usage for episode in episodes), Usage()),
        resumed=resumed,
    )


def _estimate(call: PlannedCall[RolloutIdentity]) -> EndpointEstimate | None:
    return estimate_playing(call, min(call.identity.num_episodes, num_specs(call, "train")))


def _effort(call: PlannedCall[RolloutIdentity]) -> Effort | None:
    return effort_of_playing(call, min(call.identity.num_episodes, num_specs(call, "train")))


ROLLOUT = Stage(
    name="rollout",
    version=6,
    work=_roll_out,
    counts=PlayedCounts,
    needs=needs_of_player,
    estimate=_estimate,
    effort=_effort,
    effort_of=effort_played,
)
