"""What the tests of InterCode Bash share: a small file system, sandboxes of it, and whether any can be made here."""

import os
import subprocess
from functools import cache
from pathlib import Path

import pytest

from leap_core.envs.intercode_bash.sandbox.bubblewrap import BubblewrapBackend
from leap_core.envs.intercode_bash.sandbox.docker import DockerBackend, engine_command
from leap_core.envs.intercode_bash.sandbox.file_systems import FileSystem

BORN = 1_700_000_000
MARK = f"31415926.{os.getpid()}"
"""Seconds that no one sleeps but the tests of this process."""
SMALL = FileSystem(
    name="small",
    script_name="set_up.sh",
    script="#!/bin/bash\nset -e\nmkdir -p /yard/empty /yard/sub\necho one > /yard/a.txt\necho two > /yard/sub/b.txt\n"
    "touch -d '2020-01-02 03:04:05' /yard/old.txt\nchmod 400 /yard/sub/b.txt\n",
    ignored="/home\n/root\n/tmp\n/var\n",
)


@cache
def problem():
    """Why there is no sandbox on this machine; None where there is one."""
    return BubblewrapBackend({}).problem()


needs_sandbox = pytest.mark.skipif(problem() is not None, reason=f"no sandbox can be made here: {problem()}")


BASE_IMAGE, SMALL_IMAGE = "leap-tests-base", "leap-tests-small"
"""The first has to be there: any Linux with bash and git. The second is made of it."""


def engine(*arguments):
    """Call docker or podman."""
    return subprocess.run(engine_command(*arguments), capture_output=True, text=True)


@cache
def engine_problem():
    """Why no container can be made on this machine; None where one can."""
    problem = DockerBackend({"image": SMALL_IMAGE}).problem()
    if problem is not None:
        return problem
    if engine("image", "inspect", BASE_IMAGE).returncode != 0:
        return f"there is no image {BASE_IMAGE!r}; tests/README.md says how to make one"
    return None


# A container needs an engine that runs on this machine and an image of a whole root file system, which no package of
# this project can bring: so these tests say what is missing, and pass over. The default backend is tested without them.
needs_engine = pytest.mark.skipif(
    engine_problem() is not None,
    reason=f"no container can be made here: {engine_problem()} (tests/README.md, Containers, says how to get one)",
)


def make_small_image():
    """Make an image as InterCode's Dockerfile does, with the small file system."""
    commands = (
        f"cat > /{SMALL.script_name} << 'END'\n{SMALL.script}END\nchmod +x /{SMALL.script_name}; /{SMALL.script_name}\n"
        f"printf '/%s\\n' bin boot dev etc lib lib64 media opt proc run sbin srv sys usr > /.gitignore\n"
        f"cat >> /.gitignore << 'END'\n{SMALL.ignored}END\n"
        "git config --global user.email a@b; git config --global user.name a\n"
        "cd /; git init -q; git add -A; git commit -q -m start\n"
    )
    engine("rm", "--force", SMALL_IMAGE)
    made = engine(
        "run",
        "--network",
        "none",
        "--ulimit",
        "nofile=256:256",
        "--ulimit",
        "nproc=4096:4096",
        "--name",
        SMALL_IMAGE,
        BASE_IMAGE,
        "/bin/bash",
        "-c",
        commands,
    )
    assert made.returncode == 0, made.stderr
    kept = engine("commit", "--quiet", SMALL_IMAGE, SMALL_IMAGE)
    assert kept.returncode == 0, kept.stderr
    engine("rm", "--force", SMALL_IMAGE)


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
