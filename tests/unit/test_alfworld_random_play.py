"""What the base student is pre-trained on: every answer in a narration is true."""

import re
from random import Random

import pytest

from leap_core.config import EnvironmentConfig
from leap_core.envs.alfworld.expert.belief import Belief, kind_of
from leap_core.envs.alfworld.expert.random_play import play_randomly
from leap_core.envs.alfworld.suite import AlfworldSuite
from leap_core.envs.alfworld.world.goals import parse_goal


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Each step's belief, reason and command, over some games."""
    root = tmp_path_factory.mktemp("world")
    suite = AlfworldSuite(EnvironmentConfig(num_train=30))
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


def test_where_it_says_it_is_there_it_is(told):
    assert all((f"I am at {belief.location}." in a.reason) == bool(belief.location) for _, belief, a, _ in told)
    closed = [(belief, a.reason) for _, belief, a, _ in told if " is closed." in a.reason]
    assert closed
    assert all(f"{belief.location} is closed." in reason for belief, reason in closed)


@pytest.mark.parametrize("question", [r"an? (\w+)()", r"another (\w+) than (\w+ \d+)"])
def test_what_is_said_to_be_seen_of_a_kind_is_so(told, question):
    asked = [
        (belief, *found)
        for _, belief, a, _ in told
        for found in re.findall(
            rf"I look for {question}, (?:(not seen yet)|seen as (\w+ \d+) (?:in|on) (\w+ \d+))\.", a.reason
        )
    ]
    assert {bool(unseen) for *_, unseen, _, _ in asked} == {True, False}
    for belief, kind, besides, unseen, name, place in asked:
        found = {name: place for name, place in belief.places.items() if kind_of(name) == kind and name != besides}
        assert not besides or besides in belief.places
        assert not found if unseen else found[name] == place


def test_the_object_that_is_lacking_is_asked_about_last(told):
    for spec, belief, action, _ in told:
        if belief.holding is None:
            kind = parse_goal(spec.instruction).object_kind
            last = re.findall(r"I look for an?(?:other)? (\w+)", action.reason)[-1]
            assert last == kind


def test_what_is_said_of_the_object_in_hand_is_so(told):
    asked = [
        (b, *found) for _, b, a, _ in told for found in re.findall(r"Is it (an? )?(\w+)\? (Yes|No|Not yet)\.", a.reason)
    ]
    assert {answer for *_, answer in asked} == {"Yes", "No", "Not yet"}
    for belief, article, word, answer in asked:
        is_so = kind_of(belief.holding) == word if article else belief.has_state(belief.holding, word)
        assert is_so == (answer == "Yes")
