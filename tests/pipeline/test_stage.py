"""What a stage promises: made once, found again, never trusted when damaged, resumed, and planned with a reason."""

import time

import pytest
from pydantic import Field

from leap_core.config import LeapConfig, Section
from leap_core.errors import StageFailedError
from leap_core.store.artifacts import ArtifactStore
from tasks.counts import Count, Counts
from tasks.planned import is_pending
from tasks.run import Run
from tasks.stage import Stage, StageReport

pytestmark = pytest.mark.slow


class Identity(Section):
    text: str = "a"
    copies: int = 1


class Copied(Counts):
    copies: Count


def write(work):
    upstream = "".join((path / "text").read_text() for path in work.inputs.values())
    (work.output / "text").write_text(upstream + work.identity.text * work.identity.copies)
    return StageReport(counts=Copied(copies=work.identity.copies))


FIRST = Stage(name="first", version=1, work=write, counts=Copied)
SECOND = Stage(name="second", version=1, work=write, counts=Copied)


@pytest.fixture
def open_run(home):
    def open_run(planning=False):
        return Run(config=LeapConfig(experiment="test"), store=ArtifactStore(home), planning=planning)

    return open_run


def states(run):
    return [outcome.state for outcome in run.outcomes]


def chain(run, identity=None):
    first = FIRST(run, identity or Identity(), {})
    return SECOND(run, Identity(), {"upstream": first})


def test_made_once_then_cached(open_run):
    ref = chain(open_run())
    again = open_run()
    assert chain(again) == ref
    assert states(again) == ["cached", "cached"]
    assert (again.store.path(ref) / "text").read_text() == "aa"


def test_a_state_in_prefect_says_cached(open_run):
    from prefect import flow
    from prefect.client.orchestration import get_client

    chain(open_run())

    @flow
    def walk():
        from prefect.context import FlowRunContext

        chain(open_run())
        return str(FlowRunContext.get().flow_run.id)

    def task_states(client):
        runs = [run for run in client.read_task_runs() if str(run.flow_run_id) == flow_run_id]
        return sorted((run.name, run.state_name) for run in runs)

    flow_run_id, deadline = walk(), time.monotonic() + 60
    with get_client(sync_client=True) as client:
        expected = [("first", "Cached"), ("second", "Cached")]
        while task_states(client) != expected and time.monotonic() < deadline:
            time.sleep(0.1)  # the server learns of task states from events, a moment later
        assert task_states(client) == expected


@pytest.mark.parametrize("change", [{"text": "b"}, {"copies": 2}])
def test_another_identity_makes_another_artifact(open_run, change):
    chain(open_run())
    run = open_run()
    chain(run, Identity(**change))
    assert states(run) == ["computed", "computed"]


def test_the_same_bytes_from_another_identity_leave_what_follows_cached(open_run):
    chain(open_run(), Identity(text="xx", copies=1))
    run = open_run()
    chain(run, Identity(text="x", copies=2))
    assert states(run) == ["computed", "cached"]


@pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_text("zz")])
def test_a_damaged_artifact_is_made_again(open_run, damage):
    ref = chain(open_run())
    damage(open_run().store.path(ref) / "text")
    said = []
    run = open_run()
    run.log = said.append
    assert chain(run) == ref
    assert states(run) == ["cached", "computed"]
    assert any("made again" in line for line in said)
    assert (run.store.path(ref) / "text").read_text() == "aa"


def test_another_version_of_a_stage_is_another_stage(open_run):
    chain(open_run())
    newer = Stage(name="first", version=2, work=write, counts=Copied)
    run = open_run(planning=True)
    newer(run, Identity(), {})
    assert run.outcomes[0].why == "stage version 1 -> 2"


def test_a_plan_names_a_field_by_its_setting(open_run):
    class Titled(Section):
        text: str = Field(title="game.text_{part}")
        copies: int

    FIRST(open_run(), Titled(text="a", copies=1), {}, part="dev")
    run = open_run(planning=True)
    FIRST(run, Titled(text="b", copies=2), {}, part="dev")
    assert run.outcomes[0].why == "copies 1 -> 2; game.text_dev a -> b"


def test_a_plan_names_what_changed_and_does_nothing(open_run):
    chain(open_run())
    run = open_run(planning=True)
    assert is_pending(chain(run, Identity(copies=3)))
    assert [(outcome.state, outcome.why) for outcome in run.outcomes] == [
        ("run", "copies 1 -> 3"),
        ("run", "waits for upstream"),
    ]
    again = open_run(planning=True)
    chain(again)
    assert states(again) == ["cached", "cached"]


def test_failed_work_publishes_nothing_and_keeps_its_scratch(open_run):
    attempts = []

    def fail_once(work):
        done = work.scratch / "shard"
        attempts.append(done.exists())
        if not done.exists():
            done.write_text("half")
            (work.output / "text").write_text("torn")
            raise StageFailedError("no luck")
        return write(work)

    stage = Stage(name="first", version=1, work=fail_once, counts=Copied)
    with pytest.raises(StageFailedError, match="no luck"):
        stage(open_run(), Identity(), {})
    run = open_run()
    ref = stage(run, Identity(), {})
    assert attempts == [False, True]
    assert (run.store.path(ref) / "text").read_text() == "a"


def test_the_same_stage_twice_in_one_run_is_told_once(open_run):
    run = open_run()
    assert FIRST(run, Identity(), {}) == FIRST(run, Identity(), {})
    assert states(run) == ["computed"]


def test_the_same_stage_twice_is_told_once_in_a_plan(open_run):
    run = open_run(planning=True)
    chain(run)
    chain(run)
    assert [outcome.label for outcome in run.outcomes] == ["first", "second"]
