"""Garbage collection spares what may still be wanted; the next iteration forgets none of the later ones."""

import pytest
from leap_command import copy_home

from flows import iteration
from flows.command import cleaning
from flows.evaluate import evaluate
from flows.leap import leap
from flows.leap_iteration import leap_iteration
from flows.presets import experiment_directory
from flows.results.summary import SUMMARY
from leap_core.store.artifacts import ArtifactStore

pytestmark = pytest.mark.slow

SETTINGS = ["execution.num_threads=1", "execution.env_workers=0"]


@pytest.fixture
def copied(undisturbed, tmp_path):
    """A home of the test's own with the artifacts of an undisturbed run, and without its summary."""
    return copy_home(undisturbed.home, tmp_path / "home")


def garbage(home):
    *items, _ = cleaning.collect_garbage(home, delete=False)
    return items


def test_what_a_finished_run_used_is_no_garbage_however_old(copied, monkeypatch):
    leap("smoke", SETTINGS, str(copied))
    monkeypatch.setattr(cleaning, "WORKSPACE_AGE_S", 0.0)
    assert garbage(copied) == []


def test_what_a_run_has_made_that_broke_off_stays_for_a_week(copied, monkeypatch):
    assert garbage(copied) == []
    monkeypatch.setattr(cleaning, "WORKSPACE_AGE_S", 0.0)
    assert len(garbage(copied)) == len(list(ArtifactStore(copied / "artifacts").records()))


def test_what_eval_has_found_stays_as_long_as_the_model(copied, monkeypatch):
    monkeypatch.setattr(cleaning, "WORKSPACE_AGE_S", 0.0)
    store, train = ArtifactStore(copied / "artifacts"), "train"
    evaluate(["base", "training/smoke-i1"], train, "smoke", SETTINGS, str(copied))
    found = {record.ref.id for record in store.records("evaluation") if record.config["split"] == train}
    assert len(found) == 2
    leap("smoke", SETTINGS, str(copied))
    assert garbage(copied) == []
    (experiment_directory(copied, "smoke") / SUMMARY).unlink()  # nothing uses the trained model any more
    list(cleaning.collect_garbage(copied, delete=True))
    assert {record.ref.id for record in store.records("evaluation")} == {name for name in found if "i0" in name}
    assert {record.stage for record in store.records()} == {"specs", "privileged", "base", "evaluation"}


def test_mending_an_early_iteration_leaves_the_later_ones_in_the_experiment(copied):
    store = ArtifactStore(copied / "artifacts")
    model = next(record.ref for record in store.records("training") if record.iteration == 0)
    (store.path(model) / "config.json").unlink()
    summary = leap_iteration("smoke", SETTINGS, str(copied))
    assert [stage["artifact"] for stage in summary["stages"] if stage["state"] != "cached"] == [model.id]
    assert [one["iteration"] for one in summary["iterations"]] == [0, 1]


def test_the_last_iteration_stays_where_nothing_is_left_to_correct_after_it(copied, monkeypatch):
    def improve(run, previous):
        return improve_really(run, previous) if previous.number == 0 else None

    improve_really = iteration.improve
    monkeypatch.setattr(iteration, "improve", improve)
    summary = leap_iteration("smoke", SETTINGS, str(copied), iteration=0)
    assert [one["iteration"] for one in summary["iterations"]] == [0, 1]


def test_an_iteration_alone_keeps_the_test_results_of_a_whole_run(copied):
    whole = leap("smoke", SETTINGS, str(copied))
    summary = leap_iteration("smoke", SETTINGS, str(copied), iteration=1)
    assert (summary["test"], summary["test_of_iteration_0"]) == (whole["test"], whole["test_of_iteration_0"])
    assert summary["evaluations"] == whole["evaluations"]
    assert whole["test_of_iteration_0"] is not None
