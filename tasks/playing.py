"""Playing many episodes inside a stage. Rollout and evaluation share it."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TypeVar

from leap_core.config import LeapConfig
from leap_core.envs.workers import EnvironmentPool
from leap_core.loading import load_student, open_pool
from leap_core.method.rollout import RolloutSettings, play_episodes
from leap_core.method.tables import read_trajectories, write_trajectories
from leap_core.prompts import PromptSet, load_prompts
from leap_core.students.base import Student, replies_are_paid
from leap_core.students.weights import locate_model
from leap_core.types import Spec, Trajectory
from tasks.identity import PlayedIdentity, PlayedStudent
from tasks.shards import Shards
from tasks.stage import StageWork

IdentityT = TypeVar("IdentityT", bound=PlayedIdentity)


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
            # What is bought is kept: the journal resumes, and shards would only make it wait for the slowest of each.
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
        self._num_episodes, self._num_done, self._num_steps = num_episodes, 0, 0
        self._players: tuple[Student, EnvironmentPool, PromptSet] | None = None

    def play(self, specs: Sequence[Spec]) -> list[Trajectory]:
        """Play each spec once."""
        if self._players is None:
            self._players = self._open(self._work.config, self._work.identity.student)
        student, pool, prompts = self._players
        return play_episodes(student, pool, prompts, specs, self._settings, self._tell)

    def count(self, num_done: int) -> None:
        """Take note of how many episodes the shards so far hold."""
        self._num_done = num_done

    def _tell(self, num_finished: int, num_steps: int) -> None:
        # Episodes that take turns together end together, after a long time; the steps show that it goes on.
        self._num_steps += num_steps
        done = self._num_done + num_finished
        self._work.progress(f"{done:,} of {self._num_episodes:,} episodes, {self._num_steps:,} steps played")

    def _open(self, config: LeapConfig, played: PlayedStudent) -> tuple[Student, EnvironmentPool, PromptSet]:
        model = locate_model(self._work.inputs["model"], config.student.model)
        student = load_student(model, config.student, config.execution, played.temperature, self._work.log)
        self._resources.callback(student.close)
        pool = open_pool(config.environment, self._work.inputs["specs"], config.execution.env_workers)
        return student, self._resources.enter_context(pool), load_prompts(config.environment.name, played.prompt)
