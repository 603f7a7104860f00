"""Demonstrations from the walkthroughs in game files, with reasons that a student could have had."""

import json

import pytest
from alfworld_games import write_game

from leap_core.config import EnvironmentConfig
from leap_core.envs.alfworld.expert.belief import Belief
from leap_core.envs.alfworld.expert.walkthroughs import explain
from leap_core.envs.alfworld.oracle import AlfworldOracle
from leap_core.envs.alfworld.suite import AlfworldSuite
from leap_core.errors import UnknownNameError
from leap_core.gate.realizability import apply_gate
from leap_core.method.demonstrations import demonstrate
from leap_core.types import Correction, CorrectionStatus, StepCorrection

SEARCH = (
    "look", "go to fridge 1", "open fridge 1", "close fridge 1", "go to countertop 1", "take apple 1 from countertop 1",
    "go to microwave 1", "heat apple 1 with microwave 1", "go to diningtable 1", "use desklamp 1",
    "move apple 1 to diningtable 1",
)  # fmt: skip


@pytest.fixture
def played(tmp_path, monkeypatch):
    """The suite on data with one game in each split, its train spec, and that spec's hidden state."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for split in ("train", "valid_seen", "valid_unseen"):
        write_game(tmp_path / "data" / split / "task" / "trial", walkthrough=list(SEARCH))
    config = EnvironmentConfig(data=str(tmp_path / "data"), num_train=1, params={"expert": "walkthrough"})
    suite = AlfworldSuite(config)
    (spec,) = suite.prepare(tmp_path / "specs", "train", 0)
    return suite, suite.make(tmp_path / "specs"), spec, suite.privileged_state(tmp_path / "specs", spec)


def test_the_walkthrough_is_played_to_its_end(played):
    suite, environment, spec, hidden = played
    episode = demonstrate(environment, suite.oracle(), spec, hidden, 0, 30)
    assert episode.success
    assert [step.action.command for step in episode.steps] == list(SEARCH)
    reasons = {step.action.command: step.action.reason for step in episode.steps}
    have_to = "I have to put a hot apple in diningtable."
    assert reasons["close fridge 1"] == f"{have_to} I am done with fridge 1. So I close fridge 1."
    assert reasons["use desklamp 1"] == f"{have_to} I hold apple 1. desklamp 1 gives light. So I use desklamp 1."
    first = AlfworldOracle().advise(spec, episode.steps[:1], episode.steps[1].observation, hidden, 0)
    assert (first.command, first.reason) == ("go to fridge 1", reasons["go to fridge 1"])
    assert all("put a hot apple in diningtable" in reason for reason in reasons.values())


def test_reasons_for_each_kind_of_command(played):
    _, _, spec, _ = played
    seen = Belief(places={"apple 2": "shelf 1", "mug 1": "shelf 2"}, holding=None)
    holding = Belief(holding="apple 2")
    expected = {
        "go to shelf 1": "I saw what I look for on shelf 1.",
        "go to shelf 2": "There may be an apple on shelf 2.",
        "open drawer 1": "drawer 1 is closed, and I have not seen what is in it.",
        "take apple 2 from shelf 1": "apple 2 is here.",
        "inventory": "I want to know more about where I am.",
    }
    for command, why in expected.items():
        assert explain(spec, seen, command).endswith(f"diningtable. {why} So I {command}.")
    expected = {
        "go to microwave 1": "Next I need microwave 1.",
        "heat apple 2 with microwave 1": "apple 2 must be hot.",
        "put apple 2 in/on shelf 1": "This is where apple 2 can be put.",
        "move apple 2 to shelf 1": "This is where apple 2 can be put.",
    }
    for command, why in expected.items():
        assert explain(spec, holding, command).endswith(f"I hold apple 2. {why} So I {command}.")


def test_reasons_pass_the_gate(played):
    suite, environment, spec, hidden = played
    episode = demonstrate(environment, suite.oracle(), spec, hidden, 0, 30)
    steps = tuple(
        StepCorrection(
            step=step.index,
            reason=step.action.reason,
            command=step.action.command,
            status=CorrectionStatus.KEPT,
        )
        for step in episode.steps
    )
    correction = Correction(trajectory_id=episode.id, spec_id=spec.id, teacher="t", level=0, steps=steps)
    assert [step.why for step in apply_gate(correction, episode, hidden).steps] == [""] * len(SEARCH)


def test_off_the_walkthrough_the_other_expert_is_asked(played):
    suite, environment, spec, hidden = played
    observation = environment.reset(spec)
    shortened = hidden.model_copy(update={"facts": {**hidden.facts, "expert_walkthrough": ["open fridge 1"]}})
    own = AlfworldOracle().advise(spec, [], observation, hidden, 100)
    assert suite.oracle().advise(spec, [], observation, shortened, 100) == own
    nothing = hidden.model_copy(update={"facts": {**hidden.facts, "expert_walkthrough": []}})
    assert suite.oracle().advise(spec, [], observation, nothing, 100) == own
    episode = demonstrate(environment, AlfworldOracle(), spec, hidden, 100, 30)
    astray = AlfworldOracle().advise(spec, episode.steps[:2], episode.steps[2].observation, hidden, 100)
    assert suite.oracle().advise(spec, episode.steps[:2], episode.steps[2].observation, hidden, 100) == astray


def test_which_expert(tmp_path):
    assert isinstance(AlfworldSuite(EnvironmentConfig(data=str(tmp_path))).oracle(), AlfworldOracle)
    with pytest.raises(UnknownNameError, match=r"'walktrough'.*'walkthrough'"):
        AlfworldSuite(EnvironmentConfig(data=str(tmp_path), params={"expert": "walktrough"}))


def test_the_files_walkthrough_stays_in_the_hidden_state(played):
    _, _, _, hidden = played
    assert hidden.facts["expert_walkthrough"] == list(SEARCH)
    assert len(hidden.facts["walkthrough"]) < len(SEARCH)
    assert json.dumps(hidden.facts)
