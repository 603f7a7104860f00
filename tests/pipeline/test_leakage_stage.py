"""The stage that measures corrections, in a run of the smallest environment: what it leaves alone, stops and shows."""

import json

import pytest
from leap_command import HERE

from flows.forecast.times import foresee_times
from flows.leap import leap as leap_flow
from flows.leap import walk_leap
from flows.run import open_run
from leap_core.errors import ConfigError
from leap_core.loading import check_names
from leap_core.method.tables import TRAIN_ROWS, read_leakage, read_training_rows, read_turn_rows
from leap_core.store.artifacts import ArtifactStore
from tasks.leakage import LEAKAGE, LeakageIdentity
from tasks.stage import StageWork

pytestmark = pytest.mark.slow
MEASURED = (*HERE, "gate.measure=student", "gate.num_counterfactuals=2")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The home of three runs: without measuring, with it, and with a threshold below all that is measured."""
    home = tmp_path_factory.mktemp("home")
    for name, settings in (
        ("off", HERE),
        ("on", MEASURED),
        ("strict", (*MEASURED, "gate.max_bits=0", "dataset.aggregate=all")),
    ):
        leap_flow("toy", [*settings, f"experiment={name}"], str(home))
    return home


def summary(home, name):
    return json.loads((home / "experiments" / name / "summary.json").read_text())


def artifact(home, name, stage, iteration=1):
    store = ArtifactStore(home / "artifacts")
    (id,) = [one["artifact"] for one in summary(home, name)["stages"]
             if (one["stage"], one["iteration"]) == (stage, iteration)]  # fmt: skip
    return store, store.resolve(id)


def rows_of(home, name):
    store, ref = artifact(home, name, "leakage")
    return read_leakage(store.path(ref))


def test_without_measuring_nothing_is_another(home):
    off, on = summary(home, "off"), summary(home, "on")
    stages = {one["stage"]: one["key"] for one in off["stages"] if one["iteration"] == 1}
    assert "leakage" not in stages
    assert {one["key"] for one in on["stages"] if one["stage"] == "correction"} == {stages["correction"]}
    assert off["leakage"] == {}


def test_each_correction_that_passed_is_measured(home):
    store, correction = artifact(home, "on", "correction")
    passed = [row for row in read_turn_rows(store.path(correction)) if row.accepted or row.leaked]
    rows = rows_of(home, "on")
    assert [(row.episode, row.step) for row in rows] == [(row.episode, row.step) for row in passed]
    assert all(row.are_made and row.num_others <= 2 for row in rows)
    assert any(row.num_others for row in rows)
    assert all(row.bits == pytest.approx(0, abs=1e-9) for row in rows if not row.num_others)


def test_rows_to_train_on_say_what_was_measured(home):
    store, dataset = artifact(home, "on", "dataset")
    measured = {(row.episode, row.step): row for row in rows_of(home, "on")}
    rows = read_training_rows(store.path(dataset) / TRAIN_ROWS)
    corrected = [row for row in rows if row.iteration == 1]
    assert corrected
    for row in corrected:
        assert row.bits == measured[row.episode, row.step].bits
    assert all(row.bits is None for row in rows if row.iteration == 0)


def test_a_threshold_keeps_corrections_out_and_measures_nothing_anew(home):
    measuring = [one for one in summary(home, "strict")["stages"] if one["stage"] == "leakage"]
    assert [one["state"] for one in measuring] == ["cached"]
    store, dataset = artifact(home, "strict", "dataset")
    above = {(row.episode, row.step) for row in rows_of(home, "strict") if row.reason_bits > 0}
    assert above
    assert store.record(dataset).counts["objected:bits"] == len(above)
    kept = {(row.episode, row.step) for row in read_training_rows(store.path(dataset) / TRAIN_ROWS)}
    assert not kept & above


def test_the_report_and_the_summary_say_what_corrections_measure(home):
    found = summary(home, "strict")["leakage"]["1"]
    rows = rows_of(home, "strict")
    assert found["num_measured"] == len(rows)
    assert found["above"] == pytest.approx(sum(row.reason_bits > 0 for row in rows) / len(rows))
    assert sum(found["agreement"].values()) == len(rows)
    page = (home / "experiments" / "strict" / "report.html").read_text()
    assert "only the hidden state makes likely" in page
    assert "only the hidden state makes likely" not in (home / "experiments" / "off" / "report.html").read_text()


def test_what_was_cut_off_goes_on_from_its_last_shard_to_the_same_rows(home, tmp_path):
    store, ref = artifact(home, "on", "leakage")
    record = store.record(ref)
    told = []

    def attempt(progress):
        config = open_run("toy", [*MEASURED, "execution.shard_size=2"], str(home)).placed_config()
        (tmp_path / "output").mkdir(exist_ok=True)
        return LEAKAGE.work(
            StageWork(
                identity=LeakageIdentity.model_validate(record.config),
                config=config,
                inputs={role: store.path(ref) for role, ref in record.inputs.items()},
                output=tmp_path / "output",
                scratch=tmp_path / "scratch",
                log=told.append,
                progress=progress,
            )
        )

    def cut_off(line, *, done, left):
        told.append(done)
        if len(told) > 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(cut_off)
    told.clear()
    report = attempt(lambda line, *, done, left: told.append(done))
    assert report.resumed
    assert told[1] > told[0] + 2  # what was measured before is not measured again
    assert read_leakage(tmp_path / "output") == rows_of(home, "on")


def test_a_plan_says_how_long_measuring_takes(home):
    plan = open_run("toy", [*MEASURED, "experiment=more", "gate.num_counterfactuals=3"], str(home)).as_plan()
    walk_leap(plan)
    (outcome,) = [one for one in plan.outcomes if one.stage.name == "leakage"]
    assert outcome.state == "run"
    assert "gate.num_counterfactuals" in outcome.why
    effort = outcome.stage.effort(plan.planned_call(outcome))
    assert effort.num > 0
    assert outcome.label in foresee_times(plan, None).unknown  # none with three was made here yet


@pytest.mark.parametrize(
    ("settings", "item"),
    [
        (["gate.max_bits=0.1"], "gate.measure"),
        (["gate.measure=student", "student.kind=openai", "student.model=gpt"], "gate.measure"),
    ],
)
def test_settings_that_cannot_be_meant_are_told(settings, item, tmp_path):
    with pytest.raises(ConfigError) as error:
        check_names(open_run("toy", [*HERE, *settings], str(tmp_path)).config)
    assert error.value.item == item
