"""Playing episodes: a student and many environments at once.

Many episodes are live at once, and the place of a finished one is taken by the next spec. Where the student can write
replies while others are still asked for (`IndependentStudent`), each episode goes on when its own reply is there; else
all take a turn together. A student in this process decides by counting, never by timing, in which order replies come,
so a shard that is played again gives the same episodes.
A failure of an environment or a student is written on its trajectory: "a bad rollout is data, not a crash".
"""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from leap_core.envs.base import StepResult
from leap_core.envs.workers import EnvironmentFailure, EnvironmentPool
from leap_core.errors import StageFailedError
from leap_core.prompts import PromptSet, read_reply
from leap_core.students.base import ActReply, ActRequest, IndependentStudent, Student
from leap_core.types import Action, Observation, Spec, Step, StopReason, Trajectory, Usage

OnTurn = Callable[[Collection[Trajectory], Sequence[int]], object]

_UNPARSEABLE_SHARE = 0.9
"""Of steps without a readable command: above that, the student itself is in doubt."""


@dataclass(frozen=True, kw_only=True)
class RolloutSettings:
    """How episodes are played. `batch_size` episodes are live at once."""

    iteration: int
    seed: int
    max_steps: int
    max_consecutive_invalid: int | None
    constrain: bool
    batch_size: int


@dataclass(kw_only=True)
class _Episode:
    """One live episode."""

    spec: Spec
    observation: Observation
    steps: list[Step] = field(default_factory=list)
    num_invalid: int = 0
    score: float = 0.0
    success: bool = False
    score_parts: Mapping[str, float] = field(default_factory=dict)
    suspicion: str | None = None

    def finish(self, settings: RolloutSettings, student: str, stop: StopReason, error: str | None) -> Trajectory:
        """Close the record of this episode; with an error it has no score."""
        return Trajectory(
            id=f"i{settings.iteration}/{self.spec.id}",
            spec=self.spec,
            iteration=settings.iteration,
            student=student,
            steps=tuple(self.steps),
            final_observation=self.observation.text,
            stop_reason=stop,
            score=None if error else self.score,
            success=None if error else self.success,
            score_parts=dict(self.score_parts),
            suspicion=self.suspicion,
            usage=sum((step.usage for step in self.steps), Usage()),
            error=error,
        )


def turn_seed(seed: int, iteration: int, spec_id: str, turn: int) -> int:
    """The seed of one turn's sample: a hash, so that no two iterations, specs or turns share one."""
    digest = hashlib.sha256(f"{seed}:{iteration}:{spec_id}:{turn}".encode()).digest()
    return int.from_bytes(digest[:7], "big")


def play_episodes(
    student: Student,
    pool: EnvironmentPool,
    prompts: PromptSet,
    specs: Sequence[Spec],
    settings: RolloutSettings,
    on_turn: OnTurn = lambda finished, live: None,
) -> list[Trajectory]:
    """Play each spec once, unprivileged, and return the trajectories in the order of `specs`.

    `on_turn` is called after each turn with the finished episodes, and how many steps each live one has.
    """
    waiting = list(reversed(specs))
    live: dict[str, _Episode] = {}
    done: dict[str, Trajectory] = {}
    to_ask: list[str] = []
    turns = student if isinstance(student, IndependentStudent) else _Lockstep(student)

    def finish(slot: str, stop: StopReason, error: str | None = None) -> None:
        done[slot] = live.pop(slot).finish(settings, student.name, stop, error)
        student.release([slot])
        pool.close_slots([slot])

    while waiting or live:
        starting = [waiting.pop() for _ in range(min(settings.batch_size - len(live), len(waiting)))]
        for spec, first in zip(starting, pool.reset_many([(spec.id, spec) for spec in starting]), strict=True):
            if isinstance(first, EnvironmentFailure):
                live[spec.id] = _Episode(spec=spec, observation=Observation(text=""))
                finish(spec.id, StopReason.ENV_ERROR, first.text)
            else:
                live[spec.id] = _Episode(spec=spec, observation=first)
                to_ask.append(spec.id)
        asking = [live[slot] for slot in to_ask]
        turns.submit([_request(one.spec, one.steps, one.observation, prompts, settings) for one in asking])
        replies, to_ask = turns.collect() if live else {}, []
        commands = []
        for slot, reply in replies.items():
            if reply.out_of_context:
                live[slot].score, live[slot].success = 0.0, False
                finish(slot, StopReason.CONTEXT_LIMIT)
            elif reply.error is not None:
                finish(slot, StopReason.STUDENT_ERROR, reply.error)
            else:
                action = read_reply(reply.text, live[slot].observation.admissible) or Action(reason="", command="")
                commands.append((slot, action))
        results = pool.step_many([(slot, action.command) for slot, action in commands])
        for (slot, action), result in zip(commands, results, strict=True):
            if isinstance(result, EnvironmentFailure):
                finish(slot, StopReason.ENV_ERROR, result.text)
                continue
            stop = _take_step(live[slot], action, replies[slot], result, settings)
            if stop is None:
                to_ask.append(slot)
            else:
                finish(slot, stop)
        on_turn(done.values(), [len(one.steps) for one in live.values()])
    return [done[spec.id] for spec in specs]


class _Lockstep:
    """Turns of a student that answers in batches: what was submitted is answered together."""

    def __init__(self, student: Student) -> None:
        self._student = student
        self._submitted: list[ActRequest] = []

    def submit(self, requests: Sequence[ActRequest]) -> None:
        self._submitted += requests

    def collect(self) -> dict[str, ActReply]:
        asked, self._submitted = self._submitted, []
        return dict(zip((request.slot for request in asked), self._student.act(asked), strict=True))


def _request(
    spec: Spec, history: Sequence[Step], observation: Observation, prompts: PromptSet, settings: RolloutSettings
) -> ActRequest:
    """What the student is asked at `observation`, after the steps in `history`."""
    return ActRequest(
        slot=spec.id,
        messages=prompts.student_messages(spec, history, observation),
        admissible=observation.admissible if settings.constrain else None,
        listed=observation.admissible,
        seed=turn_seed(settings.seed, settings.iteration, spec.id, len(history)),
    )


def foresee_turns(prompts: PromptSet, episode: Trajectory, settings: RolloutSettings) -> list[ActRequest]:
    """What a student would be asked that went the way of a finished episode, up to the limit on actions."""
    return [
        _request(episode.spec, episode.steps[: step.index], step.observation, prompts, settings)
        for step in episode.steps[: settings.max_steps]
    ]


def _take_step(
    episode: _Episode, action: Action, reply: ActReply, result: StepResult, settings: RolloutSettings
) -> StopReason | None:
    """Write one executed step on the episode; say why it is over, or None if it is not."""
    episode.steps.append(
        Step(
            index=len(episode.steps),
            observation=episode.observation,
            action=action,
            reply=reply.text,
            valid=result.valid and bool(action.command),
            usage=reply.usage,
        )
    )
    episode.observation, episode.score, episode.success = result.observation, result.score, result.success
    episode.score_parts, episode.suspicion = result.score_parts, result.suspicion
    episode.num_invalid = 0 if episode.steps[-1].valid else episode.num_invalid + 1
    if result.terminated:
        return StopReason.TERMINATED
    if len(episode.steps) >= settings.max_steps:
        return StopReason.STEP_LIMIT
    limit = settings.max_consecutive_invalid
    return StopReason.INVALID_LIMIT if limit is not None and episode.num_invalid >= limit else None


def check_episodes(trajectories: Sequence[Trajectory], max_error_share: float) -> None:
    """Raise StageFailedError where too many episodes ended in an error of the environment or the endpoint."""
    errors = [trajectory for trajectory in trajectories if trajectory.error]
    if len(errors) > max_error_share * len(trajectories):
        raise StageFailedError(
            f"{len(errors)} of {len(trajectories)} episodes failed, more than the allowed share {max_error_share} "
            f"(rollout.max_error_share). First: {errors[0].id}: {errors[0].error}"
        )


def find_overflow(trajectories: Sequence[Trajectory]) -> str | None:
    """Say that most episodes ran out of context, if they did, and what to look at: seldom is it the student's fault."""
    cut = [trajectory for trajectory in trajectories if trajectory.stop_reason is StopReason.CONTEXT_LIMIT]
    if len(cut) <= len(trajectories) / 2:
        return None
    return (
        f"In {len(cut)} of {len(trajectories)} episodes a prompt was longer than the model reads, the first time after "
        f"{min(len(trajectory.steps) for trajectory in cut)} steps; they have a score of 0. Lower "
        "environment.max_steps, --set student.out_of_context=truncate, or choose a model that reads more."
    )


def find_unparseable(trajectories: Sequence[Trajectory]) -> str | None:
    """Say that the student's replies were nearly all unreadable, if they were, with an example and what to look at.

    Each is a wasted step and no error: a student may know no better. But one that does is mostly used in a wrong way.
    """
    steps = [step for trajectory in trajectories for step in trajectory.steps]
    unreadable = [step for step in steps if not step.action.command]
    if len(unreadable) <= _UNPARSEABLE_SHARE * len(steps):
        return None
    return (
        f"The student's replies had not the form 'REASON: ... ACTION: ...' in {len(unreadable)} of {len(steps)} steps; "
        f"for example {unreadable[0].reply[:200]!r}. Check the model, its chat template and student.max_new_tokens."
    )


def find_inadmissible(trajectories: Sequence[Trajectory]) -> str | None:
    """Say that the student's commands were nearly all impossible, if they were, with an example and what to look at.

    That is what an untrained student does, and a good one whose words are not those of the environment.
    """
    steps = [step for trajectory in trajectories for step in trajectory.steps]
    impossible = [step for step in steps if step.action.command and not step.valid]
    if len(impossible) <= _UNPARSEABLE_SHARE * len(steps):
        return None
    return (
        f"In {len(impossible)} of {len(steps)} steps the student's command was not possible; for example "
        f"{impossible[0].action.command[:200]!r}. If it knows better, look at how it words commands "
        "and at student.prompt."
    )
