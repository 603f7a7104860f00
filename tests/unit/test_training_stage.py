"""What a training is known by: all that decides its weights, and no limit that only ends it."""

import pytest

from leap_core.config import LeapConfig
from leap_core.disk.canonical import stage_key
from leap_core.store.artifacts import ArtifactStore
from leap_core.types import ArtifactRef, Usage
from tasks.keys import declared_key, key_content
from tasks.run import Run
from tasks.training import TRAINING, train

DATASET = ArtifactRef(stage="dataset", name="leap-i0", key="d" * 64, digest="d" * 64)
MODEL = ArtifactRef(stage="base", name="leap", key="e" * 64, digest="e" * 64)


def plan_training(store, iteration=0, **sections):
    run = Run(config=LeapConfig.model_validate(sections), store=store, planning=True)
    train(run, iteration, DATASET, MODEL)
    return run.outcomes[0]


@pytest.fixture
def store(tmp_path):
    """It holds the training of the default settings."""
    store = ArtifactStore(tmp_path)
    identity, inputs = plan_training(store).identity, {"dataset": DATASET, "model": MODEL}
    content = key_content(declared_key(TRAINING.name, TRAINING.version), identity)
    key = stage_key(TRAINING.name, TRAINING.version, content, inputs)
    with store.lock(TRAINING.name, key, on_wait=print):
        (store.workspace(TRAINING.name, key) / "output" / "weights").write_text("w")
        store.publish(
            stage=TRAINING.name,
            version=TRAINING.version,
            key=key,
            name="leap-i0",
            config=identity.model_dump(mode="json"),
            inputs=inputs,
            counts={},
            metrics={},
            usage=Usage(),
            seconds=0.0,
            experiment="leap",
            iteration=0,
        )
    return store


def test_another_micro_batch_is_another_training_and_the_plan_says_so(store):
    outcome = plan_training(store, execution={"micro_batch_size": 2})
    assert (outcome.state, outcome.why) == ("run", "execution.micro_batch_size 8 -> 2")


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"execution": {"micro_batch_size": 15}},  # a batch of 8 has no more rows than that
        {"execution": {"batch_size": 2, "save_every_steps": 1, "num_threads": 1, "device": "cpu"}},
        {"training": {"max_truncated_share": 0.9}},
    ],
)
def test_what_changes_no_weights_changes_no_training(store, sections):
    assert plan_training(store, **sections).state == "cached"


def test_iteration_0_has_its_own_rate_and_passes_where_they_are_set(store):
    own = {"training": {"bootstrap_learning_rate": 1e-3, "bootstrap_epochs": 7.0, "learning_rate": 1e-5, "epochs": 2.0}}
    first, later = (plan_training(store, iteration, **own).identity.training for iteration in (0, 1))
    assert (first.learning_rate, first.epochs) == (1e-3, 7.0)
    assert (later.learning_rate, later.epochs) == (1e-5, 2.0)
    assert plan_training(store, 1).identity == plan_training(store, 1, training={"bootstrap_epochs": 9.0}).identity


def test_each_iteration_has_a_seed_of_its_own(store):
    seeds = [plan_training(store, iteration, seed=seed).identity.seed for seed, iteration in ((3, 0), (3, 1), (4, 0))]
    assert len(set(seeds[:2])) == len({seeds[0], seeds[2]}) == 2


def test_settings_of_the_trainer_alone_are_part_of_the_training(store):
    outcome = plan_training(store, training={"params": {"pack_episodes": False}})
    assert outcome.state == "run"
    assert "training.params.pack_episodes" in outcome.why
