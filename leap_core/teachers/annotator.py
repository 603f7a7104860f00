"""Reasons for demonstrations that have none: human or expert logs, read by a language model.

Each step is a request of its own, with nothing but what had been shown by then: a reason that knows how the episode
goes on would teach the student to know what it cannot.
"""

from collections.abc import Callable, Sequence

from pydantic import JsonValue

from leap_core.chat.messages import ChatRequest, ForeseenRequest
from leap_core.config import ExecutionConfig
from leap_core.errors import ChatError
from leap_core.gate.realizability import Gate
from leap_core.prompts import format_reply
from leap_core.teachers.base import taught
from leap_core.teachers.openai import Patience, account_of, open_session
from leap_core.teachers.prompts import TeacherPrompts, load_teacher_prompts
from leap_core.teachers.replies import read_reason
from leap_core.types import PrivilegedState, Record, Step, Trajectory, Usage

ANNOTATOR_PROMPTS = "default"
"""The prompt set below leap_core/envs/<environment>/prompts/teacher/."""
_FEWEST_STEPS = 24
"""Without a reason for any of these, no more are paid for."""
_TOKENS_A_REPLY = 70
"""A sentence or three, and the JSON around them."""


class Annotated(Record):
    """An episode with reasons; where the model gave no usable one, a step has none."""

    trajectory: Trajectory
    usage: Usage


class Annotator:
    """Writes the reason of every step that has none. To be closed."""

    def __init__(
        self,
        model: str,
        environment: str,
        execution: ExecutionConfig,
        experiment: str,
        max_attempts: int = 3,
        log: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Open the endpoint of teachers; progress and long waits go to `log`.

        Raises:
            ConfigError: no key, or no place for the journal.
            UnknownNameError: no prompts for this environment.
        """
        self._model, self._max_attempts = model, max_attempts
        self._patience = Patience(limit=_FEWEST_STEPS, noun="steps")
        self.last_failure = ""
        """Why the last step that got no reason got none."""
        self._prompts = load_teacher_prompts(environment, ANNOTATOR_PROMPTS)
        self._session = open_session(execution, experiment, log)

    def annotate(self, episodes: Sequence[tuple[Trajectory, PrivilegedState]]) -> list[Annotated]:
        """Add reasons to the steps without one; the others stay as they are.

        A reason that gives the hidden state away is requested again, and left out if it does so every time.

        Raises:
            StageFailedError: no reason came for any of the first steps.
        """
        return self._session.map(self._annotate, episodes, "episodes")

    def account(self) -> dict[str, JsonValue]:
        """Requests, tokens and dollars of this run, and how often which fault was met."""
        return account_of(self._session.client)

    def close(self) -> None:
        """Let what is on its way arrive, and close the connections."""
        self._session.close()

    async def _annotate(self, episode: tuple[Trajectory, PrivilegedState]) -> Annotated:
        trajectory, privileged = episode
        gate, steps, usage = Gate(trajectory, privileged), list[Step](), Usage()
        for step in trajectory.steps:
            if _lacks_reason(step):
                reason, spent = await self._reason(trajectory, step, gate)
                usage += spent
                action = step.action.with_(reason=reason)
                step = step.with_(action=action, reply=format_reply(action))
            steps.append(step)
        return Annotated(trajectory=trajectory.with_(steps=tuple(steps)), usage=usage)

    async def _reason(self, trajectory: Trajectory, step: Step, gate: Gate) -> tuple[str, Usage]:
        """One reason, "" where no usable one came, and what it took."""
        is_early = self._patience.begin()
        reason, usage, why = await self._request_reason(trajectory, step, gate)
        self.last_failure = why or self.last_failure
        if is_early:
            self._patience.note(is_useful=not why, why=why, spent=self._session.client.counts.billed.words)
        return reason, usage

    async def _request_reason(self, trajectory: Trajectory, step: Step, gate: Gate) -> tuple[str, Usage, str]:
        """One reason and what it took; and why none came, "" where one did."""
        client, usage, why = self._session.client, Usage(), ""
        request = _request(self._model, self._prompts, trajectory, step)
        for _ in range(self._max_attempts):
            try:
                reply = await client.complete(request)
            except ChatError as error:
                return "", usage, str(error)
            usage += client.usage(request, reply)
            reason = read_reason(reply.text)
            if reason is None:
                why = "there is no JSON object of the given form in your answer"
            else:
                why = gate.why_rejected(taught(step, step.action.with_(reason=reason)), step.index)
            if not why:
                return reason or "", usage, ""
            request = request.again(reply.text, f"That cannot be used: {why}. Answer again, in the same form.")
        return "", usage, why


def foresee_reasons(model: str, environment: str, episodes: Sequence[Trajectory]) -> list[ForeseenRequest]:
    """The first requests for the steps without a reason, with replies of a sentence or three.

    Raises:
        UnknownNameError: no prompts for this environment.
    """
    prompts = load_teacher_prompts(environment, ANNOTATOR_PROMPTS)
    requests = [_request(model, prompts, one, step) for one in episodes for step in one.steps if _lacks_reason(step)]
    return [ForeseenRequest.of(request, _TOKENS_A_REPLY) for request in requests]


def _request(model: str, prompts: TeacherPrompts, trajectory: Trajectory, step: Step) -> ChatRequest:
    """The request for the reason of one step."""
    messages = prompts.annotate(trajectory, step.index)
    return ChatRequest(model=model, messages=messages, max_tokens=1024, temperature=0.0)


def _lacks_reason(step: Step) -> bool:
    return not step.action.reason.strip()


def without_reasons(trajectory: Trajectory) -> Trajectory:
    """The same episode with the reason of every step taken out, so that all are written anew."""
    steps = (step.with_(action=step.action.with_(reason="")) for step in trajectory.steps)
    return trajectory.with_(steps=tuple(steps))
