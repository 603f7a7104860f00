"""The real language model of the preset `laptop`, by its name: the doctor looks at it, and it plays."""

import pytest
from leap_command import last_json, leap_here
from real_model import give_real_model, make_real_model, needs_real_model

from leap_core.method.tables import read_trajectories
from leap_core.store.artifacts import ArtifactStore
from leap_core.students.smollm2 import SMOLLM2

pytestmark = [needs_real_model, pytest.mark.slow]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home in which the model has been made."""
    return give_real_model(make_real_model(tmp_path_factory), tmp_path_factory.mktemp("laptop"))


def test_the_doctor_finds_nothing_wrong_with_it(home):
    done = leap_here("doctor", "model", SMOLLM2, "--home", home)
    assert done.returncode == 0
    assert {line.split()[0] for line in done.stdout.splitlines()} == {"ok"}
    assert "134,515,008" in done.stdout


def test_it_plays_a_game(home):
    small = ("environment.num_train=1", "environment.num_dev=1", "environment.num_test=1", "environment.max_steps=3")
    counts = ("demonstrations.num_episodes=1", "rollout.num_episodes=1", "execution.env_workers=0")
    settings = (*small, *counts, "student.max_new_tokens=48")
    done = leap_here(
        "eval", "base", *("--split", "dev", "--preset", "laptop", "--home", home, "--json"), settings=settings
    )
    assert last_json(done)
    store = ArtifactStore(home / "artifacts")
    (record,) = store.records("evaluation")
    (episode,) = read_trajectories(store.path(record.ref))
    assert len(episode.steps) == 3
    assert all(step.action.command in step.observation.admissible for step in episode.steps)
    assert all(len(step.reply.split()) > 1 for step in episode.steps)
