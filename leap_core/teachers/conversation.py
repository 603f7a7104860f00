"""The requests to a teacher about an episode, and what becomes of its advice. Nothing is sent from here."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from leap_core.chat.messages import ChatReply, ReplySchema
from leap_core.config import Section, read_params
from leap_core.errors import ConfigError
from leap_core.gate.kinds import is_leak
from leap_core.gate.realizability import Gate
from leap_core.prompts import match_command
from leap_core.settings.bounds import Temperature, Text, Within
from leap_core.teachers.base import taught
from leap_core.teachers.privilege import PrivilegedEpisode
from leap_core.teachers.prompts import TeacherPrompts
from leap_core.teachers.replies import correction_schema, read_advice
from leap_core.teachers.windows import Conversation, ModelLimits, WindowRequests, unreadable
from leap_core.types import Action, Level, Message, StepCorrection, Trajectory


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
class TeacherRequests(WindowRequests[PrivilegedEpisode]):
    """Makes the requests of this teacher."""

    params: OpenAITeacherParams
    prompts: TeacherPrompts
    level: Level

    @property
    def limits(self) -> ModelLimits:
        """Who is asked."""
        return ModelLimits(
            model=self.params.model,
            temperature=self.params.temperature,
            max_tokens=self.params.max_tokens,
            context_tokens=self.params.context_tokens,
            max_attempts=self.params.max_attempts,
            setting="correction.params.context_tokens",
        )

    @property
    def reply_schema(self) -> ReplySchema | None:
        """The form of a reply, unless `structured` is off."""
        return correction_schema() if self.params.structured else None

    def messages(self, episode: PrivilegedEpisode, window: range, num_left_out: int) -> tuple[Message, ...]:
        """Ask for corrections of a window."""
        return self.prompts.correct(episode, self.level, window, num_left_out)

    def windows(self, episode: PrivilegedEpisode) -> list[range]:
        """All steps, or each by itself."""
        num_steps = len(episode.trajectory.steps)
        size = num_steps if self.params.mode == "trajectory" else 1
        return [range(start, min(start + size, num_steps)) for start in range(0, num_steps, size)]


@dataclass(kw_only=True)
class Corrector(Conversation[PrivilegedEpisode]):
    """One episode while it is corrected: what is accepted so far, and what is rejected and why.

    Without `check_leaks`, a leak is accepted.
    """

    requests: TeacherRequests
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
        await self.ask()
        steps = {**self.rejected, **self.accepted}
        return tuple(steps[index] for index in range(len(self.trajectory.steps)))

    def wanted(self, window: range) -> list[int]:
        """All of them."""
        return list(window)

    def is_settled(self, index: int) -> bool:
        """Whether a correction of this step is accepted."""
        return index in self.accepted

    def take(self, reply: ChatReply, wanted: Sequence[int]) -> list[str]:
        """Accept what can be used; return a complaint for everything else, which is recorded as rejected for now."""
        advice = read_advice(reply.text, wanted)
        if advice is None:
            complaint, why = unreadable(reply, "teacher")
            for index in wanted:
                self.give_up(index, why)
            return [complaint]
        complaints = []
        for index in wanted:
            why = self._take(index, advice.get(index))
            if why:
                complaints.append(f"Step {index + 1}: {why}")
        return complaints

    def give_up(self, index: int, why: str) -> None:
        """Record that nothing usable came on a step."""
        self._reject(index, why)

    def again(self, complaints: Sequence[str], wanted: Sequence[int]) -> str:
        """Say what is wrong, and which steps are still wanted."""
        return self.requests.prompts.again(complaints, wanted)

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
