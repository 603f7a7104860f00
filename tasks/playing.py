"""Playing many episodes inside a stage, and what that needs and costs. Rollout and evaluation share it."""

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import fmean
from typing import Any, Self, TypeVar

from leap_core.config import LeapConfig
from leap_core.envs.workers import EnvironmentPool
from leap_core.loading import foresee_replies, load_student, open_pool
from leap_core.method.rollout import RolloutSettings, foresee_turns, play_episodes
from leap_core.method.tables import read_trajectories, write_trajectories
from leap_core.prompts import PromptSet, load_prompts
from leap_core.store.records import ArtifactRecord
from leap_core.students.base import ActRequest, Student, computes_here, replies_are_paid, uses_weights
from leap_core.students.weights import locate_model, resolve_model
from leap_core.types import Spec, Split, StopReason, Trajectory
from tasks.base_student import BASE
from tasks.counts import Count, Counts
from tasks.demonstrations import DEMONSTRATIONS
from tasks.estimates import CHARACTERS_A_TOKEN, estimate_requests, no_estimate
from tasks.identity import PlayedIdentity, PlayedStudent
from tasks.outlook import StepsSeen
from tasks.planned import EndpointEstimate, Needs, PlannedCall, Request, is_pending
from tasks.samples import StepSample, newest, sample_steps, undamaged
from tasks.shards import Shards
from tasks.specs import SPECS
from tasks.stage import StageWork

IdentityT = TypeVar("IdentityT", bound=PlayedIdentity)


class PlayedCounts(Counts):
    """What was played. An episode that failed has no score; a suspect one has a score that may have been steered."""

    episodes: Count
    successes: Count
    failed_episodes: Count
    steps: Count = 0
    invalid_steps: Count = 0
    suspect_episodes: Count = 0
    out_of_context_episodes: Count = 0

    @classmethod
    def of(cls, episodes: Sequence[Trajectory]) -> Self:
        """Count finished episodes."""
        return cls(
            episodes=len(episodes),
            successes=sum(bool(episode.success) for episode in episodes),
            failed_episodes=sum(episode.error is not None for episode in episodes),
            steps=sum(len(episode.steps) for episode in episodes),
            invalid_steps=sum(not step.valid for episode in episodes for step in episode.steps),
            suspect_episodes=sum(episode.suspicion is not None for episode in episodes),
            out_of_context_episodes=sum(one.stop_reason is StopReason.CONTEXT_LIMIT for one in episodes),
        )


def play_in_shards(
    work: StageWork[IdentityT], specs: Sequence[Spec], max_consecutive_invalid: int | None
) -> tuple[list[Trajectory], bool]:
    """Play every spec once with the stage's model.

    Returns:
        The trajectories, in order, and whether some came from an earlier attempt.
    """
    config = work.config
    settings = rollout_settings(work.identity, max_consecutive_invalid, config.execution.batch_size)
    with ExitStack() as resources:
        player = _LazyPlayer(work, settings, resources, len(specs))
        shards = Shards(
            scratch=work.scratch,
            # The journal keeps paid replies and so resumes; shards would only add a wait for the slowest of each.
            size=max(len(specs), 1) if replies_are_paid(config.student) else config.execution.shard_size,
            # Floating point makes a sample depend on the batch around it.
            tag=f"batch-{settings.batch_size}",
            write=write_trajectories,
            read=read_trajectories,
            failed=lambda episode: episode.error is not None,
        )
        return shards.map(player.play, specs, player.count), shards.num_resumed > 0


def rollout_settings(identity: PlayedIdentity, max_consecutive_invalid: int | None, batch_size: int) -> RolloutSettings:
    """How a stage of this identity plays."""
    return RolloutSettings(
        iteration=identity.iteration,
        seed=identity.seed,
        max_steps=identity.environment.max_steps,
        max_consecutive_invalid=max_consecutive_invalid,
        constrain=identity.student.constrain,
        batch_size=batch_size,
    )


class _LazyPlayer:
    """A student with its environments, loaded when the first shard has to be played."""

    def __init__(
        self, work: StageWork[IdentityT], settings: RolloutSettings, resources: ExitStack, num_episodes: int
    ) -> None:
        self._work, self._settings, self._resources = work, settings, resources
        self._num_episodes, self._num_done, self._seen, self._shard = num_episodes, 0, StepsSeen(), StepsSeen()
        self._players: tuple[Student, EnvironmentPool, PromptSet] | None = None

    def play(self, specs: Sequence[Spec]) -> list[Trajectory]:
        """Play each spec once."""
        if self._players is None:
            self._players = self._open(self._work.config, self._work.identity.student)
        student, pool, prompts = self._players
        self._seen, self._shard = self._seen + self._shard, StepsSeen()
        return play_episodes(student, pool, prompts, specs, self._settings, self._tell)

    def count(self, num_done: int) -> None:
        """Take note of how many episodes the shards so far hold."""
        self._num_done = num_done

    def _tell(self, finished: Collection[Trajectory], live: Sequence[int]) -> None:
        limit, num_done = self._settings.max_steps, self._num_done + len(finished)
        self._shard = StepsSeen.of([len(one.steps) for one in finished], live, limit)
        seen = self._seen + self._shard
        # Episodes that begin together end together, after a long time; the steps show that it goes on.
        line = f"{num_done:,} of {self._num_episodes:,} episodes, {seen.num_steps:,} steps played"
        left = seen.foresee(live, self._num_episodes - num_done - len(live), limit)
        self._work.progress(line, done=seen.num_steps, left=left)

    def _open(self, config: LeapConfig, played: PlayedStudent) -> tuple[Student, EnvironmentPool, PromptSet]:
        model = locate_model(self._work.inputs["model"], config.student.model)
        student = load_student(model, config.student, config.execution, played.temperature, self._work.log)
        self._resources.callback(student.close)
        pool = open_pool(config.environment, self._work.inputs["specs"], config.execution.env_workers)
        return student, self._resources.enter_context(pool), load_prompts(config.environment.name, played.prompt)


def needs_of_player(call: PlannedCall[Any]) -> Needs:
    """What a stage needs in which the student plays."""
    student = call.config.student
    return Needs(
        device=computes_here(student),
        weights="play" if uses_weights(student) else None,
        request=Request(endpoint="student", model=_name_at_endpoint(call)) if replies_are_paid(student) else None,
    )


def num_specs(call: PlannedCall[Any], split: Split) -> int:
    """How many specs the input `specs` has, or will have."""
    if call.is_known("specs"):
        return SPECS.counts_of(call.store, call.inputs["specs"]).specs
    return call.config.environment.num_specs(split)


def estimate_playing(call: PlannedCall[IdentityT], num_episodes: int) -> EndpointEstimate | None:
    """From prompts of every step of episodes of this student, or of others, as this one would be prompted."""
    if not replies_are_paid(call.config.student):
        return None
    sample, identity = _sample(call), call.identity
    if sample is None:
        return no_estimate(call, "student", num_episodes)
    prompts = load_prompts(identity.environment.name, identity.student.prompt)
    settings = rollout_settings(identity, max_consecutive_invalid=None, batch_size=1)
    turns = [turn for one in sample.episodes for turn in foresee_turns(prompts, one, settings)]
    reply_tokens = _reply_tokens(sample, is_taught=call.inputs["model"].stage != BASE.name)
    as_there = ", with replies as long as there" if reply_tokens else ""
    return estimate_requests(
        call,
        "student",
        foresee_replies(call.config, model_of(call), turns, reply_tokens),
        num_episodes=num_episodes,
        factor=num_episodes * sample.mean_steps / sample.num_steps,
        basis=f"from prompts of every step of {len(sample.episodes)} episodes of {sample.source.id}, {_whose(sample)}: "
        f"{num_episodes * identity.environment.max_steps:,} requests at most{as_there}",
    )


def model_of(call: PlannedCall[Any]) -> Path | str:
    """The input `model` as its student would be opened with it; of one that is to be made, the artifact's name."""
    ref = call.inputs["model"]
    if ref.stage == BASE.name:  # what is paid for is never a tiny one
        return resolve_model(call.config.student.model)
    return Path(ref.stage, ref.name) if is_pending(ref) else call.store.path(ref)


def _name_at_endpoint(call: PlannedCall[Any]) -> str | None:
    """What its endpoint calls the input `model`, by the request of a turn in which nothing is said."""
    ref = call.inputs["model"]
    if is_pending(ref) and ref.stage != BASE.name:
        return None
    turn = ActRequest(slot="", messages=(), admissible=None, seed=0)
    return foresee_replies(call.config, model_of(call), [turn], None)[0].model


def _sample(call: PlannedCall[IdentityT]) -> StepSample | None:
    """Episodes of the same model, if there are any; else the newest of other students, or demonstrations."""
    played = newest(call, "rollout", "evaluation")
    # Sorting keeps the newest first among those that are equally near.
    played.sort(key=lambda record: record.stage == call.stage, reverse=True)
    played.sort(key=lambda record: _is_by_same_model(record, call), reverse=True)
    for record in undamaged(call, [*played, *newest(call, DEMONSTRATIONS.name)]):
        episodes = [
            one.with_(steps=one.steps[: call.identity.environment.max_steps])
            for one in read_trajectories(call.store.path(record.ref))
        ]
        if sample := sample_steps(record.ref, episodes, is_own=_is_by_same_model(record, call)):
            return sample
    return None


def _is_by_same_model(record: ArtifactRecord, call: PlannedCall[IdentityT]) -> bool:
    """Whether the episodes of a record were played by the model of a stage, prompted in the same way."""
    model, student = call.inputs["model"], record.config.get("student")
    if is_pending(model) or "model" not in record.inputs or not isinstance(student, dict):
        return False
    mine = call.identity.student.model_dump(mode="json")
    is_prompted_alike = all(student.get(key) == mine[key] for key in ("kind", "prompt", "constrain", "params"))
    return is_prompted_alike and record.inputs["model"].digest == model.digest


def _whose(sample: StepSample) -> str:
    """How well the length of the sampled episodes predicts that of others."""
    if sample.is_own:
        return "of the same model"
    if sample.source.stage == DEMONSTRATIONS.name:
        return "an expert's, mostly shorter than a student's"
    return "which may be longer or shorter than those of this student"


def _reply_tokens(sample: StepSample, is_taught: bool) -> int | None:
    """The mean length of sampled replies, where it predicts this model's; None where it does not.

    It does where the replies are the model's own, and where it is trained: trained models all reply in the same form.
    """
    steps = [step for one in sample.episodes for step in one.steps]
    if sample.is_own and all(step.usage.completion_tokens for step in steps):
        return round(fmean(step.usage.completion_tokens for step in steps))
    if sample.is_own or is_taught:
        return max(round(fmean(len(step.reply) for step in steps) / CHARACTERS_A_TOKEN), 1)
    return None
