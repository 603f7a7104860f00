"""What a suite passes over is counted by the stage and said by the summary and the report, also from the store."""

import sys
from pathlib import Path

import pytest

from flows.results.report_data import write_experiment_report
from flows.results.summary import lines_of, read_summary, skipped_by_split
from leap_core.config import LeapConfig
from leap_core.envs.skipped import read_skipped
from leap_core.store.artifacts import ArtifactStore
from tasks.run import Run
from tasks.specs import prepare_specs

sys.path.append(str(Path(__file__).parents[1] / "unit"))

from alfworld_games import write_game

pytestmark = pytest.mark.slow

PASSED_OVER = {"train": {"unsolvable": 1, "damaged": 1}}


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    games = [write_game(tmp_path / "data" / "train" / f"task-{number}" / "trial") for number in range(30)]
    games[3].write_text("{")
    write_game(games[4].parent, solvable=False)
    write_game(tmp_path / "data" / "valid_seen" / "task" / "trial")
    return tmp_path / "data"


def test_the_stage_counts_what_is_passed_over(home, data):
    for _ in ("made", "from the store"):
        run = Run(
            config=LeapConfig.model_validate({"experiment": "t", "environment": {"data": str(data)}}),
            store=ArtifactStore(home),
        )
        train, _dev = prepare_specs(run, "train"), prepare_specs(run, "dev")
        assert skipped_by_split(run) == PASSED_OVER
        assert run.store.record(train).counts == {"specs": 28, "skipped:unsolvable": 1, "skipped:damaged": 1}
        assert set(read_skipped(run.store.path(train)).why) == {"task-3/trial", "task-4/trial"}
    assert [outcome.state for outcome in run.outcomes] == ["cached", "cached"]


def test_fewer_games_than_were_asked_for_are_told(home, data):
    said = []
    config = LeapConfig.model_validate({"experiment": "t", "environment": {"data": str(data), "num_dev": 1}})
    run = Run(config=config, store=ArtifactStore(home), log=said.append)
    prepare_specs(run, "train")
    prepare_specs(run, "dev")
    (warning,) = (line for line in said if "warning" in line)
    assert warning.startswith("specs-train: warning: 28 specs")


def test_summary_and_report_say_it(undisturbed, tmp_path):
    summary = read_summary(undisturbed.home, "smoke")
    assert summary.skipped == {}
    summary = summary.with_(skipped=PASSED_OVER, report=str(tmp_path / "report.html"))
    assert "passed over in train: 1 unsolvable, 1 damaged" in lines_of(summary)
    report = write_experiment_report(ArtifactStore(undisturbed.home / "artifacts"), summary)
    assert "Passed over in train: 1 unsolvable, 1 damaged" in report.read_text()
