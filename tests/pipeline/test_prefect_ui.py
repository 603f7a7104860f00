"""What Prefect is shown of a flow run, and that a run does not hang on it."""

import httpx
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.context import FlowRunContext

from flows.prefect_side import ui
from leap_core.config import LeapConfig, Section
from leap_core.errors import StageFailedError
from leap_core.store.artifacts import ArtifactStore
from tasks.counts import Counts
from tasks.run import Run
from tasks.stage import Stage, StageReport

pytestmark = pytest.mark.slow


class Identity(Section):
    name: str


def write(work):
    if work.identity.name == "bad":
        raise StageFailedError("no luck")
    (work.output / "text").write_text(work.identity.name)
    return StageReport()


STAGE = Stage(name="stage", version=1, work=write, counts=Counts)


def walk_over(*names):
    def walk(run):
        for name in names:
            STAGE(run, Identity(name=name), {}, part=name)

    return walk


@pytest.fixture
def run_flow(home):
    """Run a walk as a flow that shows its progress; return the flow run's id and what was said."""

    def run_flow(walk):
        said, seen = [], []
        run = Run(config=LeapConfig(experiment="my_test"), store=ArtifactStore(home), log=said.append)

        @flow
        def walking():
            seen.append(FlowRunContext.get().flow_run.id)
            with ui.progress(run, walk):
                walk(run)

        try:
            walking()
        except StageFailedError:
            said.append("failed")
        return seen[0], said

    return run_flow


def pictures(flow_run_id):
    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=of_run)
    return [(one.key, one.data, one.description) for one in found if one.key]  # Prefect keeps results without a key


def test_one_picture_a_run_that_ends_at_the_end(run_flow):
    run_flow(walk_over("a"))
    flow_run_id, _ = run_flow(walk_over("a", "b"))
    assert pictures(flow_run_id) == [("my-test-progress", 100.0, "2 stages, 1 of them made in this run")]


def test_a_failed_run_leaves_it_where_it_stopped(run_flow):
    flow_run_id, said = run_flow(walk_over("a", "b", "bad", "c"))
    assert said[-1] == "failed"
    assert pictures(flow_run_id) == [("my-test-progress", 50.0, "2 of 4 stages; the last: stage-b, computed")]


@pytest.mark.parametrize("function", ["create_progress_artifact", "update_progress_artifact"])
def test_a_picture_that_prefect_does_not_take_fails_nothing_and_is_said(run_flow, monkeypatch, function):
    def refuse(*args, **kwargs):
        raise httpx.ConnectError("gone")

    monkeypatch.setattr(ui, function, refuse)
    _, said = run_flow(walk_over("a"))
    assert any("gone" in line for line in said)
    assert said[-1] != "failed"
