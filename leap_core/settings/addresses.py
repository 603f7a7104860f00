"""Addresses of servers: which ones are this machine itself, and through which proxy the others are reached."""

import ipaddress
import socket
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from leap_core.errors import ConfigError
from leap_core.text.shown import shown

_NAMES = ("localhost", "localhost.localdomain")


def is_own(host: str) -> bool:
    """Whether a host, by name or address, is this machine itself: it is then never reached through a proxy."""
    name = host.lower().rstrip(".").strip("[]")
    if name in _NAMES or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return _is_own_in_short(name)
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def proxy_for(address: str) -> str | None:
    """The proxy that the environment names for an address, with its credentials; None for a direct connection.

    Raises:
        ConfigError: it is not an HTTP proxy.
    """
    parts = urlsplit(address)
    host = parts.hostname or ""
    proxy = getproxies().get(parts.scheme, "")
    if not proxy or is_own(host) or proxy_bypass(host):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if not _is_proxy(proxy):
        variable = f"{parts.scheme.upper()}_PROXY"
        raise ConfigError(
            f"The environment variable {variable} does not name an HTTP proxy, such as http://proxy.example:3128. Set "
            f"it right, or add {host} to NO_PROXY to connect directly.",
            item=variable,
        )
    return proxy


def origin_of(address: str) -> str:
    """Scheme, host and port of an address, safe to show: no user, no path, no query."""
    try:
        parts = urlsplit(address)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an invalid address"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return shown(f"{parts.scheme}://{host}{port}")[:200] if host else "an address without a host"


def what_is_wrong_with(address: str) -> str | None:
    """Why an address cannot be that of an endpoint; None if it can."""
    if not address.isprintable() or " " in address:
        return "must be a plain address, without blanks or control characters"
    try:
        parts = urlsplit(address)
        has_port = parts.port != 0
    except ValueError as error:
        return f"is not an address: {error}"
    if parts.username or parts.password or parts.query or parts.fragment:
        return (
            "must be a plain address: put the key into the environment variable that api_key_env names, and other "
            "parameters into query"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or not has_port:
        return "must begin with http:// or https://, for example http://localhost:8000/v1"
    return None


def _is_own_in_short(name: str) -> bool:
    """Whether a name is an IPv4 address of this machine in a short form, such as 127.1."""
    try:
        packed = socket.inet_aton(name)
    except OSError:
        return False
    return packed[0] == 127 or packed == bytes(4)


def _is_proxy(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and address.isprintable()
    except ValueError:
        return False
