"""prefect.yaml and the flows it names agree."""

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
