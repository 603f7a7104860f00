"""What the base student is pre-trained on: every answer in a narration is true."""

import re
from random import Random

import pytest

from leap_core.config import EnvironmentConfig
from leap_core.envs.alfworld.belief import Belief, kind_of
from leap_core.envs.alfworld.random_play import play_randomly
from leap_core.envs.alfworld.suite import AlfworldSuite


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Each step's belief, reason and command, over some games."""
    root = tmp_path_factory.mktemp("world")
    suite = AlfworldSuite(EnvironmentConfig(engine="native", num_train=30))
    environment, rng, steps = suite.make(root), Random(3), []
    for spec in suite.prepare(root, "train", 7):
        episode = play_randomly(environment, spec, 15, rng)
        steps += [
            (spec, Belief.after(episode.steps[: step.index], step.observation), step.action, step.observation)
            for step in episode.steps
        ]
    return steps


def test_commands_are_admissible_and_end_the_reason(told):
    for spec, _, action, observation in told:
        assert action.command in observation.admissible
        assert action.reason.startswith(f"I have to {spec.instruction.rstrip('.')}.")
        named = " ".join(action.command.partition(" from ")[0].split()[-2:])
        assert action.reason.endswith(f" {named}.")


def test_what_is_said_to_be_seen_was_seen_and_the_rest_was_not(told):
    seen = [
        (belief, *found) for _, belief, a, _ in told for found in re.findall(r"([a-z]+ \d+) (seen|not yet)\.", a.reason)
    ]
    assert {answer for *_, answer in seen} == {"seen", "not yet"}
    assert all((place in belief.seen) == (answer == "seen") for belief, place, answer in seen)


def test_what_is_said_of_this_place_is_so(told):
    asked = [
        (belief, *found)
        for _, belief, a, _ in told
        for found in re.findall(r"Is an? (\w+) here\? (No|Yes, [a-z]+ \d+)", a.reason)
    ]
    assert {answer[:2] for *_, answer in asked} == {"No", "Ye"}
    for belief, kind, answer in asked:
        present = {name for name in belief.objects_in(belief.location) if kind_of(name) == kind}
        assert answer.removeprefix("Yes, ") in present if present else answer == "No"


def test_what_is_said_of_the_object_in_hand_is_so(told):
    asked = [
        (b, *found) for _, b, a, _ in told for found in re.findall(r"Is it (an? )?(\w+)\? (Yes|No|Not yet)\.", a.reason)
    ]
    assert {answer for *_, answer in asked} == {"Yes", "No", "Not yet"}
    for belief, article, word, answer in asked:
        is_so = kind_of(belief.holding) == word if article else belief.has_state(belief.holding, word)
        assert is_so == (answer == "Yes")
