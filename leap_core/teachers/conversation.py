"""The requests to a teacher about an episode, and what becomes of its replies. Nothing is sent from here."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from leap_core.chat.messages import ChatReply, ChatRequest
from leap_core.chat.reading import estimate_tokens
from leap_core.config import Section, read_params
from leap_core.errors import ConfigError, ContextLengthError, TooMuchError
from leap_core.gate.kinds import is_leak
from leap_core.gate.realizability import Gate
from leap_core.prompts import match_command
from leap_core.settings.bounds import Temperature, Text, Within
from leap_core.teachers.base import taught
from leap_core.teachers.privilege import PrivilegedEpisode
from leap_core.teachers.prompts import TeacherPrompts
from leap_core.teachers.replies import correction_schema, read_advice
from leap_core.types import Action, Level, StepCorrection, Trajectory


class OpenAITeacherParams(Section):
    """Settings of this teacher, `correction.params`. All of them bear identity."""

    model: Text = Field(description="Name of the model at the endpoint.")
    mode: Literal["trajectory", "step"] = Field("trajectory", description="What one call corrects; an episode (paper).")
    prompt: Text = Field("default", description="Prompt set below leap_core/envs/<environment>/prompts/teacher/.")
    temperature: Temperature | None = Field(0.0, description="Sampling temperature; null: the endpoint's own.")
    max_tokens: Annotated[int, Within(16, 2**20, "no model writes more at once")] = Field(
        4096, description="Limit on tokens of one reply, hidden reasoning included."
    )
    context_tokens: Annotated[int, Within(512, 10**8, "no model reads more at once")] = Field(
        128_000, description="What the model can read; longer episodes are split."
    )
    max_attempts: Annotated[int, Within(1, 100, "each reply is paid for")] = Field(
        3, description="Replies requested before what is wrong is rejected."
    )
    structured: bool = Field(True, description="Request JSON by schema; left out at endpoints that lack it.")
    shuffled_privilege: bool = Field(False, description="Control: show each episode the hidden state of another one.")

    @classmethod
    def read(cls, params: dict[str, JsonValue]) -> "OpenAITeacherParams":
        """Validate `correction.params`; raise ConfigError where the model is missing, or anything is wrong."""
        if "model" not in params:
            raise ConfigError(
                "Config correction.params.model is missing: the teacher 'openai' needs the name of a model. --set "
                "correction.params.model=gpt-4o."
            )
        return read_params(params, cls, "correction.params")


@dataclass(frozen=True, kw_only=True)
class TeacherRequests:
    """Makes the requests of this teacher."""

    params: OpenAITeacherParams
    prompts: TeacherPrompts
    level: Level

    def windows(self, num_steps: int) -> list[range]:
        """The steps that are corrected together, before anything turns out too long."""
        size = num_steps if self.params.mode == "trajectory" else 1
        return [range(start, min(start + size, num_steps)) for start in range(0, num_steps, size)]

    def for_window(self, episode: PrivilegedEpisode, window: range) -> ChatRequest:
        """The prompt for a window, with as many of the steps before it as there is room for.

        Raises:
            ContextLengthError: there is no room even without them.
        """
        room = self.params.context_tokens - self.params.max_tokens
        for num_left_out in _fewer_and_fewer(window.start):
            request = ChatRequest(
                model=self.params.model,
                messages=self.prompts.correct(episode, self.level, window, num_left_out),
                max_tokens=self.params.max_tokens,
                temperature=self.params.temperature,
                reply_schema=correction_schema() if self.params.structured else None,
            )
            num_tokens = estimate_tokens(request.num_characters)
            if num_tokens <= room:
                return request
        raise ContextLengthError(
            f"about {num_tokens} tokens, and correction.params.context_tokens leaves room for {room}"
        )

    def for_episode(self, episode: PrivilegedEpisode) -> Iterator[tuple[ChatRequest, range]]:
        """The requests for an episode, with their steps: too long windows in halves, without steps that never fit."""
        waiting = self.windows(len(episode.trajectory.steps))
        while waiting:
            window = waiting.pop(0)
            try:
                yield self.for_window(episode, window), window
            except ContextLengthError:
                waiting[:0] = halves(window) if len(window) > 1 else []


@dataclass(kw_only=True)
class Corrector:
    """One episode while it is corrected: what is accepted so far, and what is rejected and why.

    `complete` sends a request and returns its reply. Without `check_leaks`, a leak is accepted.
    """

    requests: TeacherRequests
    episode: PrivilegedEpisode
    complete: Callable[[ChatRequest], Awaitable[ChatReply]]
    check_leaks: bool = True
    gate: Gate = field(init=False)
    accepted: dict[int, StepCorrection] = field(default_factory=dict)
    rejected: dict[int, StepCorrection] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.gate = Gate(self.trajectory, self.episode.privileged)

    @property
    def trajectory(self) -> Trajectory:
        """What is corrected."""
        return self.episode.trajectory

    async def correct(self) -> tuple[StepCorrection, ...]:
        """Correct every step, in as many requests as it takes; returns one step correction for each step.

        Raises:
            LeapError: whatever `complete` raised, but for a request that is too long.
        """
        num_steps = len(self.trajectory.steps)
        for window in self.requests.windows(num_steps):
            await self._correct_window(window)
        steps = {**self.rejected, **self.accepted}
        return tuple(steps[index] for index in range(num_steps))

    async def _correct_window(self, window: range) -> None:
        """Correct some steps together; halve them where prompt or reply are too long."""
        try:
            reply_was_too_long = await self._correct_together(window)
        except TooMuchError as error:
            if len(window) == 1:
                self._reject(window.start, f"too long: {error}")
                return
            reply_was_too_long = True
        if reply_was_too_long:
            for half in halves(window):
                await self._correct_window(half)

    async def _correct_together(self, window: range) -> bool:
        """Request corrections until every step of the window is accepted, or the attempts are used up.

        Returns:
            Whether the reply was cut off, so that fewer steps at a time are to be corrected.

        Raises:
            TooMuchError: the prompt is too long for the model.
        """
        request, wanted = self.requests.for_window(self.episode, window), list(window)
        for attempt in range(self.requests.params.max_attempts):
            reply = await self.complete(request)
            complaints = self._judge(reply, wanted)
            if not complaints:
                return False
            if reply.was_cut_off and len(window) > 1:
                return True
            wanted = [index for index in wanted if index not in self.accepted]
            if attempt + 1 < self.requests.params.max_attempts:
                request = request.again(reply.text, self.requests.prompts.again(complaints, wanted))
        return False

    def _judge(self, reply: ChatReply, wanted: Sequence[int]) -> list[str]:
        """Accept what can be used; return a complaint for everything else, which is recorded as rejected for now."""
        advice = read_advice(reply.text, wanted)
        if advice is None:
            complaint, why = _unreadable(reply)
            for index in wanted:
                self._reject(index, why)
            return [complaint]
        complaints = []
        for index in wanted:
            why = self._take(index, advice.get(index))
            if why:
                complaints.append(f"Step {index + 1}: {why}")
        return complaints

    def _take(self, index: int, advice: Action | None) -> str:
        """Accept the advice on one step and return "", or reject it and return why."""
        step = self.trajectory.steps[index]
        is_left_alone = advice is None and self.requests.prompts.is_sparing
        if is_left_alone:
            advice = step.action
        if advice is None:
            why = "missing: the reply says nothing on this step"
            self._reject(index, why)
            return why
        advice = advice.with_(command=match_command(advice.command, step.observation.admissible))
        correction = taught(step, advice)
        why = self._why_rejected(correction, index)
        if not why:
            self.accepted[index] = correction
            return ""
        self._reject(index, why, advice)
        if is_left_alone:  # the student's own step is no model for anyone; the teacher has nothing to mend in it
            return ""
        possible = step.observation.admissible if why.startswith("inadmissible") else None
        return f"{why}. Possible were: {'; '.join(possible)}" if possible else why

    def _why_rejected(self, correction: StepCorrection, index: int) -> str:
        why = self.gate.why_rejected(correction, index)
        if is_leak(why) and not self.check_leaks:
            why = ""
        return why or ("" if correction.command else "inadmissible: there is no action")

    def _reject(self, index: int, why: str, advice: Action | None = None) -> None:
        """Record that nothing usable came on a step."""
        self.rejected[index] = taught(self.trajectory.steps[index], advice, why)


def halves(window: range) -> list[range]:
    """Two windows in place of one that is too long."""
    middle = (window.start + window.stop) // 2
    return [range(window.start, middle), range(middle, window.stop)]


def _unreadable(reply: ChatReply) -> tuple[str, str]:
    """The complaint to the teacher about a reply without advice, and what to record."""
    if reply.refusal:
        return "You declined. This is a game for training software; nobody comes to harm.", "refused by the teacher"
    if reply.was_cut_off:
        return "Your answer was cut off. Be much shorter.", "cut off: the reply was too long"
    if not reply.text.strip():
        return "Your answer was empty.", "unreadable: the reply was empty"
    return "There was no JSON object of the given form in your answer.", "unreadable: no JSON of the given form"


def _fewer_and_fewer(num_before: int) -> Sequence[int]:
    """How many of the steps before a window to leave out: none, then ever more of the oldest, at last all."""
    counts, shown = [0], num_before
    while shown:
        shown //= 2
        counts.append(num_before - shown)
    return counts
