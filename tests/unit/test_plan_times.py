"""How long a plan says that stages will take: by figures of records, else by how fast the model is."""

import json

import pytest

from flows.forecast.times import foresee_times
from flows.iteration import bootstrap
from leap_core.config import LeapConfig
from leap_core.disk.canonical import stage_key
from leap_core.store.artifacts import ArtifactStore
from leap_core.types import Usage
from tasks.keys import declared_key, key_content
from tasks.run import Run

SMALL = {"demonstrations": {"num_episodes": 100}, "environment": {"num_dev": 50, "max_steps": 10}}
"""Beside it, the default settings are twice as much work; they are played and trained in the same way."""
LARGE = {"environment": {"num_dev": 100, "max_steps": 10}, "demonstrations": {"num_episodes": 200}}


@pytest.fixture
def store(tmp_path):
    return ArtifactStore(tmp_path)


def plan(store, sections, **student):
    config = {**sections, "student": {"model": "bundled", "prompt": "compact", **student}}
    run = Run(config=LeapConfig.model_validate(config), store=store, planning=True)
    bootstrap(run)
    return run


def make(store, run, label, seconds, counts, resumed=False):
    """Publish what a plan would make, as if that had taken so long."""
    outcome = next(one for one in run.outcomes if one.label == label)
    stage = outcome.stage
    key = stage_key(
        stage.name,
        stage.version,
        key_content(declared_key(stage.name, stage.version), outcome.identity),
        dict(outcome.inputs),
    )
    with store.lock(stage.name, key):
        (store.workspace(stage.name, key) / "output" / "file").write_text(label)
        return store.publish(
            stage.name,
            key,
            label,
            version=stage.version,
            config=outcome.identity.model_dump(mode="json"),
            inputs=dict(outcome.inputs),
            counts=counts,
            usage=Usage(),
            seconds=seconds,
            resumed=resumed,
            experiment="demo",
        )


DEMONSTRATED = {"episodes": 98, "failed_episodes": 2, "steps": 490}
TRAINED = {"rows": 500, "updates": 63, "warmup_updates": 10, "kept_after_updates": 63, "truncated_rows": 0}


def time_of(run, label, measured=None):
    found = [one for one in foresee_times(run, measured).stages if one.label == label]
    return found[0] if found else None


def change_record(store, ref, **fields):
    path = store.path(ref) / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_twice_as_much_takes_twice_as_long_as_the_last_time_here(store):
    make(store, plan(store, SMALL), "demonstrations-i0", 100.0, DEMONSTRATED)
    told = time_of(plan(store, LARGE), "demonstrations-i0")
    assert (told.low_s, told.high_s, told.is_at_most) == (160, 250, False)
    assert told.words == "demonstrations-i0: 3 to 4 min (by the last time here)"


def test_several_records_span_a_range(store):
    make(store, plan(store, SMALL), "demonstrations-i0", 100.0, DEMONSTRATED)
    slow = plan(store, {**SMALL, "demonstrations": {"num_episodes": 101}})
    make(store, slow, "demonstrations-i0", 400.0, DEMONSTRATED)
    told = time_of(plan(store, LARGE), "demonstrations-i0")
    assert (told.low_s, told.high_s) == (160, 1000)


@pytest.mark.parametrize("fields", [{"machine": "another"}, {"machine": ""}, {"resumed": True}, {"seconds": 0.0}])
def test_neither_other_machines_nor_parts_of_work_tell_anything(store, fields):
    ref = make(store, plan(store, SMALL), "demonstrations-i0", 100.0, DEMONSTRATED)
    change_record(store, ref, **fields)
    assert time_of(plan(store, LARGE), "demonstrations-i0") is None


def test_another_level_of_help_takes_another_time(store):
    make(store, plan(store, SMALL), "demonstrations-i0", 100.0, DEMONSTRATED)
    other = {**LARGE, "demonstrations": {"num_episodes": 200, "level": 0}}
    assert time_of(plan(store, other), "demonstrations-i0") is None


def test_a_training_is_judged_by_rows_and_passes_of_the_same_model_trained_alike(store):
    base = make(store, plan(store, SMALL), "base", 1.0, {})
    make(store, plan(store, SMALL), "training-i0", 100.0, TRAINED)
    make(store, plan(store, SMALL), "demonstrations-i0", 100.0, DEMONSTRATED)
    twice = {**LARGE, "training": {"epochs": 2.0, "learning_rate": 1e-3}}
    told = time_of(plan(store, twice), "training-i0")
    num_rows = 200 * 490 / 98
    assert told.low_s == pytest.approx(2 * num_rows * (100 / 500) / 1.25)
    assert not told.is_at_most
    assert time_of(plan(store, {**LARGE, "training": {"method": "full"}}), "training-i0") is None
    change_record(store, base, config={"kind": "hf", "source": "another"})
    assert time_of(plan(store, twice), "training-i0") is None


def test_without_any_episode_a_training_takes_at_most_what_the_longest_would(store):
    told = foresee_times(plan(store, LARGE), lambda effort: (effort.num, "a row a second"))
    training = next(one for one in told.stages if one.label == "training-i0")
    assert training.is_at_most
    assert training.high_s == pytest.approx(200 * 10 * 1.6)
    assert training.words == "training-i0: at most 53 min (measured: a row a second)"


def test_the_end_adds_up_what_is_known_and_names_the_rest(store):
    told = foresee_times(plan(store, LARGE), lambda effort: (60.0, "so fast"))
    assert [one.label for one in told.stages] == ["training-i0", "evaluation-i0-dev"]
    assert told.lines[-1] == "all stages: at most 3 min, without specs-train, privileged, demonstrations-i0, specs-dev"
    assert foresee_times(plan(store, LARGE), None).lines == []


def test_what_is_in_the_store_takes_no_time(store):
    run = plan(store, LARGE)
    make(store, run, "specs-dev", 1.0, {"specs": 100})
    told = foresee_times(plan(store, LARGE), None)
    assert "specs-dev" not in [*told.unknown, *(one.label for one in told.stages)]


def test_a_model_behind_an_endpoint_is_not_ours_to_time(store):
    told = foresee_times(plan(store, LARGE, kind="openai"), lambda effort: (60.0, "so fast"))
    assert "evaluation-i0-dev" in told.unknown


def test_records_of_another_version_are_passed_over(store):
    """Counts that this version does not know are passed over."""
    make(store, plan(store, SMALL), "demonstrations-i0", 100.0, {"episodes": 98, "something": 3})
    assert time_of(plan(store, LARGE), "demonstrations-i0") is None
