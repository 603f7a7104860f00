"""Counts of stages: typed where they are made and read, flat in a record, and never of an unknown kind."""

from typing import Annotated

import pytest
from pydantic import ValidationError

from leap_core.errors import ArtifactError
from tasks.counts import ByKind, Count, Counts, Each


class Some(Counts):
    episodes: Count
    suspect: Count = 0
    rejected: Count
    rejected_for: Annotated[ByKind, Each("rejected:{}")]
    rows: Annotated[ByKind, Each("iteration_{}_rows")]


SOME = Some(episodes=3, rejected=2, rejected_for={"leak": 1, "no reason": 1}, rows={"0": 5})
FLAT = {"episodes": 3, "rejected": 2, "rejected:leak": 1, "rejected:no reason": 1, "iteration_0_rows": 5}


def test_flat_in_a_record_and_back():
    assert SOME.flat() == FLAT
    assert Some.read(FLAT) == SOME
    assert Some.read({**FLAT, "suspect": 4}).suspect == 4


@pytest.mark.parametrize("change", [{"unknown": 1}, {"episodes": -1}, {"rejected:leak": "many"}, {"iteration_rows": 1}])
def test_what_a_stage_does_not_know_is_an_error_that_names_it(change):
    with pytest.raises(ArtifactError, match="Some") as caught:
        Some.read(FLAT | change, "some/demo-i1-1a2b3c4d")
    assert caught.value.item == "some/demo-i1-1a2b3c4d"


def test_a_count_that_is_missing_is_an_error():
    with pytest.raises(ArtifactError, match="Some"):
        Some.read({"episodes": 3})


def test_no_count_is_negative_or_unknown_when_it_is_made():
    with pytest.raises(ValidationError):
        Some(episodes=-1, rejected=0, rejected_for={}, rows={})
    with pytest.raises(ValidationError):
        Some(episodes=1, rejected=0, others=2)
