"""The command `leap`, in a process of its own as people run it or quickly in this one, and what it leaves behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
from pyarrow import parquet

from flows.command.main import main
from leap_core.store.artifacts import ArtifactStore

# A shell lets what it starts in the background ignore Ctrl-C, and so would all that is started here.
signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).parents[2]
QUIET = ("--set", "execution.num_threads=1")
HERE = ("execution.num_threads=1", "execution.env_workers=0")
"""Settings for runs in this process: they change no result."""
SMALL = (
    *HERE,
    *("environment.num_train=6", "environment.num_dev=2", "environment.num_test=2", "rollout.num_episodes=6"),
    *("demonstrations.num_episodes=6", "dataset.validation_fraction=0.2"),
    'student.params={"hidden_size": 16, "num_layers": 1, "num_heads": 1, "intermediate_size": 16}',
)
"""Settings that make `smoke` as small as it gets."""
LEAP = (sys.executable, "-m", "flows")


@dataclass(frozen=True, kw_only=True)
class Undisturbed:
    """`leap run smoke --json` on an empty home, two environment workers, a server of its own, and no network."""

    home: Path
    done: subprocess.CompletedProcess
    network_log: str


def environment(**more):
    """That of a user who has set nothing up: `leap` has to start a Prefect server of its own."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return own | {"OMP_NUM_THREADS": "1"} | more


def shared_server():
    """Settings that name the tests' Prefect server, for the many tests that are not about starting one.

    There is none for fast tests, which only plan and look.
    """
    from prefect.settings import PREFECT_API_URL

    url = PREFECT_API_URL.value()
    return {} if url is None else {"PREFECT_API_URL": url}


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


def leap_here(*arguments, settings=(), **more):
    """Run the command in this process; an exception that it lets through fails the test."""
    overrides = [part for setting in settings for part in ("--set", setting)]
    output, errors = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(output), redirect_stderr(errors):
        for name, value in {"PREFECT_LOGGING_LEVEL": "CRITICAL", **shared_server(), **more}.items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["leap", *map(str, arguments), *overrides])
        with pytest.raises(SystemExit) as exit:
            main()
    return subprocess.CompletedProcess(sys.argv, exit.value.code, output.getvalue(), errors.getvalue())


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


def copy_home(home, target, without=()):
    """A home of one's own with the same artifacts, but for some stages."""
    shutil.copytree(home / "artifacts", target / "artifacts", ignore=shutil.ignore_patterns(*without))
    return target


def text_of(path):
    """All that is in a file, of tables the values."""
    if not path.is_file():
        return ""
    if path.suffix == ".parquet":
        return json.dumps(parquet.read_table(path).to_pylist())
    return path.read_bytes().decode("utf-8", "replace")


def text_in_prefect():
    """Everything in the database of the tests' Prefect server."""
    from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL

    database = Path(PREFECT_API_DATABASE_CONNECTION_URL.value().partition("///")[2])
    return "".join(text_of(path) for path in database.parent.glob(f"{database.name}*"))
