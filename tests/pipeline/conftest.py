"""What the pipeline's tests share: a private Prefect server, and one run of the whole loop that nothing disturbed."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from leap_command import QUIET, Undisturbed, leap

from leap_core.disk.locks import file_lock

OFFLINE = Path(__file__).parent / "offline"
LOOPBACK_ONLY = """
import fcntl, os, socket, struct, sys
with socket.socket() as any_socket:  # a new network namespace begins with everything down, loopback too
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 0x49))
os.execvp(sys.argv[1], sys.argv[1:])
"""


def pytest_collection_modifyitems(items):
    """Give Prefect's server to the slow tests alone: it takes longer to start than all the others take together."""
    for item in items:
        if item.path.parent == OFFLINE.parent and item.get_closest_marker("slow"):
            item.fixturenames.insert(0, "prefect_server")


@pytest.fixture(scope="session")
def prefect_server():
    """Run against a temporary server and database, and keep Prefect's own lines out of the way."""
    from prefect.settings import (
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_LOGGING_LEVEL,
        PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW,
        temporary_settings,
    )
    from prefect.testing.utilities import prefect_test_harness

    settings = {
        PREFECT_LOGGING_LEVEL: "CRITICAL",
        PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore",
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,  # its thread costs every flow run a second
    }
    with temporary_settings(settings), prefect_test_harness(server_startup_timeout=300):
        yield


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """One run for all processes of a test session."""
    directory = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        directory = directory.parent  # each process has a directory of its own in it
    kept = directory / "undisturbed.pickle"
    with file_lock(directory / "undisturbed.lock"):
        if not kept.exists():
            kept.write_bytes(pickle.dumps(_run_undisturbed(directory / "undisturbed")))
    return pickle.loads(kept.read_bytes())


def _run_undisturbed(directory):
    directory.mkdir()
    log = directory / "network.log"
    done = leap(
        *("run", "smoke", "--json", "--home", directory / "home", *QUIET, "--set", "execution.env_workers=2"),
        prefix=no_network(),
        PYTHONPATH=str(OFFLINE),
        LEAP_TEST_NETWORK_LOG=str(log),
    )
    assert done.returncode == 0, done.stderr
    return Undisturbed(home=directory / "home", done=done, network_log=log.read_text())


def no_network():
    """What to put before a command so that it has no network but loopback; nothing where that is not allowed."""
    namespace = ("unshare", "--map-root-user", "--net", sys.executable, "-S", "-c", LOOPBACK_ONLY)
    try:
        allowed = subprocess.run([*namespace, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return ()
    return namespace if allowed else ()
