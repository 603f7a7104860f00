"""The gate against hand-written corrections: how many leaks it stops, and that it lets the rest through."""

import pytest
from gate_labels import LABELS, judge, rates

FILES = sorted(LABELS.glob("*.json"))
LEAST_RECALL = {"alfworld": 0.85, "intercode_bash": 0.95, "webshop": 0.9}
"""On those held out. What is missed are paraphrases that name nothing: "the third one it is"."""


def test_there_are_enough_of_them():
    counts = [rates(judge(file))[2:] for file in FILES]
    assert sum(map(sum, counts)) >= 200
    assert min(map(min, counts)) >= 25


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_leaks_are_stopped_and_clean_reasons_pass(file):
    precision, recall, *_ = rates([one for one in judge(file) if one.is_held_out])
    assert precision >= 0.95
    assert recall >= LEAST_RECALL[file.stem]
