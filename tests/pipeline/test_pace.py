"""A long stage says how far it is, a short one does not, and a night's log stays short."""

from itertools import pairwise

from tasks.pace import Pace


def told_at(seconds, every):
    """When something is said, in a stage of so many seconds that could say something every so many."""
    now, told = [0.0], []
    pace = Pace(log=lambda line: told.append(float(line)), clock=lambda: now[0])
    while now[0] < seconds:
        now[0] += every
        pace(str(now[0]))
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
