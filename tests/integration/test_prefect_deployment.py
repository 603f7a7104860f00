"""The deployments of prefect.yaml on a real server and worker, with the real flows on the `smoke` preset."""

import json
import os
import signal
import time

import pytest
from prefect_server import Server, stop

pytestmark = [pytest.mark.slow, pytest.mark.server]

OVERRIDES = [
    "execution.num_threads=1",
    "environment.num_train=12",
    "environment.num_dev=2",
    "environment.num_test=2",
    "demonstrations.num_episodes=12",
    "rollout.num_episodes=6",
    "training.bootstrap_epochs=8",
    "training.bootstrap_learning_rate=0.001",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("prefect"))
    try:
        server.wait()
        yield server
    finally:
        stop(server.process)


@pytest.fixture(scope="module")
def deployed(server):
    """A worker that waits, and the deployments made as the comment in prefect.yaml says."""
    with server.worker() as log:
        done = server.command("prefect", "deploy", "--all", "--no-prompt")
        assert done.returncode == 0, done.stdout + done.stderr
        yield log


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def run(server, deployed, home):
    """Ask for a run as a person does, and return it when the server knows it."""

    def run(name):
        parameters = {"preset": "smoke", "home": str(home), "overrides": OVERRIDES}
        done = server.command("prefect", "deployment", "run", name, "--params", json.dumps(parameters))
        assert done.returncode == 0, done.stdout + done.stderr
        return max(server.runs("leap-iteration"), key=lambda run: run.created)

    return run


def end_of(server, run, log):
    def ended():
        now = server.api.read_flow_run(run.id)
        return now if now.state.is_final() else None

    try:
        return server.eventually(ended, f"the end of {run.name}")
    except AssertionError as error:
        raise AssertionError(log.read_text()) from error


def summary_of(home):
    return json.loads((home / "experiments" / "smoke" / "summary.json").read_text())


def states_of(summary):
    return {f"{stage['stage']}-{stage['iteration']}": stage["state"] for stage in summary["stages"]}


def test_a_killed_run_leaves_the_next_one_to_go_on(server, deployed, run, home):
    first = run("leap-iteration")
    checkpoint = "artifacts/training/.work-*/scratch/checkpoints/*/whole"
    server.eventually(lambda: list(home.glob(checkpoint)), "a checkpoint", every_s=0.02)
    os.kill(int(server.api.read_flow_run(first.id).infrastructure_pid), signal.SIGKILL)
    assert end_of(server, first, deployed).state_type.value == "CRASHED"

    started = time.monotonic()
    second = end_of(server, run("leap-iteration"), deployed)
    assert second.state_type.value == "COMPLETED", deployed.read_text()
    assert time.monotonic() - started < 200, "the killed run kept its place in the deployment's concurrency limit"
    summary = summary_of(home)
    assert [result["iteration"] for result in summary["iterations"]] == [0]
    assert states_of(summary) == {
        "specs-None": "computed",  # of the dev split; that of train was there
        "privileged-None": "cached",
        "base-None": "cached",
        "demonstrations-0": "cached",
        "dataset-0": "cached",
        "training-0": "resumed",
        "evaluation-0": "computed",
    }


def test_the_next_run_makes_the_next_iteration_and_shows_it(server, deployed, run, home):
    done = end_of(server, run("leap-iteration/leap-iteration"), deployed)
    assert done.state_type.value == "COMPLETED", deployed.read_text()
    summary = summary_of(home)
    assert [result["iteration"] for result in summary["iterations"]] == [0, 1]
    assert states_of(summary)["evaluation-1"] == "computed"
    assert states_of(summary)["training-0"] == "cached"

    shown = server.artifacts(done.id)
    assert set(shown) == {"smoke-progress", "smoke-iterations", "smoke-report"}
    assert shown["smoke-progress"].data == 100
    assert [row["iteration"] for row in json.loads(shown["smoke-iterations"].data)] == [0, 1]
    assert summary["report"] in shown["smoke-report"].data


def test_the_command_reports_to_the_server_that_the_environment_names(server, deployed, home):
    overrides = [part for override in OVERRIDES for part in ("--set", override)]
    done = server.command("leap", "run", "smoke", "--home", str(home), *overrides, "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["test"]["num_episodes"] == 2
    assert {run.name: run.state_name for run in server.api.read_flow_runs()}["leap smoke"] == "Completed"
    assert not (home / "prefect").exists()


def test_the_nightly_deployment_gets_scheduled_runs(server, deployed):
    server.eventually(lambda: server.runs("leap-iteration-nightly"), "scheduled runs")
    runs = server.runs("leap-iteration-nightly")
    assert {run.state_type.value for run in runs} == {"SCHEDULED"}
    assert {f"{run.expected_start_time:%H:%M %Z}" for run in runs} == {"03:30 UTC"}


def test_a_name_that_two_deployments_bear_is_refused_with_both(server):
    for flow in ("red", "blue"):
        server.deploy(flow, "twin")
    done = server.command("prefect", "deployment", "run", "twin")
    assert done.returncode == 1
    assert "blue/twin, red/twin" in done.stderr
    assert server.runs("twin") == []


def test_an_unknown_name_is_answered_with_the_known_ones(server):
    server.deploy("green", "lonely")
    done = server.command("prefect", "deployment", "run", "lonly")
    assert done.returncode == 1
    assert "green/lonely" in done.stderr
