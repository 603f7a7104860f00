"""Kinds of leaks: written and read in one place, and earlier rejections are still read."""

import pytest

from leap_core.gate.kinds import LeakKind, cause_of, is_leak, kind_of_leak, leak, leak_in_command


@pytest.mark.parametrize("kind", LeakKind)
@pytest.mark.parametrize("written", [leak, leak_in_command])
def test_a_kind_is_read_back(kind, written):
    why = written(kind, "tells: that")
    assert is_leak(why)
    assert kind_of_leak(why) is kind
    assert cause_of(why) == "leak"


def test_a_leak_of_an_earlier_version_has_no_kind():
    why = "leak: the reason names 'mug 2', which the student had not seen"
    assert (is_leak(why), kind_of_leak(why), cause_of(why)) == (True, None, "leak")


@pytest.mark.parametrize("why", ["", "no reason", "inadmissible: leak (place): no", "leakage: x", "leaks"])
def test_other_causes_are_none(why):
    assert (is_leak(why), kind_of_leak(why), cause_of(why)) == (False, None, why.partition(":")[0])
