"""Loaded by every Python process with this directory in PYTHONPATH: notes, and refuses, whatever leaves the machine.

One line a process says that it is watched; any further line is a breach.
"""

import ipaddress
import os
import sys
from pathlib import Path

_LOG = Path(os.environ["LEAP_TEST_NETWORK_LOG"])
_ADDRESSED = {"socket.connect", "socket.sendto", "socket.sendmsg"}
_LOOKED_UP = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}


def _note(line):
    with _LOG.open("a") as file:
        file.write(line + "\n")


def _is_here(host):
    if host is None or host in ("", b"", "localhost", b"localhost"):
        return True
    try:
        return ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host).is_loopback
    except ValueError:
        return False


def _watch(event, arguments):
    if event in _ADDRESSED and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event in _LOOKED_UP:
        host = arguments[0]
    else:
        return
    if not _is_here(host):
        _note(f"breach {event} {arguments!r}")
        raise RuntimeError(f"{event} {arguments!r}: this process must not leave the machine")


_note(f"watched {os.getpid()} {' '.join(sys.orig_argv)}")
sys.addaudithook(_watch)
