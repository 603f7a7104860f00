"""Demonstrations by people: the original's file of trajectories, and episodes that follow it."""

import json

import pytest

from leap_core.config import EnvironmentConfig
from leap_core.envs.webshop.expert.human import key_of, read_trajectories
from leap_core.envs.webshop.oracle import WebshopOracle
from leap_core.envs.webshop.suite import WebshopSuite
from leap_core.errors import LeapError
from leap_core.method.demonstrations import demonstrate
from leap_core.types import Action, Step


def trajectory(instruction, commands, **changes):
    """One line in the original's format: every other command by its number in a list."""
    listed = [["click[back to search]", command] if place % 2 else [] for place, command in enumerate(commands)]
    entry = {
        "states": [f"Amazon Shopping Game\nInstruction: \n{instruction}\n[button] Search [button_]", *["page"] * 9],
        "actions": [command if place % 2 == 0 else "unused" for place, command in enumerate(commands)],
        "action_idxs": [1 if place % 2 else -1 for place in range(len(commands))],
        "available_actions": listed,
        "images": [0] * len(commands),
    }
    return json.dumps({**entry, **changes})


def suite_of(path, **params):
    params = {"nouns": "rules", **({"trajectories": str(path)} if path else {}), **params}
    return WebshopSuite(EnvironmentConfig(name="webshop", num_train=4, num_dev=2, params=params))


@pytest.fixture(scope="module")
def goal(tmp_path_factory):
    """Somebody's way to one of the goals, with a look at the description that the rules would not take."""
    root = tmp_path_factory.mktemp("plain")
    suite = suite_of(None)
    spec = suite.prepare(root, "train", 7)[3]
    episode = demonstrate(suite.make(root), suite.oracle(), spec, suite.privileged_state(root, spec), 100, 15)
    first, second, *rest = [step.action.command for step in episode.steps]
    return spec, [first, second, "click[description]", "click[< prev]", *rest]


def test_reading(tmp_path):
    path = tmp_path / "il.jsonl"
    lines = [
        trajectory('I Want "a" lamp., and price lower than 40.00 dollars', ["search[Lamp]", "click[Item - Lamp A]"]),
        trajectory("i want a lamp", ["search[second]"]),
        "",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert read_trajectories(path) == {"i want a lamp": ("search[lamp]", "click[item - lamp a]")}
    assert key_of("i  want 'a' lamp.") == "i want a lamp"


@pytest.mark.parametrize(
    ("line", "message"),
    [("{", "line 1"), ("[]", "line 1"), (trajectory("x", ["search[a]"], action_idxs=[]), "IndexError"),
     (trajectory("x", ["search[a]"], actions=None), "line 1"), ('{"states": []}', "KeyError")],
)  # fmt: skip
def test_lines_that_are_no_trajectories(tmp_path, line, message):
    path = tmp_path / "il.jsonl"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(LeapError, match=rf"{message}.*baseline_models"):
        read_trajectories(path)


def test_a_file_that_is_missing(tmp_path):
    with pytest.raises(LeapError, match=r"Cannot read .*il\.jsonl.*baseline_models"):
        suite_of(tmp_path / "il.jsonl").prepare(tmp_path, "train", 7)


def test_people_are_followed_and_their_goals_come_first(tmp_path, goal):
    known, commands = goal
    path = tmp_path / "il.jsonl"
    path.write_text(trajectory(known.instruction, commands), encoding="utf-8")
    suite = suite_of(path)
    specs = suite.prepare(tmp_path, "train", 7)
    assert (len(specs), specs[0]) == (4, known)
    environment, state = suite.make(tmp_path), suite.privileged_state(tmp_path, known)
    episode = demonstrate(environment, suite.oracle(), known, state, 100, 15)
    assert [step.action.command for step in episode.steps] == commands
    assert episode.score == 1.0
    assert all(step.action.reason for step in episode.steps)


def test_where_a_page_does_not_offer_what_was_done_the_rules_go_on(tmp_path, goal):
    known, commands = goal
    path = tmp_path / "il.jsonl"
    path.write_text(trajectory(known.instruction, [commands[0], "click[item - gone]", commands[-1]]), encoding="utf-8")
    suite = suite_of(path)
    suite.prepare(tmp_path, "train", 7)
    state = suite.privileged_state(tmp_path, known)
    episode = demonstrate(suite.make(tmp_path), suite.oracle(), known, state, 100, 15)
    assert episode.score == 1.0
    assert "click[item - gone]" not in [step.action.command for step in episode.steps]


def test_a_student_who_went_another_way_is_not_told_what_people_did(tmp_path, goal):
    known, commands = goal
    path = tmp_path / "il.jsonl"
    path.write_text(trajectory(known.instruction, commands), encoding="utf-8")
    suite = suite_of(path)
    suite.prepare(tmp_path, "train", 7)
    environment, history = suite.make(tmp_path), []
    observation = environment.reset(known)
    for command in ("click[nothing]", commands[0], commands[1]):
        action = Action(reason="", command=command)
        history.append(Step(index=len(history), observation=observation, action=action))
        observation = environment.step(command).observation
    state = suite.privileged_state(tmp_path, known)
    advice = suite.oracle().advise(known, history, observation, state, 100)
    assert advice == WebshopOracle().advise(known, history, observation, state, 100)
    assert advice.command != commands[2]


def test_trajectories_about_other_goals_are_an_error(tmp_path):
    path = tmp_path / "il.jsonl"
    path.write_text(trajectory("i want the moon", ["search[moon]"]), encoding="utf-8")
    with pytest.raises(LeapError, match=r"None of the 1 trajectories.*goals to train on"):
        suite_of(path).prepare(tmp_path, "train", 7)
    assert suite_of(path).prepare(tmp_path, "dev", 7)
