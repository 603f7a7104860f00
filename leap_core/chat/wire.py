"""The HTTP side: one request goes out, one answer comes back whole, or a fault says why not.

All that is sent to an endpoint goes through here, straight through aiohttp: no retries, no cookies, no redirects, and
nothing that the environment adds (`OPENAI_CUSTOM_HEADERS`, `.netrc`), so that what is sent is what is meant.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urljoin

from leap_core import __version__
from leap_core.chat.faults import Fault, FaultKind
from leap_core.chat.keys import without_keys
from leap_core.errors import ConfigError
from leap_core.settings.addresses import origin_of, proxy_for

if TYPE_CHECKING:
    import ssl

MOST_BYTES = 32_000_000
"""Of an answer, after it is unpacked."""
_CONNECT_TIMEOUT_S = 20.0
_LOGGER = "aiohttp"


class Answer(NamedTuple):
    """What came back, whatever its status."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Wire:
    """Connections to one address. One object serves one event loop."""

    def __init__(self, address: str, headers: Mapping[str, str], query: Mapping[str, str], timeout_s: float) -> None:
        """Prepare; nothing is sent yet.

        Raises:
            ConfigError: nothing can be sent to this address, or through the proxy that the environment names.
        """
        from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
        from yarl import URL

        logging.getLogger(_LOGGER).setLevel(logging.WARNING)  # at DEBUG it may write requests, privileged text and all
        self.address, self._timeout_s = address, timeout_s
        self._proxy = proxy_for(address)
        try:
            self._base, self._query = URL(f"{address}/"), dict(query)
        except ValueError as error:
            raise ConfigError(f"{origin_of(address)} cannot be the address of an endpoint: {error}.") from None
        self._http = ClientSession(
            connector=TCPConnector(limit=0, ssl=_ssl_context() if address.startswith("https:") else True),
            headers={"User-Agent": f"leap-agents/{__version__}", "Accept": "application/json", **headers},
            timeout=ClientTimeout(total=timeout_s, sock_connect=min(timeout_s, _CONNECT_TIMEOUT_S)),
            cookie_jar=DummyCookieJar(),
            proxy=self._proxy,
        )
        self._urls: dict[str, Any] = {}

    async def ask(
        self,
        method: str,
        path: str,
        json: bytes | None = None,
        form: Mapping[str, bytes | str] | None = None,
        most_bytes: int = MOST_BYTES,
    ) -> Answer:
        """Send one request; `path` is below the address. The content comes piece by piece, up to a limit.

        Raises:
            Fault: no whole answer came, or one that sends on to another address.
        """
        import aiohttp

        # What is raised holds the request, headers and all: it must not go on as a cause.
        try:
            body, headers = _form(form) if form is not None else json, {"Content-Type": "application/json"}
            async with self._http.request(
                method,
                self._url(path),
                data=body,
                headers=headers if json is not None else None,
                allow_redirects=False,
            ) as response:
                self._check(response.status, response.headers)
                return Answer(response.status, response.headers, await _read(response, most_bytes))
        except Fault as error:
            fault = error
        except (aiohttp.ClientError, OSError) as error:
            fault = self._fault_of(error)
        raise fault

    @property
    def through(self) -> str:
        """` (through the proxy HOST)` for messages, where there is one."""
        return f" (through the proxy {origin_of(self._proxy)})" if self._proxy else ""

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    def _url(self, path: str) -> Any:
        if path not in self._urls:
            where, _, query = path.partition("?")
            url = self._base.joinpath(*where.split("/")).with_query(self._query or None)
            self._urls[path] = url.update_query(query) if query else url
        return self._urls[path]

    def _check(self, status: int, headers: Mapping[str, str]) -> None:
        """Raise where an answer is not the endpoint's own."""
        if 300 <= status < 400:
            raise Fault(FaultKind.REFUSED, f"{status}: {self._redirect(headers.get('location', ''))}")
        if status == 407:
            raise Fault(FaultKind.REFUSED, self._proxy_refuses(status))

    def _redirect(self, location: str) -> str:
        here = origin_of(self.address)
        try:
            there = without_keys(origin_of(urljoin(self.address, location)))
        except ValueError:
            there = "an address that cannot be read"
        if not location:
            return f"{here} sends on to another address without naming it"
        if there == here:
            return f"{here} sends on to another path of {there}, which is not followed. Set base_url to the right one"
        return (
            f"{here} sends on to {there}, which is not followed: key and prompt go nowhere but to base_url. If it is "
            "the right address, set base_url to it"
        )

    def _proxy_refuses(self, status: int) -> str:
        if self._proxy is None:
            return f"{status}: a proxy on the way wants to know who asks"
        return (
            f"{status}: the proxy {origin_of(self._proxy)} does not let this through; its address and credentials are "
            "those of HTTP_PROXY or HTTPS_PROXY, and NO_PROXY names hosts that are reached directly"
        )

    def _fault_of(self, error: Exception) -> Fault:
        """What a connection that failed amounts to."""
        import aiohttp

        cause = list(_causes(error))[-1]
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            advice = "its certificate is not trusted; SSL_CERT_FILE may name a file of those that are"
            return Fault(FaultKind.UNREACHABLE, advice)
        if isinstance(error, aiohttp.ClientHttpProxyError):
            if error.status >= 500:
                return Fault(FaultKind.SERVER, f"{error.status}{self.through}")
            return Fault(FaultKind.REFUSED, self._proxy_refuses(error.status))
        if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            return Fault(FaultKind.UNREACHABLE, f"{type(error).__name__}: {type(cause).__name__}{self.through}")
        if isinstance(error, TimeoutError):
            return Fault(FaultKind.TIMEOUT, f"no whole answer within {self._timeout_s:g} s{self.through}")
        return Fault(FaultKind.CONNECTION, f"{type(error).__name__}{self.through}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what caused it, down to the first cause."""
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__


async def _read(response: Any, most_bytes: int) -> bytes:
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > most_bytes:
            raise Fault(FaultKind.BROKEN, f"more than {most_bytes / 1e6:.0f} MB")
        pieces.append(piece)
    return b"".join(pieces)


def _form(fields: Mapping[str, bytes | str]) -> Any:
    """A form; what is of bytes is the file, under the name that it has here."""
    from aiohttp import FormData

    form = FormData()
    for name, value in fields.items():
        if isinstance(value, bytes):
            form.add_field("file", value, filename=name)
        else:
            form.add_field(name, value)
    return form


def _ssl_context() -> "ssl.SSLContext":
    from httpx2 import create_ssl_context

    try:
        return create_ssl_context()
    except OSError as error:
        where = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR") or "this machine's"
        raise ConfigError(
            f"The certificates that are trusted cannot be read ({where!r}): {error.strerror or type(error).__name__}. "
            "SSL_CERT_FILE and SSL_CERT_DIR say where they are."
        ) from error
