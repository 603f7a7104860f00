"""Ancestors, differences, garbage."""

import os
import time

import pytest
from artifact_tools import publish

from leap_core.artifacts import ArtifactStore
from leap_core.errors import ArtifactError
from leap_core.lineage import WORKSPACE_AGE_S, diff, gc, lineage

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
    gc(store, [chain["specs"]], dry_run=False)
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
    with pytest.raises(ArtifactError, match="two stages"):
        diff(store, chain["rollout"], chain["correction"])


def test_garbage_is_what_nothing_kept_was_made_from(store, chain):
    listed = gc(store, [chain["correction"]], dry_run=True)
    assert [removal.path for removal in listed] == [store.path(chain["alone"])]
    assert listed[0].size > len("alone")
    assert len(list(store.records())) == 5

    assert gc(store, [chain["correction"]], dry_run=False) == listed
    assert {record.ref for record in store.records()} == set(chain.values()) - {chain["alone"]}
    assert gc(store, [chain["correction"]], dry_run=False) == []


def test_with_nothing_to_keep_everything_goes(store, chain):
    assert len(gc(store, [], dry_run=False)) == 5
    assert store.directories() == []
    assert list(store.damaged.iterdir()) == []


def test_damaged_artifacts_go(store, chain):
    (store.path(chain["specs"]) / "record.json").unlink()
    publish(store, {"a": "specs"}, stage="specs")
    (store.path(chain["alone"]) / "record.json").write_text("{")
    reasons = [removal.why for removal in gc(store, chain.values(), dry_run=False)]
    assert [why.partition(":")[0] for why in reasons] == [
        "record.json is damaged or of another version",
        "it was set aside as damaged",
    ]
    assert store.problems() == []


def test_work_that_can_be_resumed_stays_until_it_is_a_week_old(store):
    work = store.workspace("training", KEY)
    (work / "scratch" / "checkpoint").write_text("x")
    assert gc(store, [], dry_run=False) == []

    past = time.time() - WORKSPACE_AGE_S - 60
    for path in [*work.rglob("*"), work]:
        os.utime(path, (past, past))
    with store.lock("training", KEY):
        assert gc(store, [], dry_run=False) == []
    assert [removal.path for removal in gc(store, [], dry_run=False)] == [work]
    assert not work.exists()


def test_leftover_work_of_a_published_artifact_goes(store, chain):
    work = store.workspace("specs", chain["specs"].key)
    assert [removal.path for removal in gc(store, chain.values(), dry_run=False)] == [work]


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
        gc(store, [], dry_run=False, stages={"specs", "privileged", "rollout", "correction"})
    assert [path.read_text() for path in mine] == ["mine"] * 3
    assert (store.path(chain["alone"]) / "notes.txt").exists()
    with pytest.raises(ArtifactError):
        store.path(chain["rollout"])


def test_artifacts_that_name_each_other_as_input_come_to_an_end(store, chain):
    path = store.path(chain["specs"]) / "record.json"
    record = store.record(chain["specs"])
    inputs = {"self": chain["specs"], "later": chain["correction"]}
    path.write_text(record.model_copy(update={"inputs": inputs}).model_dump_json())
    assert {ref.stage for ref in lineage(store, chain["correction"])} == {"specs", "privileged", "rollout"}
    assert len(gc(store, [chain["correction"]], dry_run=True)) == 1
