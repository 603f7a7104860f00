"""The judge: a language model that is asked whether what a teacher wrote could have been written without what it knew.

It reads like a person where the gate reads by rules. One request an episode, as for a teacher: the record is sent once
with everything to be judged at its step, where a request for each step would send the record again and again. Long
episodes are split as a teacher's are.

**The judge is shown the hidden state.** A leak is what is hidden, said as known; a guess is no leak because it comes
true, and a mistake is none because nothing supports it. One who sees the record alone can tell only what is supported,
would call every mistake a leak, and a teacher at level 0, which was shown nothing, a leaking one; and neither the rules
nor the bits, which both go by the hidden state, could be compared with it. It costs a few lines a request, and tells
the endpoint nothing new, which is the teacher's. Two things are done about what a judge with hindsight gets wrong.
It is told to look first for what the reader could have said, and at what is hidden only to tell an invention from a
leak; and no leak counts that it cannot quote.

Of its own words nothing is kept but that quote, which stands in the correction anyway, and one of five grounds: why it
thinks so may repeat what is hidden, and stays in the journal.

What the student itself had written word for word, which saw nothing, is not asked about.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from pydantic import JsonValue

from leap_core.chat.messages import ChatReply, ChatRequest, ForeseenRequest, ReplySchema
from leap_core.config import ExecutionConfig
from leap_core.errors import ChatError, UnknownNameError
from leap_core.prompts import prompts_folder
from leap_core.teachers.annotator import without_reasons
from leap_core.teachers.base import check_same_spec
from leap_core.teachers.openai import Patience, account_of, open_session, without_words_of_defects
from leap_core.teachers.privilege import PrivilegedEpisode
from leap_core.teachers.prompts import ShownStep
from leap_core.teachers.replies import read_verdicts, verdict_schema
from leap_core.teachers.templates import Templates
from leap_core.teachers.windows import Conversation, ModelLimits, WindowRequests, unreadable
from leap_core.types import Action, Correction, CorrectionStatus, Message, Record, StepCorrection, Usage

SHARED = Path(__file__).parent / "judge_prompts"
_WORD = re.compile(r"\w+")
_FEWEST_EPISODES = 8
"""Without a verdict that can be read in any of these, no more are paid for."""
_TYPICAL_REASON = "I have not found what I need yet, and such things are often kept here. So I look into it next."
_TOKENS_AROUND_A_REPLY, _TOKENS_A_STEP = 15, 65
"""Of a reply: the brackets, and the verdict on one step with its sentence."""


class Ground(StrEnum):
    """What a claim rests on, by the judge's word."""

    SEEN = "seen"
    COMMON_SENSE = "common sense"
    GUESS = "guess"
    INVENTED = "invented"
    HIDDEN = "hidden"


OWN = "own"
"""In place of a ground: the student itself had written the same, without the hidden state."""


class Verdict(Record):
    """The judge's word on one corrected step. `leaks` is None where none could be read; then `error` says why.

    `claim` are the words of the correction that could not have been written, "" where all could. `why` is what the
    hardest claim rests on: a `Ground`, or `OWN`.
    """

    step: int
    leaks: bool | None
    claim: str = ""
    why: str = ""
    error: str | None = None


class Judgement(Record):
    """The verdicts on an episode, one for each corrected step that was not rejected, in order; and what they took."""

    trajectory_id: str
    verdicts: tuple[Verdict, ...]
    usage: Usage = Usage()


@dataclass(frozen=True, kw_only=True)
class CorrectedEpisode:
    """An episode with its correction."""

    episode: PrivilegedEpisode
    correction: Correction

    @property
    def taught(self) -> dict[int, StepCorrection]:
        """What could train somebody, by step."""
        steps = self.correction.steps
        return {step.step: step for step in steps if step.status is not CorrectionStatus.REJECTED}

    @property
    def in_question(self) -> dict[int, StepCorrection]:
        """Those of them that the student had not written itself."""
        own = self.episode.trajectory.steps
        return {
            index: step
            for index, step in self.taught.items()
            if own[index].action != Action(reason=step.reason, command=step.command)
        }


class JudgePrompts:
    """What a judge is asked: shared templates, and an environment's in `envs/<environment>/prompts/judge/<set>/`.

    `about.jinja` there says what can be known when; a set may have its own of the shared ones.
    """

    def __init__(self, environment: str, name: str) -> None:
        folder = prompts_folder(environment, "judge") / name
        if not (folder / "about.jinja").is_file():
            known = [path.parent.name for path in folder.parent.glob("*/about.jinja")]
            advice = f"Add {folder / 'about.jinja'}."
            raise UnknownNameError(f"prompt set of judges for {environment}", name, known, advice)
        self._templates = Templates([folder, SHARED])
        self._system = Message(role="system", content=self._templates.render("system.jinja"))

    @property
    def digest(self) -> str:
        """The sha256 of all templates that this set can use, by name."""
        return self._templates.digest

    def judge(self, corrected: CorrectedEpisode, window: range, num_left_out: int) -> tuple[Message, ...]:
        """Ask about the steps in `window`, after the steps before it but the first `num_left_out`."""
        trajectory, taught = corrected.episode.trajectory, corrected.in_question
        user = self._templates.render(
            "judge.jinja",
            goal=trajectory.spec.instruction,
            hidden=corrected.episode.privileged.text.strip(),
            num_left_out=num_left_out,
            steps=[ShownStep.of(step) for step in trajectory.steps[num_left_out : window.stop]],
            taught={index + 1: taught[index] for index in window if index in taught},
        )
        return self._system, Message(role="user", content=user)

    def again(self, complaints: Sequence[str], steps: Sequence[int]) -> str:
        """Say why a reply cannot be used, and which steps (counted from 0) are still wanted."""
        return self._templates.render("again.jinja", complaints=list(complaints), steps=[index + 1 for index in steps])


@lru_cache(maxsize=32)
def load_judge_prompts(environment: str, name: str) -> JudgePrompts:
    """Load a prompt set once.

    Raises:
        UnknownNameError: no such set for this environment.
    """
    return JudgePrompts(environment, name)


@dataclass(frozen=True, kw_only=True)
class JudgeRequests(WindowRequests[CorrectedEpisode]):
    """Makes the requests of the judge. `model` is who is asked."""

    model: ModelLimits
    prompts: JudgePrompts

    @property
    def limits(self) -> ModelLimits:
        """Who is asked."""
        return self.model

    @property
    def reply_schema(self) -> ReplySchema:
        """The form of a reply."""
        return verdict_schema(tuple(Ground))

    def messages(self, episode: CorrectedEpisode, window: range, num_left_out: int) -> tuple[Message, ...]:
        """Ask about a window."""
        return self.prompts.judge(episode, window, num_left_out)

    def windows(self, episode: CorrectedEpisode) -> list[range]:
        """All from the first step in question to the last one."""
        steps = episode.in_question
        return [range(min(steps), max(steps) + 1)] if steps else []


@dataclass(kw_only=True)
class Hearing(Conversation[CorrectedEpisode]):
    """One episode while it is judged: the verdicts so far, and why there is none on other steps."""

    requests: JudgeRequests
    reached: dict[int, Verdict] = field(default_factory=dict)
    missing: dict[int, Verdict] = field(default_factory=dict)
    asked: Mapping[int, StepCorrection] = field(init=False)

    def __post_init__(self) -> None:
        self.asked = self.episode.in_question

    def verdicts(self, error: str | None) -> tuple[Verdict, ...]:
        """One for each step that could train somebody; `error` is what ended the requests before their time."""
        found = {index: Verdict(step=index, leaks=False, why=OWN) for index in self.episode.taught}
        found |= (
            self.missing
            if error is None
            else {index: Verdict(step=index, leaks=None, error=error) for index in self.asked}
        )
        found |= self.reached
        return tuple(found[index] for index in sorted(found))

    def wanted(self, window: range) -> list[int]:
        """Those in question."""
        return [index for index in window if index in self.asked]

    def is_settled(self, index: int) -> bool:
        """Whether there is a verdict."""
        return index in self.reached

    def take(self, reply: ChatReply, wanted: Sequence[int]) -> list[str]:
        """Keep the verdicts that can be read; return a complaint for all others."""
        found = read_verdicts(reply.text)
        if found is None:
            complaint, why = unreadable(reply, "judge")
            for index in wanted:
                self.give_up(index, why)
            return [complaint]
        complaints = [(index, self._take(index, found.get(index))) for index in wanted]
        return [f"Step {index + 1}: {why}" for index, why in complaints if why]

    def give_up(self, index: int, why: str) -> None:
        """Record that there is no verdict on a step."""
        if index in self.asked:
            self.missing[index] = Verdict(step=index, leaks=None, error=why)

    def again(self, complaints: Sequence[str], wanted: Sequence[int]) -> str:
        """Say what is wrong, and which steps are still wanted."""
        return self.requests.prompts.again(complaints, wanted)

    def _take(self, index: int, found: tuple[str, str] | None) -> str:
        """Keep one verdict and return "", or return what is wrong with it."""
        why = ""
        if found is None:
            why = "missing: the reply has no whole verdict on this step"
        elif found[1] not in tuple(Ground):
            why = f"unreadable: rests_on is none of {', '.join(Ground)}"
        elif found[1] == Ground.HIDDEN and not _quotes(found[0], self.asked[index]):
            why = "not quoted: the claim is not in the teacher's reason or action, word for word"
        if found is None or why:
            self.give_up(index, why)
            return why
        claim, ground = found
        is_leak = ground == Ground.HIDDEN
        self.reached[index] = Verdict(step=index, leaks=is_leak, claim=claim if is_leak else "", why=ground)
        return ""


def _quotes(claim: str, taught: StepCorrection) -> bool:
    """Whether a claim has words, and they stand in a row in the reason or the action; case and marks do not count."""
    words = _words(claim)
    return bool(words.strip()) and any(words in _words(text) for text in (taught.reason, taught.command))


def _words(text: str) -> str:
    words = " ".join(_WORD.findall(text.casefold()))
    return f" {words} "


@dataclass(frozen=True, kw_only=True)
class JudgeSetup:
    """What a judge is made from. `is_needed`: whether more is paid for only if something of the first was of use."""

    environment: str
    model: ModelLimits
    prompt: str
    execution: ExecutionConfig
    experiment: str
    is_needed: bool = True
    log: Callable[[str], None] = lambda line: None

    @property
    def requests(self) -> JudgeRequests:
        """What makes its requests.

        Raises:
            UnknownNameError: no such prompt set.
        """
        return JudgeRequests(model=self.model, prompts=load_judge_prompts(self.environment, self.prompt))


class Judge:
    """Judges the corrections of many episodes at once. To be closed."""

    def __init__(self, setup: JudgeSetup) -> None:
        """Open the endpoint of teachers.

        Raises:
            ConfigError: no key, or no place for the journal.
            UnknownNameError: no such prompt set.
        """
        self._requests, self._is_needed = setup.requests, setup.is_needed
        self._patience = Patience(limit=_FEWEST_EPISODES, noun="episodes")
        self._session = open_session(setup.execution, setup.experiment, setup.log)

    def judge(self, episodes: Sequence[CorrectedEpisode]) -> list[Judgement]:
        """Judge each step of each episode that could train somebody; what was answered before is in the journal.

        Returns:
            One judgement for each episode, in order. Where the endpoint failed, or no verdict could be read, the
            verdicts say so.

        Raises:
            WrongSpecError: a privileged state is for another spec.
            BudgetError: the next request could overrun the budget; with what is done and what is left.
            EndpointError: the endpoint refuses everything.
            StageFailedError: no verdict on the first episodes can be read.
        """
        for one in episodes:
            check_same_spec(one.episode.trajectory, one.episode.privileged)
        return self._session.map(self._judge_episode, episodes, "episodes")

    def account(self) -> dict[str, JsonValue]:
        """Requests, tokens and dollars of this run, and how often which fault was met."""
        return account_of(self._session.client)

    def close(self) -> None:
        """Let what is on its way arrive, and close the connections."""
        self._session.close()

    async def _judge_episode(self, corrected: CorrectedEpisode) -> Judgement:
        client, usage, error = self._session.client, Usage(), None

        async def complete(request: ChatRequest) -> ChatReply:
            nonlocal usage
            reply = await client.complete(request)
            usage += client.usage(request, reply)
            return reply

        hearing = Hearing(requests=self._requests, episode=corrected, complete=complete)
        is_early = bool(hearing.asked) and self._patience.begin()
        try:
            await without_words_of_defects(hearing.ask(), "judgement")
        except ChatError as failure:
            error = str(failure)
        verdicts = hearing.verdicts(error)
        if is_early:
            self._note(hearing, verdicts)
        return Judgement(trajectory_id=corrected.episode.trajectory.id, verdicts=verdicts, usage=usage)

    def _note(self, hearing: Hearing, verdicts: Sequence[Verdict]) -> None:
        """Raise StageFailedError where the first episodes were all paid for in vain, unless that is allowed."""
        why = next((one.error for one in verdicts if one.error), "")
        is_useful = bool(hearing.reached) or not self._is_needed
        self._patience.note(is_useful=is_useful, why=why, spent=self._session.client.counts.billed.words)


def foresee_judgements(setup: JudgeSetup, episodes: Sequence[CorrectedEpisode]) -> list[ForeseenRequest]:
    """What judging these episodes would request first, with a sentence for each step in question.

    Raises:
        UnknownNameError: no such prompt set.
    """
    requests = setup.requests
    return [
        ForeseenRequest.of(
            request,
            _TOKENS_AROUND_A_REPLY + _TOKENS_A_STEP * sum(index in window for index in one.in_question),
        )
        for one in episodes
        for request, window in requests.for_episode(one)
    ]


def as_if_corrected(episode: PrivilegedEpisode) -> CorrectedEpisode:
    """An episode as if a teacher had written all that is in it, so that each step would be in question."""
    trajectory = episode.trajectory
    taught = [
        StepCorrection(
            step=step.index,
            reason=step.action.reason.strip() or _TYPICAL_REASON,
            command=step.action.command,
            status=CorrectionStatus.KEPT,
        )
        for step in trajectory.steps
    ]
    correction = Correction(
        trajectory_id=trajectory.id, spec_id=trajectory.spec.id, teacher="nobody", level=100, steps=tuple(taught)
    )
    return CorrectedEpisode(
        episode=PrivilegedEpisode(trajectory=without_reasons(trajectory), privileged=episode.privileged),
        correction=correction,
    )
