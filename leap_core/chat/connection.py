"""The HTTP side: the `openai` package's client over httpx, with a transport that keeps what we promise.

Retries, limits and budgets are not the package's but ours (client.py). What goes out is what is meant: none of the
headers that the package or the environment adds (`OPENAI_CUSTOM_HEADERS`, `OPENAI_ORG_ID`, `.netrc`), no cookies.
Opened by endpoint.py when it is needed, as importing the package takes a second.
"""

import asyncio
import logging
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import httpx2
from openai import APIConnectionError, APIStatusError, AsyncOpenAI

from leap_core import __version__
from leap_core.chat.faults import Fault, FaultKind
from leap_core.chat.keys import without_keys
from leap_core.errors import ConfigError
from leap_core.settings.addresses import origin_of, proxy_for

_MAX_BYTES = 32_000_000
"""Of an answer, after it is unpacked."""
_MAX_BYTES_OF_FILE = 2_000_000_000
_CONNECT_TIMEOUT_S = 20.0
_LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
"""How many are open at once is decided by limits.py: none of them waits for a connection, or is opened again."""
_LOGGERS = ("openai", "httpx2", "httpcore2")
_SENT = {"host", "connection", "accept-encoding", "content-type", "content-length", "transfer-encoding"}
"""Headers of httpx without which a request cannot be read. All others are ours."""
_UNPACKED = {"content-encoding", "content-length", "transfer-encoding", "set-cookie"}
"""Headers of an answer that no longer hold once it is unpacked, and cookies, which nothing is to keep."""


class Connection:
    """Connections to one address. One object serves one event loop."""

    def __init__(self, address: str, headers: Mapping[str, str], query: Mapping[str, str], timeout_s: float) -> None:
        """Prepare the client; nothing is sent yet. `headers` go with every request, the key among them.

        Raises:
            ConfigError: nothing can be sent to this address, or through the proxy that the environment names.
        """
        for name in _LOGGERS:  # at DEBUG they write headers, the key among them
            logging.getLogger(name).setLevel(logging.WARNING)
        self.address, self._timeout_s = address, timeout_s
        self._proxy = proxy_for(address)
        self.through = f" (through the proxy {origin_of(self._proxy)})" if self._proxy else ""
        """For messages."""
        ours = {"User-Agent": f"leap-agents/{__version__}", "Accept": "application/json", **headers}
        try:
            self.client = AsyncOpenAI(
                api_key="in-the-headers",
                base_url=address,
                default_query=dict(query),
                max_retries=0,
                timeout=httpx2.Timeout(None, connect=min(timeout_s, _CONNECT_TIMEOUT_S)),
                http_client=httpx2.AsyncClient(
                    transport=_Transport(_plain_transport(address, self._proxy), ours, self._check),
                    trust_env=False,
                    follow_redirects=False,
                ),
            )
        except httpx2.InvalidURL:
            raise ConfigError(f"No request can be sent to the address {origin_of(address)}{self.through}.") from None

    def chat(self, body: Mapping[str, Any]) -> Awaitable[httpx2.Response]:
        """Request a chat completion; to be awaited by `answer_to`.

        Not by `chat.completions.create`, which checks each value of the body by its types and takes twice the time.
        """
        return self.client.post("/chat/completions", body=body, cast_to=httpx2.Response)

    async def answer_to(self, call: Awaitable[Any]) -> httpx2.Response:
        """Await a call of the client, by `chat` or `with_raw_response`; returns its answer, whole, whatever its status.

        Raises:
            Fault: no whole answer came in time, or one that redirects to another address.
        """
        # What is raised holds the request, headers and all: it must not go on as a cause.
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await call
            answer: httpx2.Response = getattr(response, "http_response", response)
            return answer
        except APIStatusError as error:
            return error.response
        except Fault as error:
            fault = error
        except (APIConnectionError, httpx2.HTTPError, OSError) as error:
            fault = self._fault_of(error)
        raise fault

    async def close(self) -> None:
        """Close all connections."""
        await self.client.close()

    def _check(self, status: int, headers: Mapping[str, str]) -> None:
        """Raise where an answer is not the endpoint's own."""
        if 300 <= status < 400:
            raise Fault(FaultKind.REFUSED, f"{status}: {self._redirect(headers.get('location', ''))}")
        if status == 407:
            raise Fault(FaultKind.REFUSED, self._proxy_refusal(status))

    def _redirect(self, location: str) -> str:
        here = origin_of(self.address)
        try:
            there = without_keys(origin_of(urljoin(self.address, location)))
        except ValueError:
            there = "an address that cannot be read"
        if not location:
            return f"{here} redirects to another address without naming it"
        if there == here:
            return f"{here} redirects to another path, which is not followed. Set base_url to the right one"
        return (
            f"{here} redirects to {there}, which is not followed: key and prompt are sent to base_url alone. If that "
            "is the right address, set base_url to it"
        )

    def _proxy_refusal(self, status: int) -> str:
        if self._proxy is None:
            return f"{status}: a proxy in between requires authentication"
        return (
            f"{status}: the proxy {origin_of(self._proxy)} refuses the connection. Its address and credentials are "
            "those of HTTP_PROXY or HTTPS_PROXY; hosts in NO_PROXY are reached directly"
        )

    def _fault_of(self, error: Exception) -> Fault:
        """What a connection that failed amounts to."""
        causes = list(_causes(error))
        kinds = {type(cause) for cause in causes}
        if ssl.SSLCertVerificationError in kinds:
            return Fault(FaultKind.UNREACHABLE, "its certificate is not trusted. SSL_CERT_FILE names trusted ones")
        name = next((type(one).__name__ for one in causes if isinstance(one, httpx2.HTTPError)), type(error).__name__)
        if httpx2.ProxyError in kinds:
            return self._fault_of_proxy(next(one for one in causes if isinstance(one, httpx2.ProxyError)))
        if kinds & {httpx2.ConnectError, httpx2.ConnectTimeout}:
            return Fault(FaultKind.UNREACHABLE, f"{name}: {type(causes[-1]).__name__}{self.through}")
        if any(issubclass(kind, TimeoutError | httpx2.TimeoutException) for kind in kinds):
            return Fault(FaultKind.TIMEOUT, f"no whole answer within {self._timeout_s:g} s{self.through}")
        return Fault(FaultKind.CONNECTION, f"{name}{self.through}")

    def _fault_of_proxy(self, error: httpx2.ProxyError) -> Fault:
        """A proxy that opens no tunnel; httpx gives its answer as `STATUS REASON`."""
        status = str(error).partition(" ")[0]
        if status.isdigit() and int(status) < 500:
            return Fault(FaultKind.REFUSED, self._proxy_refusal(int(status)))
        return Fault(FaultKind.SERVER, f"{status if status.isdigit() else 'ProxyError'}{self.through}")


@dataclass(eq=False)
class _Transport(httpx2.AsyncBaseTransport):
    """httpx's own transport, with our headers alone on the way out, and checks and limits on the way back."""

    inner: httpx2.AsyncHTTPTransport
    headers: Mapping[str, str]
    check: Callable[[int, Mapping[str, str]], None]

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and return its answer, to be unpacked piece by piece.

        Raises:
            Fault: it is not the endpoint's own.
        """
        sent = httpx2.Request(
            request.method,
            request.url,
            headers={name: value for name, value in request.headers.items() if name in _SENT} | dict(self.headers),
            stream=request.stream,
            extensions=request.extensions,
        )
        answer = await self.inner.handle_async_request(sent)
        try:
            self.check(answer.status_code, answer.headers)
        except Fault:
            await answer.aclose()
            raise
        is_file = request.method == "GET" and request.url.path.endswith("/content")
        return httpx2.Response(
            answer.status_code,
            headers=[(name, value) for name, value in answer.headers.multi_items() if name not in _UNPACKED],
            stream=_Unpacked(answer, _MAX_BYTES_OF_FILE if is_file else _MAX_BYTES),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self.inner.aclose()


@dataclass(eq=False)
class _Unpacked(httpx2.AsyncByteStream):
    """The content of an answer, unpacked, up to a limit: a small answer may hold gigabytes."""

    answer: httpx2.Response
    max_bytes: int

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for piece in self.answer.aiter_bytes():
            size += len(piece)
            if size > self.max_bytes:
                raise Fault(FaultKind.BROKEN, f"more than {self.max_bytes / 1e6:.0f} MB")
            yield piece

    async def aclose(self) -> None:
        await self.answer.aclose()


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what caused it, down to the first cause."""
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__ or one.__context__  # httpx raises some of its errors without `from`


def _plain_transport(address: str, proxy: str | None) -> httpx2.AsyncHTTPTransport:
    # For plain HTTP a context that trusts nobody: no certificates are read then.
    context = _ssl_context() if address.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx2.AsyncHTTPTransport(verify=context, trust_env=False, limits=_LIMITS, proxy=proxy)


def _ssl_context() -> ssl.SSLContext:
    try:
        return httpx2.create_ssl_context()
    except OSError as error:
        where = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR") or "this machine's"
        raise ConfigError(
            f"The trusted certificates cannot be read ({where!r}): {error.strerror or type(error).__name__}. "
            "SSL_CERT_FILE and SSL_CERT_DIR say where they are."
        ) from error
