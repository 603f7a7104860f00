"""The teacher behind an OpenAI-compatible endpoint: a language model that is shown the hidden state.

One call corrects a whole episode, as in the paper, or one step. A reply that cannot be used is requested again with
the reason, a few times; what then still fails is recorded as rejected. The journal sees that none is paid for twice.
"""

import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import JsonValue

from leap_core.chat.client import ChatClient
from leap_core.chat.messages import ChatReply, ChatRequest, ForeseenRequest
from leap_core.chat.session import ChatSession
from leap_core.config import CorrectionConfig, EndpointName, ExecutionConfig, StudentConfig
from leap_core.errors import ChatError, ConfigError, LeapError, StageFailedError
from leap_core.teachers.base import Teacher, TeacherSetup, check_same_spec
from leap_core.teachers.conversation import Corrector, OpenAITeacherParams, TeacherRequests
from leap_core.teachers.privilege import PrivilegedEpisode, shuffle_privilege
from leap_core.teachers.prompts import load_teacher_prompts
from leap_core.types import Correction, CorrectionStatus, StepCorrection, Usage

T = TypeVar("T")
_FEWEST_EPISODES = 8
"""Without a usable step in any of these, no more are paid for."""
_TOKENS_AROUND_A_REPLY, _TOKENS_A_STEP = 60, 80
"""Of a reply: the summary with the brackets, and the reason and action of one step."""
_NUM_FRAMES = 3
"""Of a traceback: the last ones, without their values, which may be privileged."""


@dataclass(kw_only=True)
class Patience:
    """Ends a stage in which nothing of the `limit` items that began first (`noun`, in the plural) could be used.

    A model whose first replies are all of no use will hardly do better. Those that began first, not those that ended
    first: refusals come sooner than answers, and would be all that is seen of a model that refuses now and then. One
    use is enough to go on; the shares that a stage allows are for its end.
    """

    limit: int
    noun: str
    num_begun: int = 0
    num_useless: int = 0

    def begin(self) -> bool:
        """Count an item that begins; returns whether it is one of the first, whose end is to be noted by `note`."""
        self.num_begun += 1
        return self.num_begun <= self.limit

    def note(self, *, is_useful: bool, why: str, spent: str) -> None:
        """Count the end of one of the first: `why` it is of no use, and what was `spent` on all so far.

        Raises:
            StageFailedError: it was the last of them, and none was of use.
        """
        self.num_useless += not is_useful
        if self.num_useless == self.limit:
            raise StageFailedError(
                f"Nothing that came for the first {self.limit} {self.noun} could be used, so no more are paid for; "
                f"{spent} so far in this run. The last cause: {why}. Look at the model, its limits and its prompts, "
                "then run the same command again: what was paid for is kept."
            )


class OpenAITeacher(Teacher):
    """Has a language model correct. Many episodes are under way at once."""

    name = "openai"
    keeps_replies = True

    def __init__(self, setup: TeacherSetup) -> None:
        """Open the endpoint.

        Raises:
            ConfigError: a setting is wrong, or there is no key.
            UnknownNameError: no prompts for this environment.
        """
        self._params = OpenAITeacherParams.read(setup.config.params)
        self._level, self._config = setup.config.level, setup.config
        self._patience = Patience(limit=_FEWEST_EPISODES, noun="episodes")
        self._requests = _requests(setup, self._params)
        self._session = open_session(setup.execution, setup.experiment, setup.log)

    @classmethod
    def prompts_digest(cls, config: CorrectionConfig, environment: str) -> str:
        """The sha256 of the templates."""
        return load_teacher_prompts(environment, OpenAITeacherParams.read(config.params).prompt).digest

    @classmethod
    def pays_at(cls, student: StudentConfig) -> EndpointName:
        """That of teachers, whoever the student is."""
        return "teacher"

    @classmethod
    def foresee(cls, setup: TeacherSetup, episodes: Sequence[PrivilegedEpisode]) -> list[ForeseenRequest]:
        """What correcting these episodes would request first, with replies of a sentence or three for each step."""
        requests = _requests(setup, OpenAITeacherParams.read(setup.config.params))
        return [
            ForeseenRequest.of(request, _TOKENS_AROUND_A_REPLY + _TOKENS_A_STEP * len(window))
            for one in episodes
            for request, window in requests.for_episode(one)
        ]

    def correct(self, episodes: Sequence[PrivilegedEpisode]) -> list[Correction]:
        """Correct each episode; what was answered before comes from the journal.

        Raises:
            WrongSpecError: a privileged state is for another spec.
            BudgetError: the next request could overrun the budget; with what is done and what is left.
            EndpointError: the endpoint refuses everything.
            StageFailedError: nothing of the first episodes' corrections can be used.
        """
        for one in episodes:
            check_same_spec(one.trajectory, one.privileged)
        if self._params.shuffled_privilege:
            episodes = shuffle_privilege(episodes)
        return self._session.map(self._correct_episode, episodes, "episodes")

    def account(self) -> dict[str, JsonValue]:
        """Requests, tokens and dollars of this run, and how often which fault was met."""
        return account_of(self._session.client)

    def close(self) -> None:
        """Let what is on its way arrive, and close the connections."""
        self._session.close()

    async def _correct_episode(self, episode: PrivilegedEpisode) -> Correction:
        usage, steps, error, is_early = Usage(), tuple[StepCorrection, ...](), None, self._patience.begin()

        async def complete(request: ChatRequest) -> ChatReply:
            nonlocal usage
            reply = await self._session.client.complete(request)
            usage += self._session.client.usage(request, reply)
            return reply

        try:
            steps = await without_words_of_defects(self._steps(episode, complete), "correction")
        except ChatError as failure:
            error = str(failure)
        if is_early:
            self._note(steps, error)
        return Correction(
            trajectory_id=episode.trajectory.id,
            spec_id=episode.trajectory.spec.id,
            teacher=self.name,
            level=self._level,
            steps=steps,
            usage=usage,
            error=error,
        )

    async def _steps(
        self, episode: PrivilegedEpisode, complete: Callable[[ChatRequest], Awaitable[ChatReply]]
    ) -> tuple[StepCorrection, ...]:
        """Correct the steps; raise LeapErrors as `complete` raised them."""
        corrector = Corrector(
            requests=self._requests, episode=episode, complete=complete, check_leaks=self._config.check_leaks
        )
        return await corrector.correct()

    def _note(self, steps: Sequence[StepCorrection], error: str | None) -> None:
        """Raise StageFailedError where the first episodes were all paid for in vain, unless that is allowed."""
        allowed = self._config.max_error_share if error else self._config.max_reject_share
        is_useful = any(step.status is not CorrectionStatus.REJECTED for step in steps)
        why = error or next((step.why for step in steps if step.why), "")
        spent = self._session.client.counts.billed.words
        self._patience.note(is_useful=is_useful or allowed == 1, why=why, spent=spent)


def _requests(setup: TeacherSetup, params: OpenAITeacherParams) -> TeacherRequests:
    prompts = load_teacher_prompts(setup.suite.name, params.prompt)
    return TeacherRequests(params=params, prompts=prompts, level=setup.config.level)


async def without_words_of_defects(work: Awaitable[T], noun: str) -> T:
    """Do `work`, which is a `noun`. The words of an error that is a defect may quote what is privileged: they end here.

    Raises:
        LeapError: as `work` raised it, or where a defect is in the code.
    """
    try:
        return await work
    except LeapError:
        raise
    except Exception as error:  # whatever a template, a parser or a record raises may quote the hidden state
        defect = _place_of(error, noun)
    raise LeapError(defect)  # not above, where it would take the error along as its context


def _place_of(error: Exception, noun: str) -> str:
    """What happened and where, without any words of the error's."""
    frames = traceback.extract_tb(error.__traceback__)[-_NUM_FRAMES:]
    places = ", called from ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
    return f"A {noun} failed with {type(error).__name__} at {places}. This is a bug in the program."


def teacher_scope(experiment: str) -> str:
    """On whose behalf the teachers of an experiment pay for replies: its budget is kept over them."""
    return f"{experiment}/teacher"


def open_session(execution: ExecutionConfig, experiment: str, log: Callable[[str], None]) -> ChatSession:
    """Open the endpoint of a teacher, for one experiment.

    Raises:
        ConfigError: no key, no journal, or a price file that cannot be read.
    """
    if execution.journal is None:
        raise ConfigError("execution.journal is not set: there is no file to keep replies in. Give it a path.")
    return ChatSession(execution.teacher, Path(execution.journal), teacher_scope(experiment), log=log)


def account_of(client: ChatClient) -> dict[str, JsonValue]:
    """What a client did in this run, for a record; `billed_usd` is None where a price is not known."""
    counts = client.counts
    return {
        "requests_billed": counts.billed.num_replies,
        "replies_from_journal": counts.num_from_journal,
        "billed_tokens": counts.billed.tokens,
        "replies_with_estimated_tokens": counts.num_doubted,
        "billed_usd": None if counts.billed.num_unknown else counts.billed.usd,
        "faults": {kind.value: count for kind, count in sorted(counts.faults.items())},
    }
