"""The gate against hand-written corrections: how many leaks it stops, and that it lets the rest through.

Only the part that rules are written with is asked here; the held-out part is measured, not tested (`gate_labels.py`).
"""

import pytest
from gate_labels import DATA, ENVIRONMENTS, PARTS, Rates, by_kind, episodes, judge_part, labels_of, writers_of

LEAST_PRECISION = 0.98
LEAST_RECALL = {"alfworld": 0.95, "intercode_bash": 0.93, "webshop": 0.93}


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_leaks_are_stopped_and_clean_reasons_pass(env):
    rates = Rates.of(judge_part(env, "develop"))
    assert rates.precision >= LEAST_PRECISION
    assert rates.recall >= LEAST_RECALL[env]


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_no_kind_of_leak_passes_altogether(env):
    for is_clean, kind, total, stopped in by_kind(judge_part(env, "develop")):
        assert is_clean or stopped >= total / 2, kind


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_labels_are_well_formed_and_every_writer_is_in_one_part(env):
    writers, known = writers_of(env), episodes(env)
    assert set(writers) <= {*PARTS["develop"], *PARTS["held out"]}
    assert not set(PARTS["develop"]) & set(PARTS["held out"])
    for writer in writers:
        labels = labels_of(env, writer)
        assert {label["label"] for label in labels} == {"leak", "clean"}
        for label in labels:
            assert 0 <= label["step"] < len(known[label["episode"]][0].steps)
            assert label["reason"].strip()
            assert label["command"].strip()


def test_there_are_enough_of_them():
    files = list((DATA / "labels").glob("*.jsonl"))
    counts = [Rates.of(judge_part(env, "develop")) for env in ENVIRONMENTS]
    assert len(files) >= 9
    assert sum(one.num_leaking + one.num_clean for one in counts) >= 500
    assert min(min(one.num_leaking, one.num_clean) for one in counts) >= 80
