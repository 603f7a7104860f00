"""The teacher behind an OpenAI-compatible endpoint: a language model that is shown the hidden state.

One call corrects a whole episode, as in the paper, or one step. A reply that cannot be used is asked for again with the
reason, a few times; what then still fails is recorded as rejected. Replies are journalled, so none is paid for twice.
"""

import gc
from collections.abc import Sequence
from pathlib import Path

from pydantic import JsonValue

from leap_core.chat.client import ChatClient
from leap_core.chat.messages import ForeseenRequest
from leap_core.chat.session import ChatSession
from leap_core.config import CorrectionConfig, EndpointName, ExecutionConfig, StudentConfig
from leap_core.errors import ChatError, ConfigError, TooMuchError
from leap_core.teachers.base import TeacherSetup, check_same_spec
from leap_core.teachers.conversation import Asker, OpenAITeacherParams
from leap_core.teachers.desk import Desk, DeskSetup
from leap_core.teachers.patience import Patience
from leap_core.teachers.privilege import PrivilegedEpisode, shuffle_privilege
from leap_core.teachers.prompts import load_teacher_prompts
from leap_core.types import Correction, CorrectionStatus, StepCorrection, Usage

_FEWEST_EPISODES = 8
"""Without a usable step in any of these, no more are paid for."""
_TOKENS_AROUND_A_REPLY, _TOKENS_A_STEP = 60, 80
"""Of a reply: the summary with the brackets, and the reason and action of one step."""


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
        self._level, self._config = setup.config.level, setup.config
        self._patience = Patience(limit=_FEWEST_EPISODES, noun="episodes")
        load_teacher_prompts(setup.suite.name, self._params.prompt)
        self._session = open_session(setup)
        desk = DeskSetup(
            environment=setup.suite.name,
            params=self._params,
            level=self._level,
            address=self._session.client.address,
            check_leaks=setup.config.check_leaks,
        )
        self._desk = self._session.run(Desk.open(desk, without=_key_variables(setup.execution)))

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
        """What correcting these episodes would ask first; a reply is taken to say a sentence or three for each step."""
        params = OpenAITeacherParams.read(setup.config.params)
        prompts = load_teacher_prompts(setup.suite.name, params.prompt)
        asker = Asker(params=params, prompts=prompts, level=setup.config.level)
        return [
            ForeseenRequest.of(request, _TOKENS_AROUND_A_REPLY + _TOKENS_A_STEP * len(window))
            for one in episodes
            for request, window in asker.requests(one)
        ]

    def correct(self, episodes: Sequence[PrivilegedEpisode]) -> list[Correction]:
        """Correct each episode; what was answered before comes from the journal.

        Raises:
            WrongSpecError: a privileged state is for another spec.
            BudgetError: the next request could overrun the budget; says what is done and what is left.
            EndpointError: the endpoint refuses everything.
            StageFailedError: nothing of the first episodes' corrections can be used.
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
        try:
            self._session.run(self._desk.close())
        finally:
            self._session.close()

    async def _correct_episode(self, episode: PrivilegedEpisode) -> Correction:
        usage, error, is_early = Usage(), None, self._patience.begin()
        talk = await self._desk.begin(episode)
        try:
            while talk.asked is not None:
                request, key = talk.asked
                try:
                    reply = await self._session.client.complete(request, key)
                except TooMuchError as too_long:
                    await talk.is_too_long(str(too_long))
                else:
                    usage += self._session.client.usage(request, reply)
                    await talk.answer(reply)
        except ChatError as failure:
            error = str(failure)
        finally:
            talk.drop()
        if is_early:
            self._note(talk.steps, error)
        return Correction(
            trajectory_id=episode.trajectory.id,
            spec_id=episode.trajectory.spec.id,
            teacher=self.name,
            level=self._level,
            steps=talk.steps,
            usage=usage,
            error=error,
        )

    def _note(self, steps: Sequence[StepCorrection], error: str | None) -> None:
        """Raise StageFailedError where the first episodes were all paid for in vain, unless that is allowed."""
        allowed = self._config.max_error_share if error else self._config.max_reject_share
        is_useful = any(step.status is not CorrectionStatus.REJECTED for step in steps)
        why = error or next((step.why for step in steps if step.why), "")
        spent = self._session.client.counts.billed.words
        self._patience.note(is_useful=is_useful or allowed == 1, why=why, spent=spent)


def _key_variables(execution: ExecutionConfig) -> set[str]:
    return {execution.teacher.api_key_env, execution.student.api_key_env}


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
        setup.log,
    )


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
