"""How many updates trainings make, said before they are made; and which steps become rows by default."""

import pytest

from flows.forecast.planning import plan_experiment
from flows.forecast.updates import foresee_trainings
from flows.presets import read_config
from leap_core.config import TrainingConfig
from leap_core.store.artifacts import ArtifactStore
from leap_core.trainers.base import count_updates, count_warmup, describe_short_training
from tasks.dataset import trains_on_kept_steps


@pytest.mark.parametrize(
    ("num_rows", "batch_size", "epochs", "expected"),
    [(100, 10, 1, 10), (101, 10, 1, 11), (101, 10, 2, 22), (7, 8, 5, 5), (100, 10, 1.5, 15)],
)
def test_updates_are_passes_over_batches_of_rows(num_rows, batch_size, epochs, expected):
    assert count_updates(num_rows, TrainingConfig(batch_size=batch_size, epochs=epochs)) == expected


def test_a_warm_up_is_in_updates_or_a_share_of_them():
    assert count_warmup(300, TrainingConfig()) == 10
    assert count_warmup(301, TrainingConfig(warmup_share=0.1)) == 31


def test_a_training_within_its_warm_up_is_told_with_the_rate_that_it_reaches():
    told = describe_short_training(3, TrainingConfig(learning_rate=3e-5))
    assert "3 updates" in told
    assert "6.0e-06 of 3.0e-05" in told
    assert describe_short_training(10, TrainingConfig()) == ""


def foresee(tmp_path, preset, *settings):
    run = plan_experiment(read_config(preset, ["student.model=bundled", *settings]), ArtifactStore(tmp_path))
    return foresee_trainings(run)


def test_a_plan_says_how_many_updates_each_training_makes_at_most(tmp_path):
    """24 demonstrations and twice 36 rollouts of at most 10 steps each, in batches of 8, five times."""
    trainings = foresee(tmp_path, "intercode")
    assert [one.line for one in trainings] == [
        "training-i0: at most 150 updates of 8 rows each, from at most 240 rows",
        "training-i1: at most 375 updates of 8 rows each, from at most 600 rows",
        "training-i2: at most 600 updates of 8 rows each, from at most 960 rows",
    ]
    assert {one.warning for one in trainings} == {""}
    assert [one.num_rows for one in foresee(tmp_path, "intercode", "dataset.aggregate=latest")] == [240, 360, 360]


def test_a_plan_warns_of_a_training_that_ends_within_its_warm_up(tmp_path):
    first, *others = foresee(tmp_path, "intercode", "training.batch_size=200", "training.epochs=1")
    assert first.warning.startswith("warning: training-i0: ")
    assert all("within its warm-up" in one.warning for one in others)


@pytest.mark.parametrize("preset", ["alfworld", "webshop", "intercode", "alfworld-paper", "webshop-paper", "demo"])
def test_no_preset_trains_less_than_its_warm_up_at_most(preset, tmp_path):
    assert {one.warning for one in foresee(tmp_path, preset)} == {""}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["correction.teacher=oracle"], True),
        (["correction.teacher=openai", 'correction.params={"model": "m"}'], False),
        (["correction.teacher=openai", 'correction.params={"model": "m"}', "dataset.kept_steps=true"], True),
        (["correction.teacher=oracle", "dataset.kept_steps=false"], False),
    ],
)
def test_what_a_sparing_teacher_leaves_alone_is_not_trained_on_unless_it_is_said(settings, expected):
    assert trains_on_kept_steps(read_config("webshop", settings)) is expected


def test_other_teachers_steps_are_all_trained_on():
    config = read_config("alfworld", ["correction.teacher=openai", 'correction.params={"model": "m"}'])
    assert trains_on_kept_steps(config)
