"""A long stage says how far it is and how long is left, a short one does not, and a night's log stays short."""

from itertools import pairwise

import pytest

from leap_core.pace import Pace
from leap_core.text.durations import rough, rough_range
from tasks.outlook import StepsSeen


def told_at(seconds, every):
    """When something is said, in a stage of so many seconds that could say something every so many."""
    now, told = [0.0], []
    pace = Pace(log=lambda line: told.append(float(line.partition(",")[0])), clock=lambda: now[0])
    while now[0] < seconds:
        now[0] += every
        pace(str(now[0]), done=now[0], left=seconds - now[0])
    return told


def told_of(total, durations, *, load_s=0.0, num_kept=0):
    """What is said of `total` units of work, of which `num_kept` are read at once, after so many seconds of loading."""
    now, told = [0.0], []
    pace = Pace(log=told.append, clock=lambda: now[0])
    now[0] += load_s
    for done, seconds in enumerate([0.0] * num_kept + durations, 1):
        now[0] += seconds
        pace(str(done), done=done, left=total - done)
    return told


def test_a_short_stage_says_nothing():
    assert told_at(9.9, every=0.1) == []


def test_at_first_every_ten_seconds():
    assert told_at(60, every=0.5) == [10, 20, 30, 40, 50, 60]


def test_what_is_seldom_told_is_all_said():
    assert told_at(100, every=25) == [25, 50, 75, 100]


def test_a_night_leaves_a_line_a_minute_at_most():
    told = told_at(10 * 3600, every=1)
    pauses = [later - earlier for earlier, later in pairwise(told)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 60
    assert len(told) < 10 * 60 + 20


def test_how_long_is_left_goes_by_what_has_been_done():
    told = told_of(1000, [1.0] * 1000)
    assert told[:2] == ["10, about 16 min left", "20, about 16 min left"]
    assert told[-1].startswith("9")
    assert told[-1].endswith(" s left")


def test_neither_loading_nor_what_was_kept_counts_as_work():
    told = told_of(1000, [1.0] * 40, load_s=100.0, num_kept=500)
    assert told[0] == "1", "after the loading, when nothing is known yet"
    assert told[1] == "512, about 8 min left"


def test_a_pace_that_changes_is_soon_followed():
    told = told_of(400, [1.0] * 100 + [3.0] * 100)
    assert told[-1].endswith("about 10 min left"), "200 units of 3 s"


def test_nothing_is_said_of_the_rest_before_a_unit_is_done_and_at_the_end():
    assert told_of(2, [30.0, 30.0]) == ["1", "2"]
    assert told_of(3, [30.0, 30.0]) == ["1", "2, about 30 s left"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0, "10 s"), (31.0, "30 s"), (89.0, "90 s"), (90.0, "2 min"), (754.0, "13 min"), (9000.0, "2.5 h")],
)
def test_times_to_come_are_told_as_roughly_as_they_are_known(seconds, words):
    assert rough(seconds) == words


def test_a_range_names_a_unit_once_and_two_times_only_if_they_differ():
    assert rough_range(1200, 3000) == "20 to 50 min"
    assert rough_range(40, 600) == "40 s to 10 min"
    assert rough_range(600, 610) == "about 10 min"


def test_until_an_episode_ends_early_all_may_go_on_to_the_limit():
    seen = StepsSeen.of([15, 15], [3, 4], limit=15)
    assert seen.foresee([3, 4], num_waiting=10, limit=15) == 12 + 11 + 150


def test_episodes_that_end_early_shorten_what_is_expected_of_the_others():
    """Every fifth step was an end: five steps are expected of an episode without a limit, fewer with one."""
    seen = StepsSeen(num_steps=100, num_early=20)
    assert seen.foresee([], num_waiting=1, limit=10_000) == pytest.approx(5)
    assert seen.foresee([9], num_waiting=1, limit=10) == pytest.approx(1 + 5 * (1 - 0.8**10))


def test_episodes_that_failed_at_once_leave_nothing_to_divide_by():
    assert StepsSeen.of([0, 0], [], limit=15).foresee([], num_waiting=2, limit=15) == 30
