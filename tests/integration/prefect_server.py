"""A Prefect server and worker of their own, and the command lines that speak to them."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    DeploymentFilter,
    DeploymentFilterName,
)

REPOSITORY = Path(__file__).parents[2]
COMMANDS = Path(sys.executable).parent


class Server:
    """A server on a free port, with its data in `directory`."""

    def __init__(self, directory):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.directory = directory
        self.api = SyncPrefectClient(f"http://127.0.0.1:{port}/api")
        self.environment = {
            **os.environ,
            "PREFECT_HOME": str(directory),
            "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
        }
        self.log = directory / "server.log"
        self.process = self.start("prefect", "server", "start", "--port", str(port), "--no-ui", log=self.log)

    def wait(self):
        """Wait until it answers."""
        self.eventually(lambda: self.api.api_healthcheck() is None, "the server to answer", timeout_s=180)

    def start(self, command, *arguments, log):
        """Start a command that stays, in the repository and in a process group of its own."""
        with log.open("w") as file:
            return subprocess.Popen(
                [str(COMMANDS / command), *arguments],
                cwd=REPOSITORY,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def command(self, command, *arguments):
        """Run a command in the repository to its end."""
        return subprocess.run(
            [str(COMMANDS / command), *arguments],
            cwd=REPOSITORY,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def eventually(self, holds, what, timeout_s=90, every_s=0.2):
        """Wait until `holds()`; give up at once if the server has ended."""
        deadline = time.monotonic() + timeout_s
        while not (found := holds()):
            assert time.monotonic() < deadline, f"waited {timeout_s} s in vain for {what}"
            try:
                code = self.process.wait(timeout=every_s)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(f"the server ended with {code}: {self.log.read_text()}")
        return found

    def deploy(self, flow, name):
        """Make a deployment that nothing will ever run."""
        self.api.create_deployment(flow_id=self.api.create_flow_from_name(flow), name=name)

    def runs(self, deployment):
        """Flow runs of a deployment."""
        named = DeploymentFilter(name=DeploymentFilterName(any_=[deployment]))
        return self.api.read_flow_runs(deployment_filter=named)

    def artifacts(self, flow_run_id):
        """What a flow run shows in the UI, by key."""
        of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
        return {artifact.key: artifact for artifact in self.api.read_artifacts(artifact_filter=of_run)}

    @contextmanager
    def worker(self):
        """Keep a process worker running; yields the path of its log."""
        log = self.directory / "worker.log"
        process = self.start("prefect", "worker", "start", "--pool", "leap", "--type", "process", log=log)
        try:
            self.eventually(lambda: self.api.read_work_pools(), "the worker to make its pool")
            yield log
        finally:
            stop(process)


def stop(process):
    """End a process and all it started."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, kind)
            process.wait(timeout=15)
        except (subprocess.TimeoutExpired, ProcessLookupError):
            continue
