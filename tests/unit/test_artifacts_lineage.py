"""Ancestors, differences, garbage."""

import os
import shutil
import time

import pytest
from artifact_tools import publish

from leap_core.errors import ArtifactError
from leap_core.store.artifacts import ArtifactStore
from leap_core.store.lineage import WORKSPACE_AGE_S, diff, gc, left_alone, lineage

STAGES = {"specs", "privileged", "rollout", "correction", "training"}
KEY = "ab12cd34" + "0" * 56


@pytest.fixture
def store(home):
    return ArtifactStore(home)


@pytest.fixture
def chain(store):
    """A diamond: specs -> privileged, rollout -> correction (of both); and one that stands alone."""
    specs = publish(store, {"a": "specs"}, stage="specs")
    privileged = publish(store, {"a": "privileged"}, stage="privileged", inputs={"specs": specs})
    rollout = publish(store, {"a": "rollout"}, stage="rollout", inputs={"specs": specs}, temperature=0.3)
    inputs = {"rollout": rollout, "privileged": privileged}
    correction = publish(store, {"a": "correction"}, stage="correction", inputs=inputs)
    alone = publish(store, {"a": "alone"}, stage="specs", seed=9)
    return {"specs": specs, "privileged": privileged, "rollout": rollout, "correction": correction, "alone": alone}


def test_ancestors_come_before_what_was_made_from_them(store, chain):
    ancestors = lineage(store, chain["correction"])
    assert sorted(ref.stage for ref in ancestors) == ["privileged", "rollout", "specs"]
    assert ancestors[0] == chain["specs"]
    assert lineage(store, chain["specs"]) == []


def test_an_ancestor_that_is_gone_is_still_named(store, chain):
    gc(store, [chain["specs"]], dry_run=False, stages=STAGES)
    with pytest.raises(ArtifactError):
        store.path(chain["rollout"])
    orphan = publish(store, {"a": "x"}, stage="correction", inputs={"rollout": chain["rollout"]})
    assert lineage(store, orphan) == [chain["rollout"]]


def test_differences_name_settings_inputs_and_code(store, chain):
    hotter = publish(store, {"a": "rollout"}, stage="rollout", inputs={"specs": chain["alone"]}, temperature=1.0)
    assert diff(store, chain["rollout"], hotter) == [
        "temperature 0.3 -> 1.0",
        f"input specs {chain['specs'].key[:8]} -> {chain['alone'].key[:8]}",
    ]
    assert diff(store, hotter, hotter) == []
    with_less = publish(store, {"a": "correction"}, stage="correction", inputs={"rollout": chain["rollout"]})
    assert diff(store, chain["correction"], with_less) == [
        f"input privileged {chain['privileged'].key[:8]} -> (absent)"
    ]


def test_artifacts_of_two_stages_do_not_compare(store, chain):
    with pytest.raises(ArtifactError) as raised:
        diff(store, chain["rollout"], chain["correction"])
    assert raised.value.item == chain["correction"].id


def test_garbage_is_what_nothing_kept_was_made_from(store, chain):
    listed = gc(store, [chain["correction"]], dry_run=True, stages=STAGES)
    assert [removal.path for removal in listed] == [store.path(chain["alone"])]
    assert listed[0].size > len("alone")
    assert len(list(store.records())) == 5

    assert gc(store, [chain["correction"]], dry_run=False, stages=STAGES) == listed
    assert {record.ref for record in store.records()} == set(chain.values()) - {chain["alone"]}
    assert gc(store, [chain["correction"]], dry_run=False, stages=STAGES) == []


def test_with_nothing_to_keep_everything_goes(store, chain):
    assert len(gc(store, [], dry_run=False, stages=STAGES)) == 5
    assert store.directories() == []
    assert list(store.damaged.iterdir()) == []


def test_damaged_artifacts_go_where_their_records_say_what_is_theirs(store, chain):
    path = store.path(chain["specs"])
    (path / "a").write_text("altered")
    publish(store, {"a": "specs"}, stage="specs")
    alone = store.path(chain["alone"])
    (alone / "record.json").write_text("{")
    (removal,) = gc(store, chain.values(), dry_run=False, stages=STAGES)
    assert removal.why == "it was set aside as damaged"
    (left,) = left_alone(store, STAGES)
    assert (left.path, alone.exists()) == (alone, True)
    assert "record.json is damaged" in left.why


def test_work_that_can_be_resumed_stays_until_it_is_a_week_old(store):
    work = store.workspace("training", KEY)
    (work / "scratch" / "checkpoint").write_text("x")
    assert gc(store, [], dry_run=False, stages=STAGES) == []

    past = time.time() - WORKSPACE_AGE_S - 60
    for path in [*work.rglob("*"), work]:
        os.utime(path, (past, past))
    with store.lock("training", KEY):
        assert gc(store, [], dry_run=False, stages=STAGES) == []
    assert [removal.path for removal in gc(store, [], dry_run=False, stages=STAGES)] == [work]
    assert not work.exists()


def test_leftover_work_of_a_published_artifact_goes(store, chain):
    work = store.workspace("specs", chain["specs"].key)
    assert [removal.path for removal in gc(store, chain.values(), dry_run=False, stages=STAGES)] == [work]


def test_what_is_not_ours_and_what_is_linked_is_never_deleted(store, chain, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    store.path(chain["correction"]).rename(elsewhere)
    (store.home / "correction" / "demo-00000000").symlink_to(elsewhere)
    (store.home / "linked").symlink_to(tmp_path)
    mine = [store.home / "specs" / "mine" / "a", store.home / "notes" / "demo-ab12cd34" / "a", elsewhere / "a"]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    (store.path(chain["alone"]) / "notes.txt").write_text("mine")
    for _ in range(2):
        gc(store, [], dry_run=False, stages=STAGES)
    assert [path.read_text() for path in mine] == ["mine"] * 3
    assert (store.path(chain["alone"]) / "notes.txt").exists()
    with pytest.raises(ArtifactError):
        store.path(chain["rollout"])
    assert {(left.path.name, left.why.partition(",")[0]) for left in left_alone(store, STAGES)} == {
        ("demo-00000000", "is a link"),
        ("mine", "is not named as artifacts are"),
        ("demo-ab12cd34", "is of no stage"),
        (store.path(chain["alone"]).name, "holds notes.txt"),
        *((path.name, "is of no stage") for path in tmp_path.iterdir() if path.is_dir()),
    }


def test_strangers_in_work_and_in_what_was_set_aside_are_never_deleted(store, chain):
    work = store.workspace("training", KEY)
    (work / "mine").write_text("mine")
    past = time.time() - WORKSPACE_AGE_S - 60
    for path in [*work.rglob("*"), work]:
        os.utime(path, (past, past))
    aside = store.set_aside(store.path(chain["alone"]))
    (aside / "mine").write_text("mine")
    copied = store.path(chain["specs"]).parent / "copy-0123abcd"
    shutil.copytree(store.path(chain["specs"]), copied)
    gc(store, [], dry_run=False, stages=STAGES)
    assert [(path / "mine").read_text() for path in (work, aside)] == ["mine"] * 2
    assert {left.path for left in left_alone(store, STAGES)} == {work, aside, copied}


def test_a_workspace_whose_lock_is_a_pipe_is_left_and_said(store):
    work = store.workspace("training", KEY)
    os.mkfifo(store.home / ".locks" / f"training-{KEY[:16]}.lock")
    assert gc(store, [], dry_run=False, stages=STAGES) == []
    (left,) = left_alone(store, STAGES)
    assert left.path == work
    assert "lock" in left.why


def test_artifacts_that_name_each_other_as_input_come_to_an_end(store, chain):
    path = store.path(chain["specs"]) / "record.json"
    record = store.record(chain["specs"])
    inputs = {"self": chain["specs"], "later": chain["correction"]}
    path.write_text(record.with_(inputs=inputs).model_dump_json())
    assert {ref.stage for ref in lineage(store, chain["correction"])} == {"specs", "privileged", "rollout"}
    assert len(gc(store, [chain["correction"]], dry_run=True, stages=STAGES)) == 1
