"""The command `leap` in a process of its own, as people run it, and what it leaves behind."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from leap_core.artifacts import ArtifactStore

REPOSITORY = Path(__file__).parents[2]
QUIET = ("--set", "execution.num_threads=1")
LEAP = (sys.executable, "-m", "flows")


def environment(**more):
    """That of a user who has set nothing up: `leap` has to start a Prefect server of its own."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return own | {"OMP_NUM_THREADS": "1"} | more


def shared_server():
    """Settings that name the tests' Prefect server, for the many tests that are not about starting one."""
    from prefect.settings import PREFECT_API_URL

    return {"PREFECT_API_URL": PREFECT_API_URL.value()}


def start(*arguments, prefix=(), command=LEAP, **more):
    """Start the command; its output is kept."""
    return subprocess.Popen(
        [*prefix, *command, *map(str, arguments)],
        cwd=REPOSITORY,
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def leap(*arguments, **more):
    """Run the command to its end."""
    process = start(*arguments, **more)
    output, errors = process.communicate(timeout=400)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def last_json(done):
    """The object that a command printed as its last line."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def digests(home):
    """The digest of every artifact in a home, by name. None of them is damaged."""
    store = ArtifactStore(home / "artifacts")
    assert store.problems() == []
    return {record.ref.id: record.digest for record in store.records()}


def states(summary):
    """The state of every stage of a run, by stage and iteration, or by artifact where that is not enough."""
    return {stage["artifact"]: stage["state"] for stage in summary["stages"]}


def copy_home(home, target):
    """A home of one's own with the same artifacts."""
    shutil.copytree(home / "artifacts", target / "artifacts")
    return target
