"""What every test shares: a quiet, offline process of its own, and an empty artifact home.

The environment variables are set here, before anything imports torch, transformers or Prefect, which read them once.
"""

import atexit
import ipaddress
import os
import shutil
import socket
import tempfile
from pathlib import Path

import pytest

PREFECT_HOME = Path(tempfile.mkdtemp(prefix="leap-tests-prefect-"))
"""Database, profiles and results of Prefect: never the developer's own."""
atexit.register(shutil.rmtree, PREFECT_HOME, ignore_errors=True)

os.environ |= {
    "OMP_WAIT_POLICY": "passive",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "PREFECT_HOME": str(PREFECT_HOME),
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}
for name in ("PREFECT_API_URL", "PREFECT_PROFILE", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
    os.environ.pop(name, None)


class NetworkBlockedError(RuntimeError):
    """A test tried to leave this machine. Not an OSError, so that no retry or fallback hides it."""


def _check_address(family, address):
    if family not in (socket.AF_INET, socket.AF_INET6):
        return
    host = str(address[0]).partition("%")[0]
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name that would have to be looked up
        loopback = host == "localhost"
    if not loopback:
        raise NetworkBlockedError(f"Tests are offline, but something connects to {address!r}.")


@pytest.fixture(scope="session", autouse=True)
def _offline():
    """Refuse connections to anything but this machine, for the whole session."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def guarded_connect(self, address):
        _check_address(self.family, address)
        return connect(self, address)

    def guarded_connect_ex(self, address):
        _check_address(self.family, address)
        return connect_ex(self, address)

    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", guarded_connect)
    patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    yield
    patch.undo()


@pytest.fixture
def home(tmp_path):
    """An empty directory for artifacts."""
    return tmp_path / "artifacts"
