"""What the tests of InterCode Bash share: a small file system, sandboxes of it, and whether any can be made here."""

import os
from functools import cache
from pathlib import Path

import pytest

from leap_core.envs.intercode_bash.bubblewrap import BubblewrapBackend
from leap_core.envs.intercode_bash.file_systems import FileSystem

BORN = 1_700_000_000
MARK = f"31415926.{os.getpid()}"
"""Seconds that no one sleeps but the tests of this process."""
SMALL = FileSystem(
    name="small",
    script_name="set_up.sh",
    script="#!/bin/bash\nset -e\nmkdir -p /work/empty /work/sub\necho one > /work/a.txt\necho two > /work/sub/b.txt\n"
    "touch -d '2020-01-02 03:04:05' /work/old.txt\nchmod 400 /work/sub/b.txt\n",
    ignored="/home\n/root\n/tmp\n/var\n",
)


@cache
def problem():
    """Why there is no sandbox on this machine; None where there is one."""
    return BubblewrapBackend({}).problem()


needs_sandbox = pytest.mark.skipif(problem() is not None, reason=f"no sandbox can be made here: {problem()}")


def run(sandbox, command, timeout_s=10.0, directory="/"):
    """Run a line of bash, without the original's quoting."""
    return sandbox.run(["/bin/bash", "-c", command], directory, timeout_s)


def sleepers():
    """Processes of the host, of whatever namespace, that sleep for the marked time."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[:2] == [b"sleep", MARK.encode()]:
            found.append(process.name)
    return found
