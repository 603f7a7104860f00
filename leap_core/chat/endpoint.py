"""The HTTP side: one request as the `openai` package would send it, and its answer as a reply or a fault.

The package's own retries are off: the client above knows the limits and the budget, and counts. Chat completions go out
with the package's headers and TLS settings, but straight through aiohttp, which the package sends by as well: its
layers above that take longer than the sending. Files and batches, of which there are few, go through the package.
"""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.request import getproxies

from pydantic_core import to_json

from leap_core.chat.faults import Fault, FaultKind, fault_of_status, presentable
from leap_core.chat.messages import ChatReply, ChatRequest
from leap_core.config import EndpointConfig
from leap_core.errors import ConfigError

_OPENAI = "https://api.openai.com/v1"
_NO_KEY = "no-key"
_MOST_BYTES = 32_000_000
_CONNECT_TIMEOUT_S = 20.0
_LOGGERS = ("openai", "httpx2", "aiohttp")


@dataclass(kw_only=True)
class _Dialect:
    """What this endpoint understands, as far as its answers have shown."""

    limit_name: str
    left_out: set[str] = field(default_factory=set)

    def learn(self, parameter: str) -> bool:
        """Do otherwise what the endpoint does not understand; False where that has been tried."""
        other = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}.get(parameter)
        if parameter in self.left_out:
            return False
        self.left_out.add(parameter)
        if other is not None:
            self.limit_name = other
        return True


def address_of(config: EndpointConfig) -> str:
    """Where an endpoint is, up to and with /v1."""
    return (config.base_url or os.environ.get("OPENAI_BASE_URL") or _OPENAI).rstrip("/")


def find_key(config: EndpointConfig) -> str:
    """Read the key of an endpoint from the environment; empty where there is none and none is needed.

    Raises:
        ConfigError: OpenAI itself is meant and there is no key.
    """
    address, key = address_of(config), os.environ.get(config.api_key_env, "")
    if not key and address == _OPENAI:
        raise ConfigError(
            f"No key for {address}: the environment variable {config.api_key_env} is not set. Set it (never write a "
            "key into a preset), name another variable with api_key_env, or point base_url to a server of your own."
        )
    return key


class Endpoint:
    """One address and one key. One object serves one event loop."""

    def __init__(self, config: EndpointConfig) -> None:
        """Read the key from the environment.

        Raises:
            ConfigError: OpenAI itself is meant and there is no key.
        """
        from aiohttp import ClientSession, ClientTimeout, TCPConnector
        from httpx2 import URL, Timeout, create_ssl_context
        from openai import AsyncOpenAI, DefaultAioHttpClient

        for name in _LOGGERS:  # at DEBUG they write whole requests, privileged text and all
            logging.getLogger(name).setLevel(logging.WARNING)
        self.address, key = address_of(config), find_key(config)
        self._key, self._timeout_s = key, config.timeout_s
        self.has_key = bool(key)
        headers = {config.key_header: key, "Authorization": ""} if config.key_header else {}
        connect_s = min(config.timeout_s, _CONNECT_TIMEOUT_S)
        self.openai = AsyncOpenAI(
            api_key=key or _NO_KEY,
            base_url=self.address,
            max_retries=0,
            default_headers=headers,
            default_query=dict(config.query),
            http_client=DefaultAioHttpClient(timeout=Timeout(config.timeout_s, connect=connect_s)),
        )
        """The package's client, for what is not a chat completion (files, batches)."""
        own = {**self.openai.auth_headers, **self.openai.default_headers}
        self._completions = str(URL(f"{self.address}/chat/completions", params=dict(config.query) or None))
        self._http = ClientSession(
            connector=TCPConnector(limit=0, ssl=create_ssl_context() if self.address.startswith("https:") else True),
            headers={name: value for name, value in own.items() if isinstance(value, str) and value},
            timeout=ClientTimeout(total=config.timeout_s, sock_connect=connect_s),
            trust_env=bool(getproxies()),  # where there is no proxy, looking for it at each request takes long
        )
        self._dialect = _Dialect(limit_name="max_completion_tokens" if self.address == _OPENAI else "max_tokens")

    async def send(self, request: ChatRequest) -> ChatReply:
        """Send a request once, or once more for each parameter that the endpoint turns out not to understand.

        Raises:
            Fault: no reply came.
        """
        while True:
            try:
                status, headers, content = await self._post(self.body(request))
                if status < 400:
                    return read_reply(content, request.model, request.num_characters)
                raise self.judge(status, headers, content, request)
            except Fault as fault:
                if not self.learn(fault):
                    raise

    def learn(self, fault: Fault) -> bool:
        """Do without a parameter that the endpoint does not understand; False where that would be nothing new."""
        return fault.kind is FaultKind.UNSUPPORTED and self._dialect.learn(fault.parameter)

    def body(self, request: ChatRequest) -> bytes:
        """A request as this endpoint understands it, in JSON."""
        dialect = self._dialect
        body: dict[str, Any] = {
            "model": request.model,
            "messages": request.messages,
            dialect.limit_name: request.max_tokens,
        }
        for name, value in (("temperature", request.temperature), ("seed", request.seed)):
            if value is not None and name not in dialect.left_out:
                body[name] = value
        if request.reply_schema is not None and "response_format" not in dialect.left_out:
            schema = {"name": request.reply_schema.name, "strict": True, "schema": request.reply_schema.definition}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return to_json(body)

    def judge(
        self, status: int, headers: Mapping[str, str], content: bytes, request: ChatRequest | None = None
    ) -> Fault:
        """Say what an answer that is an error means."""
        said, code = _words_of(content)
        return fault_of_status(status, said, self.show(code), headers, self.show(said, request))

    def show(self, said: str, request: ChatRequest | None = None) -> str:
        """The words of the endpoint as they may be shown."""
        return presentable(said, self._key, request)

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()
        await self.openai.close()

    async def _post(self, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """Return status, headers and content; the content is read piece by piece, up to a limit."""
        # What is raised holds the request, headers and all: it must not go on as a cause.
        try:
            async with self._http.post(self._completions, data=body) as response:
                return response.status, response.headers, self._without_key(await _read(response))
        except Fault as error:
            fault = error
        except Exception as error:
            fault = self.fault_of(error)
        raise fault

    def _without_key(self, content: bytes) -> bytes:
        """An answer as it may be kept: no endpoint should say the key, and if one does, it goes no further."""
        return content.replace(self._key.encode(), b"<key>") if self._key else content

    def fault_of(self, error: Exception) -> Fault:
        """What a connection that failed amounts to. Anything that is not about connections is raised as it is."""
        import aiohttp
        import httpx2
        import openai

        # The package tells a lost connection as a time-out: the first cause of aiohttp's is what happened.
        causes = list(_causes(error))
        cause = next((one for one in causes if isinstance(one, aiohttp.ClientError | TimeoutError)), causes[-1])
        if isinstance(cause, aiohttp.ClientConnectorCertificateError):
            advice = "its certificate is not trusted; SSL_CERT_FILE may name a file of those that are"
            return Fault(FaultKind.UNREACHABLE, advice)
        if isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            return Fault(FaultKind.UNREACHABLE, f"{type(cause).__name__}: {type(causes[-1]).__name__}")
        if isinstance(cause, TimeoutError):
            return Fault(FaultKind.TIMEOUT, f"no whole answer within {self._timeout_s:g} s")
        if isinstance(cause, aiohttp.ClientError) or isinstance(error, openai.APIError | httpx2.HTTPError):
            return Fault(FaultKind.CONNECTION, type(cause).__name__)
        raise error


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what caused it, down to the first cause."""
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__


async def _read(response: Any) -> bytes:
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > _MOST_BYTES:
            raise Fault(FaultKind.BROKEN, f"more than {_MOST_BYTES / 1e6:.0f} MB")
        pieces.append(piece)
    return b"".join(pieces)


def _words_of(content: bytes) -> tuple[str, str]:
    """What an error says, and its code or type."""
    try:
        value = json.loads(content)
    except ValueError:
        return content[:2000].decode("utf-8", "replace"), ""
    error = value.get("error", value) if isinstance(value, dict) else value
    if not isinstance(error, dict):
        return str(error)[:2000], ""
    said = error.get("message") or error.get("detail") or ""
    named = f" ({error['param']})" if error.get("param") else ""
    return f"{said}{named}"[:2000], str(error.get("code") or error.get("type") or "")


def read_reply(content: bytes, model: str, num_characters: int) -> ChatReply:
    """Read a chat completion, forgiving what servers leave out or put elsewhere.

    No choices make an empty reply, a missing count of tokens an estimate. An answer in `reasoning_content` alone counts
    as the answer.
    `model` is the one that was asked, `num_characters` the length of the prompt: for what the answer leaves out.

    Raises:
        Fault: it is no chat completion at all.
    """
    try:
        value = json.loads(content)
        choices = value["choices"]
        choice: dict[str, Any] = choices[0] if choices else {"message": {}, "finish_reason": "empty"}
        message: dict[str, Any] = choice["message"]
        text = message.get("content") or message.get("reasoning_content") or message.get("reasoning") or ""
        usage: dict[str, Any] = value.get("usage") or {}
        return ChatReply(
            text=text if isinstance(text, str) else "".join(part.get("text", "") for part in text),
            finish=str(choice.get("finish_reason") or "stop"),
            served_by=str(value.get("model") or model),
            prompt_tokens=int(usage.get("prompt_tokens") or estimate_tokens(num_characters)),
            completion_tokens=int(usage.get("completion_tokens") or estimate_tokens(len(str(text)))),
            cached_tokens=int((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0),
            is_counted="prompt_tokens" in usage,
            refusal=message.get("refusal"),
        )
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        pass
    raise Fault(FaultKind.BROKEN, f"{len(content)} bytes that are no chat completion")


def estimate_tokens(num_characters: int) -> int:
    """Tokens of a text, guessed from its length: English and code have three to four characters a token."""
    return -(-num_characters // 3)
