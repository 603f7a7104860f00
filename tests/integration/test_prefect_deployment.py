"""The deployments of prefect.yaml on a real server: they deploy, are found by bare name, run, and are scheduled.

The flows are stand-ins of one line, in a directory of their own: what the real ones do is for the tests of the flows.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName

pytestmark = [pytest.mark.slow, pytest.mark.server]

REPOSITORY = Path(__file__).parents[2]
PREFECT = str(Path(sys.executable).parent / "prefect")
FLOWS = {"leap_iteration": "leap-iteration", "leap": "leap", "evaluate": "evaluate"}
STAND_IN = """
from prefect import flow

@flow(name={name!r})
def {function}(preset: str = "", overrides: list = [], home: str | None = None):
    with open("ran.txt", "a") as file:
        file.write({name!r} + " " + preset + "\\n")
"""


class Server:
    """A Prefect server of its own, and the command line that speaks to it."""

    def __init__(self, directory):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.api = SyncPrefectClient(f"http://127.0.0.1:{port}/api")
        self.environment = {
            **os.environ,
            "PREFECT_HOME": str(directory),
            "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        }
        self.log = (directory / "server.log").open("w")
        self.process = subprocess.Popen(
            [PREFECT, "server", "start", "--port", str(port), "--no-ui"],
            cwd=directory,
            env=self.environment,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )
        self.eventually(lambda: self.api.api_healthcheck() is None, "the server to answer")

    def eventually(self, holds, what, timeout_s=90):
        deadline = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < deadline, f"waited {timeout_s} s in vain for {what}"
            try:
                code = self.process.wait(timeout=0.2)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(f"the server ended with {code}: {Path(self.log.name).read_text()}")

    def prefect(self, *arguments, cwd):
        return subprocess.run(
            [PREFECT, *arguments],
            cwd=cwd,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def deploy(self, flow, name):
        self.api.create_deployment(flow_id=self.api.create_flow_from_name(flow), name=name)

    def runs(self, deployment):
        named = DeploymentFilter(name=DeploymentFilterName(any_=[deployment]))
        return self.api.read_flow_runs(deployment_filter=named)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("prefect"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def project(server, tmp_path_factory):
    """A directory with this repository's prefect.yaml and stand-in flows, deployed to the server."""
    directory = tmp_path_factory.mktemp("project")
    shutil.copy(REPOSITORY / "prefect.yaml", directory)
    (directory / "flows").mkdir()
    for function, name in FLOWS.items():
        (directory / "flows" / f"{function}.py").write_text(STAND_IN.format(name=name, function=function))
    server.prefect("work-pool", "create", "leap", "--type", "process", cwd=directory)
    deployed = server.prefect("deploy", "--all", "--no-prompt", cwd=directory)
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    return directory


def test_a_bare_name_runs_the_only_deployment_so_named(server, project):
    done = server.prefect("deployment", "run", "leap-iteration", cwd=REPOSITORY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [run.parameters["preset"] for run in server.runs("leap-iteration")] == ["demo"]

    worked = server.prefect("worker", "start", "--pool", "leap", "--run-once", cwd=project)
    assert worked.returncode == 0, worked.stdout + worked.stderr
    assert (project / "ran.txt").read_text() == "leap-iteration demo\n"
    assert [run.state_type.value for run in server.runs("leap-iteration")] == ["COMPLETED"]


def test_the_nightly_deployment_gets_scheduled_runs(server, project):
    server.eventually(lambda: server.runs("leap-iteration-nightly"), "scheduled runs")
    runs = server.runs("leap-iteration-nightly")
    assert {run.state_type.value for run in runs} == {"SCHEDULED"}
    assert {f"{run.expected_start_time:%H:%M %Z}" for run in runs} == {"03:30 UTC"}


def test_a_name_with_a_slash_is_left_alone(server, project):
    before = len(server.runs("leap"))
    done = server.prefect("deployment", "run", "leap/leap", cwd=REPOSITORY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(server.runs("leap")) == before + 1


def test_a_name_that_two_deployments_bear_is_refused_with_both(server):
    server.deploy("red", "twin")
    server.deploy("blue", "twin")
    done = server.prefect("deployment", "run", "twin", cwd=REPOSITORY)
    assert done.returncode == 1
    assert "blue/twin, red/twin" in done.stderr
    assert server.runs("twin") == []


def test_an_unknown_name_is_answered_with_the_known_ones(server):
    server.deploy("green", "lonely")
    done = server.prefect("deployment", "run", "lonly", cwd=REPOSITORY)
    assert done.returncode == 1
    assert "green/lonely" in done.stderr
