"""prefect.yaml and the flows it names agree, and loading a flow settles what libraries read only once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from prefect.flows import load_flow_from_entrypoint

REPOSITORY = Path(__file__).parents[2]
DEPLOYMENTS = {one["name"]: one for one in yaml.safe_load((REPOSITORY / "prefect.yaml").read_text())["deployments"]}


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_names_a_flow_that_takes_its_parameters(name, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    deployment = DEPLOYMENTS[name]
    flow = load_flow_from_entrypoint(deployment["entrypoint"])
    assert flow.name == name.removesuffix("-nightly")
    flow.validate_parameters(deployment["parameters"])


def test_the_night_is_scheduled_and_one_iteration_runs_at_a_time():
    schedule = {"cron": "30 3 * * *", "timezone": "UTC"}
    assert DEPLOYMENTS["leap-iteration-nightly"]["schedules"] == [schedule]
    for name in ("leap-iteration", "leap-iteration-nightly"):
        assert DEPLOYMENTS[name]["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}


@pytest.mark.slow
def test_settings_of_libraries_stand_before_torch_and_the_hub_are_imported(tmp_path):
    settled = {"OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
    program = (
        "import os, sys\n"
        "from prefect.flows import load_flow_from_entrypoint\n"
        "load_flow_from_entrypoint('flows/leap_iteration.py:leap_iteration')\n"
        "from flows.run import open_run\n"
        f"open_run('smoke', [], {str(tmp_path)!r})\n"
        f"assert {{name: os.environ.get(name) for name in {list(settled)}}} == {settled}\n"
        "assert not {'torch', 'huggingface_hub'} & set(sys.modules)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name not in settled}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
