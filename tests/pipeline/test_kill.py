"""`kill -9` at any moment, then the same command: the same bytes as if nothing had happened, and nobody left behind."""

import subprocess
import time

import psutil
import pytest
from leap_command import QUIET, digests, last_json, leap, shared_server, start

pytestmark = pytest.mark.slow

COMMAND = ("run", "smoke", "--json", *QUIET)


def wait_for(pattern, home, process, timeout_s=300):
    """Wait until there is a file of this pattern in the home; the run must still be going on."""
    deadline = time.monotonic() + timeout_s
    while not any(home.glob(pattern)):
        assert time.monotonic() < deadline, f"waited {timeout_s} s in vain for {pattern}"
        try:
            process.wait(timeout=0.005)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(f"the run ended before there was {pattern}: {process.stderr.read()}")


def kill_at(pattern, home, everyone, **environment):
    """Start the run, and kill it as soon as there is a file of this pattern: all its processes, or the main one.

    Returns its other processes, and what became of the stages before: their states, by label.
    """
    process = start(*COMMAND, "--home", home, **environment)
    wait_for(pattern, home, process)
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    if everyone:
        for member in family:
            member.kill()
    _, told = process.communicate()
    return family, dict(line.split()[:2] for line in told.splitlines() if len(line.split()) > 1)


def test_a_run_killed_again_and_again_ends_as_an_undisturbed_one(undisturbed, tmp_path):
    home, artifacts = tmp_path / "home", tmp_path / "home" / "artifacts"
    kill_at("prefect/prefect.db", home, everyone=True)

    family, _ = kill_at("artifacts/rollout/.work-*/scratch/shard-*", home, everyone=False)
    assert family, "the Prefect server and an environment worker at least"
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
    assert not any(artifacts.glob("rollout/smoke-*"))

    # That its own server goes too has been seen by now; the tests' server saves three starts of one.
    server = shared_server()
    _, told = kill_at("artifacts/training/.work-*/scratch/checkpoints/checkpoint-2/whole", home, True, **server)
    assert (told["evaluation-i0-dev"], told["rollout-i1"]) == ("cached", "resumed")
    assert len(list(artifacts.glob("training/smoke-*"))) == 1

    kill_at("artifacts/training/.work-*/output/model.safetensors", home, True, **server)
    assert len(list(artifacts.glob("training/smoke-*"))) == 1

    _, told = kill_at("artifacts/evaluation/.work-*/output/*", home, False, **server)
    assert (told["rollout-i1"], told["training-i1"]) == ("cached", "resumed")

    done = leap(*COMMAND, "--home", home)
    summary = last_json(done)
    assert digests(home) == digests(undisturbed.home)
    assert [result["success"] for result in summary["iterations"]] == [
        result["success"] for result in last_json(undisturbed.done)["iterations"]
    ]
