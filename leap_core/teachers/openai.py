"""The teacher behind an OpenAI-compatible endpoint: a language model that is shown the hidden state.

One call corrects a whole episode, as in the paper, or one step. A reply that cannot be used is asked for again with the
reason, a few times; what then still fails is recorded as rejected. Replies are journalled, so none is paid for twice.
"""

import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue, ValidationError

from leap_core.chat.client import ChatClient
from leap_core.chat.endpoint import estimate_tokens
from leap_core.chat.messages import ChatReply, ChatRequest
from leap_core.chat.session import ChatSession
from leap_core.config import CorrectionConfig, Section, check_keys
from leap_core.errors import ChatError, ConfigError, ContextLengthError
from leap_core.realizability import Gate
from leap_core.teachers.base import ForeseenRequest, TeacherSetup, check_same_spec
from leap_core.teachers.privilege import PrivilegedEpisode, shuffle_privilege
from leap_core.teachers.prompts import TeacherPrompts, load_teacher_prompts
from leap_core.teachers.replies import Advice, correction_schema, match_command, read_advice
from leap_core.types import Correction, CorrectionStatus, Level, StepCorrection, Trajectory, Usage

_TOKENS_AROUND_A_REPLY, _TOKENS_A_STEP = 60, 80
"""Of a reply: the summary with the brackets, and the reason and action of one step."""


class OpenAITeacherParams(Section):
    """Settings of this teacher, `correction.params`. All of them bear identity."""

    model: str = Field(description="Name of the model at the endpoint.")
    mode: Literal["trajectory", "step"] = Field("trajectory", description="What one call corrects; an episode (paper).")
    prompt: str = Field("default", description="Prompt set below leap_core/teachers/prompts/<environment>/.")
    temperature: float | None = Field(0.0, ge=0, description="Sampling temperature; null: the endpoint's own.")
    max_tokens: int = Field(4096, ge=16, description="Limit on tokens of one reply, hidden reasoning included.")
    context_tokens: int = Field(128_000, ge=512, description="What the model can read; longer episodes are split.")
    max_attempts: int = Field(3, ge=1, description="Replies asked for before what is wrong is rejected.")
    structured: bool = Field(True, description="Ask for JSON by schema; endpoints that lack it are asked without.")
    shuffled_privilege: bool = Field(False, description="Control: show each episode the hidden state of another one.")

    @classmethod
    def read(cls, params: dict[str, JsonValue]) -> "OpenAITeacherParams":
        """Validate `correction.params`.

        Raises:
            ConfigError: the model is missing, a key is unknown, or a value is wrong.
        """
        check_keys(params, cls, "correction.params.")
        try:
            return cls.model_validate(params)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ConfigError(
                f"Config correction.params.{where}: {first['msg']}. The teacher 'openai' needs the name of a model, "
                "for example --set correction.params.model=gpt-4o."
            ) from error


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Makes the requests of this teacher; asks nobody itself."""

    params: OpenAITeacherParams
    prompts: TeacherPrompts
    level: Level

    def windows(self, num_steps: int) -> list[range]:
        """The steps that are corrected together, before anything turns out too long."""
        size = num_steps if self.params.mode == "trajectory" else 1
        return [range(start, min(start + size, num_steps)) for start in range(0, num_steps, size)]

    def request(self, episode: PrivilegedEpisode, window: range) -> ChatRequest:
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

    def requests(self, episode: PrivilegedEpisode) -> Iterator[tuple[ChatRequest, range]]:
        """What is asked for a whole episode: too long windows in halves, without steps that never fit."""
        waiting = self.windows(len(episode.trajectory.steps))
        while waiting:
            window = waiting.pop(0)
            try:
                yield self.request(episode, window), window
            except ContextLengthError:
                waiting[:0] = halves(window) if len(window) > 1 else []


@dataclass(kw_only=True)
class _Work:
    """One episode while it is corrected: what is accepted so far, what is rejected and why, and what it cost."""

    episode: PrivilegedEpisode
    gate: Gate
    accepted: dict[int, StepCorrection] = field(default_factory=dict)
    rejected: dict[int, StepCorrection] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)

    @property
    def trajectory(self) -> Trajectory:
        """What is corrected."""
        return self.episode.trajectory

    def reject(self, index: int, why: str, advice: Advice | None = None) -> None:
        """Record that no usable word came on a step."""
        step = self.trajectory.steps[index]
        self.rejected[index] = StepCorrection(
            step=step.index,
            reason=advice.reason if advice else "",
            command=advice.command if advice else step.action.command,
            status=CorrectionStatus.REJECTED,
            why=why,
        )


class OpenAITeacher:
    """Asks a language model. Many episodes are under way at once."""

    name = "openai"
    keeps_replies = True

    @classmethod
    def check(cls, config: CorrectionConfig, environment: str) -> None:
        """Raise ConfigError where a setting is wrong, or UnknownNameError where there are no prompts."""
        load_teacher_prompts(environment, OpenAITeacherParams.read(config.params).prompt)

    def __init__(self, setup: TeacherSetup) -> None:
        """Open the endpoint.

        Raises:
            ConfigError: a setting is wrong, or there is no key.
            UnknownNameError: no prompts for this environment.
        """
        self._params = OpenAITeacherParams.read(setup.config.params)
        self._level: Level = setup.config.level
        self._prompts = load_teacher_prompts(setup.suite.name, self._params.prompt)
        self._asker = Asker(params=self._params, prompts=self._prompts, level=self._level)
        self._session = open_session(setup)

    @classmethod
    def prompts_digest(cls, config: CorrectionConfig, environment: str) -> str:
        """The sha256 of the templates."""
        return load_teacher_prompts(environment, OpenAITeacherParams.read(config.params).prompt).digest

    @classmethod
    def foresee(
        cls, config: CorrectionConfig, environment: str, episodes: Sequence[PrivilegedEpisode]
    ) -> list[ForeseenRequest]:
        """What correcting these episodes would ask first; a reply is taken to say a sentence or three for each step."""
        params = OpenAITeacherParams.read(config.params)
        asker = Asker(params=params, prompts=load_teacher_prompts(environment, params.prompt), level=config.level)
        return [
            ForeseenRequest(
                model=params.model,
                num_characters=request.num_characters,
                completion_tokens=min(_TOKENS_AROUND_A_REPLY + _TOKENS_A_STEP * len(window), params.max_tokens),
            )
            for one in episodes
            for request, window in asker.requests(one)
        ]

    def correct(self, episodes: Sequence[PrivilegedEpisode]) -> list[Correction]:
        """Correct each episode; what was answered before comes from the journal.

        Raises:
            WrongSpecError: a privileged state is for another spec.
            BudgetError: the next request could overrun the budget; says what is done and what is left.
            EndpointError: the endpoint refuses everything.
        """
        for one in episodes:
            check_same_spec(one.trajectory, one.privileged)
        if self._params.shuffled_privilege:
            episodes = shuffle_privilege(episodes)
        # The episodes stay until the end: to look for garbage among them again and again holds up what is on its way.
        gc.freeze()
        try:
            return self._session.map(self._correct_episode, episodes, "episodes")
        finally:
            gc.unfreeze()

    def account(self) -> dict[str, JsonValue]:
        """Requests, tokens and dollars of this run, and how often which fault was met."""
        return account_of(self._session.client)

    def close(self) -> None:
        """Let what is on its way arrive, and close the connections."""
        self._session.close()

    async def _correct_episode(self, episode: PrivilegedEpisode) -> Correction:
        trajectory = episode.trajectory
        work = _Work(episode=episode, gate=Gate(trajectory, episode.privileged))
        num_steps, error = len(trajectory.steps), None
        try:
            for window in self._asker.windows(num_steps):
                await self._correct_window(work, window)
        except ChatError as failure:
            error = str(failure)
        steps = {**work.rejected, **work.accepted}
        return Correction(
            trajectory_id=trajectory.id,
            spec_id=trajectory.spec.id,
            teacher=self.name,
            level=self._level,
            steps=() if error else tuple(steps[index] for index in range(num_steps)),
            usage=work.usage,
            error=error,
        )

    async def _correct_window(self, work: _Work, window: range) -> None:
        """Correct some steps in one conversation; halve them where prompt or reply are too long."""
        try:
            reply_was_too_long = await self._converse(work, window)
        except ContextLengthError as error:
            if len(window) == 1:
                work.reject(window.start, f"too long: {error}")
                return
            reply_was_too_long = True
        if reply_was_too_long:
            for half in halves(window):
                await self._correct_window(work, half)

    async def _converse(self, work: _Work, window: range) -> bool:
        """Ask until every step of the window is accepted, or the attempts are used up.

        Returns:
            Whether the reply was cut off, so that fewer steps at a time are to be asked for.

        Raises:
            ContextLengthError: the prompt is too long for the model.
            ChatError: the endpoint does not answer.
        """
        request, wanted = self._asker.request(work.episode, window), list(window)
        for attempt in range(self._params.max_attempts):
            reply = await self._session.client.complete(request)
            work.usage += self._session.client.usage(request, reply)
            complaints = self._judge(work, reply, wanted)
            if not complaints:
                return False
            if reply.was_cut_off and len(window) > 1:
                return True
            wanted = [index for index in wanted if index not in work.accepted]
            if attempt + 1 < self._params.max_attempts:
                request = request.again(reply.text, self._prompts.again(complaints, wanted))
        return False

    def _judge(self, work: _Work, reply: ChatReply, wanted: Sequence[int]) -> list[str]:
        """Accept what can be used; return a complaint for everything else, which is recorded as rejected for now."""
        advice = read_advice(reply.text, wanted)
        if advice is None:
            complaint, why = _unreadable(reply)
            for index in wanted:
                work.reject(index, why)
            return [complaint]
        complaints = []
        for index in wanted:
            why = self._take(work, index, advice.get(index))
            if why:
                complaints.append(f"Step {index + 1}: {why}")
        return complaints

    def _take(self, work: _Work, index: int, advice: Advice | None) -> str:
        """Accept the advice on one step and return "", or reject it and say why."""
        step = work.trajectory.steps[index]
        if advice is None and self._prompts.is_sparing:
            advice = Advice(reason=step.action.reason, command=step.action.command)
            is_left_alone = True
        else:
            is_left_alone = False
        if advice is None:
            why = "missing: the reply says nothing on this step"
            work.reject(index, why)
            return why
        command = match_command(advice.command, step.observation.admissible)
        correction = StepCorrection(
            step=step.index,
            reason=advice.reason,
            command=command,
            status=CorrectionStatus.KEPT if command == step.action.command else CorrectionStatus.CHANGED,
        )
        why = work.gate.why_rejected(correction, index) or ("" if command else "inadmissible: there is no action")
        if not why:
            work.accepted[index] = correction
            return ""
        work.reject(index, why, Advice(reason=advice.reason, command=command))
        if is_left_alone:  # the student's own step is no model for anyone; the teacher has nothing to mend in it
            return ""
        possible = step.observation.admissible if why.startswith("inadmissible") else None
        return f"{why}. Possible were: {'; '.join(possible)}" if possible else why


def teacher_scope(experiment: str) -> str:
    """On whose behalf the teachers of an experiment buy replies; its budget is kept over them."""
    return f"{experiment}/teacher"


def open_session(setup: TeacherSetup) -> ChatSession:
    """Open the endpoint of a teacher, for one experiment.

    Raises:
        ConfigError: no key, no journal, or a price file that cannot be read.
    """
    if setup.execution.journal is None:
        raise ConfigError("execution.journal is not set: there is no file to keep replies in. Give it a path.")
    return ChatSession(
        setup.execution.teacher,
        Path(setup.execution.journal),
        teacher_scope(setup.experiment),
        "execution.teacher",
        setup.say,
    )


def account_of(client: ChatClient) -> dict[str, JsonValue]:
    """What a client did in this run, for a record; `billed_usd` is None where a price is not known."""
    counts = client.counts
    return {
        "requests_billed": counts.billed.num_replies,
        "replies_from_journal": counts.num_from_journal,
        "billed_tokens": counts.billed.tokens,
        "billed_usd": None if counts.billed.num_unknown else counts.billed.usd,
        "faults": {kind.value: count for kind, count in sorted(counts.faults.items())},
    }


def halves(window: range) -> list[range]:
    """Two windows in place of one that is too long."""
    middle = (window.start + window.stop) // 2
    return [range(window.start, middle), range(middle, window.stop)]


def _unreadable(reply: ChatReply) -> tuple[str, str]:
    """What to tell the teacher about a reply without advice, and what to record."""
    if reply.refusal:
        return "You declined. This is a game for training software; nobody comes to harm.", "refused by the teacher"
    if reply.was_cut_off:
        return "Your answer was cut off. Be much shorter.", "cut off: the reply was too long"
    if not reply.text.strip():
        return "Your answer was empty.", "unreadable: the reply was empty"
    return "There was no JSON object of the given form in your answer.", "unreadable: no JSON of the given form"


def _fewer_and_fewer(num_before: int) -> Sequence[int]:
    """How many of the steps before a window to leave out: none, then ever more of the oldest, at last all."""
    shown = num_before
    counts = [0]
    while shown:
        shown //= 2
        counts.append(num_before - shown)
    return counts
