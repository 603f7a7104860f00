"""After one run, `leap plan` says how long another will take, from what the first one took."""

import pytest
from leap_command import last_json, leap_here

pytestmark = pytest.mark.slow


def plan(home, *options, settings=()):
    done = leap_here("plan", "smoke", "--json", "--home", home, *options, settings=settings)
    return done.stdout, last_json(done)["times"]


def test_another_rate_costs_trainings_and_what_follows_from_them(undisturbed):
    said, times = plan(undisturbed.home, settings=("training.learning_rate=0.001", "execution.num_threads=1"))
    expected = {"training-i0", "evaluation-i0-dev", "rollout-i1", "correction-i1", "training-i1", "evaluation-i1-dev"}
    assert expected <= {one["label"] for one in times}
    assert all(0 < one["low_s"] < one["high_s"] and one["basis"].endswith("here") for one in times)
    assert "training-i0: " in said
    assert "all stages: " in said
    assert "measured" not in said, "no model is loaded"


def test_what_has_been_made_takes_no_time(undisturbed):
    said, times = plan(undisturbed.home)
    assert times == []
    assert "all stages" not in said
