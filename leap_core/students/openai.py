"""The student behind an OpenAI-compatible endpoint: any model that is served plays many episodes at once.

With weights of its own (`student.serve = "vllm"`) it is started for the length of a stage. Without, this is also the
ReAct baseline: any model, prompted with the default prompt set and judged by the same stage as every student.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field, JsonValue

from leap_core.chat.messages import ChatRequest, ForeseenRequest, ReplySchema
from leap_core.chat.session import ChatSession
from leap_core.config import ExecutionConfig, Section, StudentConfig, read_params
from leap_core.errors import ChatError, ConfigError, ContextLengthError
from leap_core.prompts import format_reply, read_reply
from leap_core.settings.bounds import Text
from leap_core.students.base import ActReply, ActRequest
from leap_core.students.encoding import load_tokenizer, opened_thought, prepare
from leap_core.students.serving import serve
from leap_core.types import Usage

STUDENT_SCOPE = "student"
"""On whose behalf students pay for replies: all below one home share a budget."""
_SEED_BITS = 31
_TOKENS_A_REPLY = 80
"""A reason and an action: a sentence or three."""


class OpenAIStudentParams(Section):
    """Settings of this student, `student.params`. All of them bear identity."""

    model: Text | None = Field(None, description="Name of the model at the endpoint; none: student.model.")


class OpenAIStudent:
    """Answers turns with replies of an endpoint. They are journalled: an episode that is played again costs nothing."""

    name = "openai"

    def __init__(
        self,
        path: Path | str,
        config: StudentConfig,
        execution: ExecutionConfig,
        temperature: float,
        log: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Open the endpoint; with `student.serve`, start a server of the weights at `path` first.

        `path` is the directory of weights of its own, or, as text, the name of a model from outside. Long waits for
        the endpoint go to `log`.

        Raises:
            ConfigError: a setting is wrong, or there is no key.
            MissingPackageError: what should serve the weights is not installed.
            StudentError: the server did not start.
        """
        self._model = _name_at_endpoint(path, config)
        if execution.journal is None:
            raise ConfigError("execution.journal is not set: there is no file to keep replies in. Give it a path.")
        if config.out_of_context == "truncate":
            raise ConfigError(
                "student.out_of_context = 'truncate' is for a student in process: what an endpoint reads is its own to "
                "cut. Set it to 'fail'."
            )
        self._config, self._temperature = config, temperature
        self._tokenizer: Any = None  # of weights of our own; what others are prompted with is theirs to render
        endpoint = execution.student
        with ExitStack() as opened:
            if config.serve is not None:
                base_url, self._model = opened.enter_context(serve(config.serve, path, execution))
                endpoint = endpoint.with_(base_url=base_url)
            if config.serve is not None or isinstance(path, Path):
                self._tokenizer = load_tokenizer(path)
            session = ChatSession(endpoint, Path(execution.journal), STUDENT_SCOPE, "execution.student", log)
            self._session = opened.enter_context(session)
            self._opened = opened.pop_all()

    @classmethod
    def foresee(
        cls, path: Path | str, config: StudentConfig, turns: Sequence[ActRequest], reply_tokens: int | None
    ) -> list[ForeseenRequest]:
        """The requests for these turns, with replies of `reply_tokens`; None: of a sentence or three.

        Raises:
            ConfigError: a setting is wrong.
        """
        model = _name_at_endpoint(path, config)
        requests = [_chat_request(model, config, config.temperature, turn) for turn in turns]
        return [ForeseenRequest.of(request, reply_tokens or _TOKENS_A_REPLY) for request in requests]

    def act(self, requests: Sequence[ActRequest]) -> list[ActReply]:
        """Answer each request, in order, all at once.

        Raises:
            EndpointError: the endpoint refuses everything.
            BudgetError: the next request could overrun the budget.
        """
        return self._session.map(self._answer, requests, "turns")

    def submit(self, requests: Sequence[ActRequest]) -> None:
        """Send the requests; `collect` returns the replies."""
        for request in requests:
            self._session.start(request.slot, self._answer(request))

    def collect(self) -> dict[str, ActReply]:
        """Return the replies that are there, by slot; wait until there is one. Raises what `act` does."""
        return self._session.finished()

    def release(self, slots: Sequence[str]) -> None:
        """Nothing is held for an episode: what prompts have in common is the server's to remember."""

    def close(self) -> None:
        """Close the connections, and end the server if it is ours."""
        self._opened.close()

    async def _answer(self, request: ActRequest) -> ActReply:
        if self._tokenizer is not None:  # then we know the form that these weights were trained on
            request = replace(request, messages=prepare(self._tokenizer, request.messages))
        sent = _chat_request(self._model, self._config, self._temperature, request)
        try:
            reply = await self._session.client.complete(sent)
        except ContextLengthError:
            return ActReply(text="", usage=Usage(), out_of_context=True)
        except ChatError as error:
            return ActReply(text="", usage=Usage(), error=str(error))
        text = reply.text if self._tokenizer is None else opened_thought(self._tokenizer) + reply.text
        return ActReply(text=_as_reply(text, request.listed), usage=self._session.client.usage(sent, reply))


def _name_at_endpoint(path: Path | str, config: StudentConfig) -> str:
    """What the endpoint calls the model at `path`; raise ConfigError where the settings contradict each other."""
    params = read_params(config.params, OpenAIStudentParams, "student.params")
    if params.model is not None and isinstance(path, Path):
        raise ConfigError(
            f"student.params.model names {params.model!r} for all iterations, but the weights of {path} are to "
            "play. Set student.serve, or leave student.params.model out and serve them under their path."
        )
    return params.model or str(path)


def _chat_request(model: str, config: StudentConfig, temperature: float, turn: ActRequest) -> ChatRequest:
    """One turn as a request to the endpoint."""
    return ChatRequest(
        model=model,
        messages=turn.messages,
        max_tokens=config.max_new_tokens,
        temperature=temperature,
        top_p=config.top_p if config.top_p < 1 else None,
        seed=turn.seed % 2**_SEED_BITS if temperature > 0 else None,
        reply_schema=_action_schema(turn.admissible) if turn.admissible else None,
    )


def _action_schema(admissible: Sequence[str]) -> ReplySchema:
    """A reason, and one of the admissible commands."""
    definition: dict[str, JsonValue] = {
        "type": "object",
        "properties": {"reason": {"type": "string"}, "action": {"type": "string", "enum": list(admissible)}},
        "required": ["reason", "action"],
        "additionalProperties": False,
    }
    return ReplySchema(name="action", definition=definition)


def _as_reply(text: str, listed: Sequence[str] | None) -> str:
    """An answer in the form that students are taught, by schema or in its own words; as it came if it names no action.

    Nobody taught the form to a model that plays as it is: what it means counts, not its stars and full stops.
    """
    action = read_reply(text, listed)
    return text if action is None else format_reply(action)
