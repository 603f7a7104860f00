"""Requests and replies. A request knows nothing of endpoints, keys or limits."""

from functools import cached_property
from typing import Literal

from pydantic import JsonValue, SerializerFunctionWrapHandler, model_serializer

from leap_core.types import Message, Record


class ReplySchema(Record):
    """The JSON schema that a reply must follow, where the endpoint can enforce one."""

    name: str
    definition: dict[str, JsonValue]

    @cached_property
    def num_characters(self) -> int:
        """Length of the schema as text."""
        return len(str(self.definition))


class ChatRequest(Record):
    """All that decides a reply. `max_tokens` limits the reply.

    `temperature` and `top_p` None are the endpoint's own default.
    """

    model: str
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    reply_schema: ReplySchema | None = None

    @model_serializer(mode="wrap")
    def _without_what_is_not_set(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Replies that were paid for before there was this parameter are found by the same hash."""
        content: dict[str, object] = write(self)
        return content if self.top_p is not None else {k: v for k, v in content.items() if k != "top_p"}

    @property
    def num_characters(self) -> int:
        """Length of all messages, and of the schema, which endpoints count as part of the prompt."""
        schema = self.reply_schema.num_characters if self.reply_schema else 0
        return schema + sum(len(message.content) for message in self.messages)

    def again(self, reply: str, complaint: str) -> "ChatRequest":
        """The same conversation continued: the reply that cannot be used, and why."""
        answer = Message(role="assistant", content=reply or "(no reply)")
        return self.with_(messages=(*self.messages, answer, Message(role="user", content=complaint)))


class ForeseenRequest(Record):
    """A request that would be sent: the length of its prompt with the schema, and what its reply may take."""

    model: str
    num_messages: int
    num_characters: int
    completion_tokens: int

    @classmethod
    def of(cls, request: ChatRequest, reply_tokens: int) -> "ForeseenRequest":
        """Foresee a reply of `reply_tokens`, or of the request's limit where that is less."""
        return cls(
            model=request.model,
            num_messages=len(request.messages),
            num_characters=request.num_characters,
            completion_tokens=min(reply_tokens, request.max_tokens),
        )


class ChatReply(Record):
    """One reply, as it is kept. Tokens are the endpoint's own count; `is_counted` is False where it gave none.

    `finish` is "length" where the limit on tokens cut the reply off. `refusal` is what a model says that declines.
    `cached_tokens` are the part of `prompt_tokens` that the endpoint had in its cache and bills at a lower price.
    """

    text: str
    finish: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    is_counted: bool = True
    refusal: str | None = None
    tariff: Literal["standard", "batch"] = "standard"

    @property
    def was_cut_off(self) -> bool:
        """Whether the limit on tokens ended the reply."""
        return self.finish == "length"
