"""One endpoint: a request as it understands it, and its answer as a reply or a fault."""

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from leap_core.chat.faults import Fault, FaultKind, fault_of_status, presentable
from leap_core.chat.keys import read_key
from leap_core.chat.messages import ChatReply, ChatRequest
from leap_core.chat.reading import read_completion, status_of_error, words_of
from leap_core.config import EndpointConfig
from leap_core.errors import ConfigError
from leap_core.settings.addresses import what_is_wrong_with
from leap_core.text.outside import read_json

_OPENAI = "https://api.openai.com/v1"
_PAYERS = {"OPENAI_ORG_ID": "OpenAI-Organization", "OPENAI_PROJECT_ID": "OpenAI-Project"}
"""Whose account pays: sent to OpenAI alone."""
_OTHER_LIMIT = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
"""What the limit on tokens is called at endpoints that do not know it by this name."""


def address_of(config: EndpointConfig) -> str:
    """Where an endpoint is, up to and with /v1.

    Raises:
        ConfigError: OPENAI_BASE_URL decides, and holds no address.
    """
    address = config.base_url or os.environ.get("OPENAI_BASE_URL") or _OPENAI
    why = what_is_wrong_with(address)
    if why is not None:
        raise ConfigError(f"The environment variable OPENAI_BASE_URL {why}. Mend it, or set base_url.")
    return address.rstrip("/")


def find_key(config: EndpointConfig) -> str:
    """Read the key of an endpoint from the environment; empty where there is none and none is needed.

    Raises:
        ConfigError: OpenAI itself is meant and there is no key, or it can be none.
    """
    address, key = address_of(config), read_key(config.api_key_env)
    if not key and address == _OPENAI:
        raise ConfigError(
            f"No key for {address}: the environment variable {config.api_key_env} is not set. Set it (never write a "
            "key into a preset), name another variable with api_key_env, or point base_url to a server of your own."
        )
    return key


class Endpoint:
    """One address and one key. One object serves one event loop."""

    def __init__(self, config: EndpointConfig, doubt: Callable[[str], None]) -> None:
        """Read the key from the environment.

        `doubt` is called for every reply with impossible counts of tokens, with these counts.

        Raises:
            ConfigError: OpenAI itself is meant and there is no key, or key, address or proxy are unusable.
        """
        from leap_core.chat.connection import Connection  # imports `openai`, which takes a second

        self.address, key = address_of(config), find_key(config)
        self.has_key = bool(key)
        self._doubt = doubt
        headers = _headers(config, self.address, key)
        self._connection = Connection(self.address, headers, config.query, config.timeout_s)
        self.api = self._connection.client
        """The package's client, for calls `with_raw_response` that `content_of` awaits."""
        self._limit_name = "max_completion_tokens" if self.address == _OPENAI else "max_tokens"
        self._left_out: set[str] = set()

    async def send(self, request: ChatRequest) -> ChatReply:
        """Send a request once, or once more for each parameter that the endpoint turns out not to support.

        Raises:
            Fault: no reply came.
        """
        while True:
            try:
                content = await self.content_of(self._connection.chat(self.body(request)), [request])
                return self.read(content, request)
            except Fault as fault:
                if not self.learn(fault):
                    raise

    def learn(self, fault: Fault) -> bool:
        """Do without a parameter that the endpoint does not support; False where that would be nothing new."""
        if fault.kind is not FaultKind.UNSUPPORTED or fault.parameter in self._left_out:
            return False
        self._left_out.add(fault.parameter)
        self._limit_name = _OTHER_LIMIT.get(fault.parameter, self._limit_name)
        return True

    def body(self, request: ChatRequest) -> dict[str, Any]:
        """A request as this endpoint understands it, of JSON values."""
        body: dict[str, Any] = {
            "model": request.model,
            "messages": [message.model_dump() for message in request.messages],
            self._limit_name: request.max_tokens,
        }
        for name, value in (("temperature", request.temperature), ("top_p", request.top_p), ("seed", request.seed)):
            if value is not None and name not in self._left_out:
                body[name] = value
        if request.reply_schema is not None and "response_format" not in self._left_out:
            schema = {"name": request.reply_schema.name, "strict": True, "schema": request.reply_schema.definition}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    async def content_of(self, call: Awaitable[Any], requests: Sequence[ChatRequest] = ()) -> bytes:
        """The content of the answer to a call; `requests` are those that an error may quote.

        Raises:
            Fault: no whole answer came, or an error.
        """
        answer = await self._connection.answer_to(call)
        if answer.status_code >= 400:
            raise self.judge(answer.status_code, answer.headers, answer.content, requests)
        return answer.content

    def read(self, content: bytes, request: ChatRequest | None) -> ChatReply:
        """Read a chat completion, the answer to `request` where that is at hand.

        Raises:
            Fault: it is an error that came as a success, or no chat completion.
        """
        try:
            value = read_json(content)
            status = status_of_error(value)
            if status is None:
                reply, doubt = read_completion(value, request.num_characters if request else 0)
                if doubt:
                    self._doubt(doubt)
                return reply
        except ValueError:
            status = None
        # Not while the error is at hand: it may quote what was read.
        if status is not None:
            raise self.judge(status, {}, content, [request] if request else [])
        raise Fault(FaultKind.BROKEN, f"{len(content)} bytes that are no chat completion")

    def judge(
        self, status: int, headers: Mapping[str, str], content: bytes, requests: Sequence[ChatRequest] = ()
    ) -> Fault:
        """What an answer that is an error means."""
        raw, code = words_of(content)
        shown = f"{presentable(raw, requests)}{self._connection.through if status >= 500 else ''}"
        return fault_of_status(status, raw, presentable(code, requests), headers, shown)

    async def close(self) -> None:
        """Close all connections."""
        await self._connection.close()


def _headers(config: EndpointConfig, address: str, key: str) -> dict[str, str]:
    """What is sent with every request: the key, and to OpenAI whose account it is on."""
    headers = dict[str, str]()
    if key:
        headers |= {config.key_header: key} if config.key_header else {"Authorization": f"Bearer {key}"}
    if address == _OPENAI:
        payers = ((header, os.environ.get(variable, "").strip()) for variable, header in _PAYERS.items())
        headers |= {header: payer for header, payer in payers if payer.isascii() and payer.isprintable() and payer}
    return headers
