"""Other hidden states: what was seen stays true in them, what was not is otherwise."""

import hashlib
import json
import re
from random import Random

import pytest

from leap_core.config import EnvironmentConfig
from leap_core.envs.alfworld.engine.engines import LIBRARY
from leap_core.envs.alfworld.engine.game_file import read_goal
from leap_core.envs.alfworld.environment import game_of
from leap_core.envs.alfworld.expert.belief import Belief, kind_of
from leap_core.envs.alfworld.privileged import AlfworldFacts
from leap_core.envs.alfworld.suite import AlfworldSuite
from leap_core.envs.toy.privileged import HiddenThings
from leap_core.envs.toy.suite import ToySuite
from leap_core.envs.webshop.privileged import HiddenGoal
from leap_core.envs.webshop.site.wording import queries
from leap_core.envs.webshop.suite import WebshopSuite
from leap_core.types import Action, Step

NUM_STEPS = 8


@pytest.fixture(scope="module")
def alfworld(tmp_path_factory):
    root = tmp_path_factory.mktemp("alfworld")
    suite = AlfworldSuite(EnvironmentConfig(num_train=12))
    return suite, root, suite.prepare(root, "train", 5)


def wander(environment, spec, seed, num_steps=NUM_STEPS):
    """So many random steps, and one more whose action was not taken yet; doors and receptacles are opened."""
    rng, observation, steps = Random(seed), environment.reset(spec), []
    for index in range(num_steps):
        opening = [command for command in observation.admissible if command.startswith(("open", "take"))]
        command = rng.choice(opening or [one for one in observation.admissible if one.startswith("go")])
        steps.append(Step(index=index, observation=observation, action=Action(reason="", command=command)))
        observation = environment.step(command).observation
    return [*steps, Step(index=num_steps, observation=observation, action=Action(reason="", command="look"))]


def rebuilt(path, sha256, moved, folder):
    """The same game file with things in other receptacles from the start."""
    game, ids = json.loads(path.read_text()), {}
    for id, name in LIBRARY.get(path, sha256).game.names.items():
        ids[name] = id.lower()
    problem = game["pddl_problem"]
    spots = {id.lower(): place for id, place in re.findall(r"\(receptacleAtLocation (\S+) (\S+)\)", problem)}
    for thing, place in moved.items():
        for fact, where in (("inReceptacle", ids[place]), ("objectAtLocation", spots[ids[place]])):
            old = re.compile(rf"\({fact} {ids[thing]} \S+\)", re.IGNORECASE)
            problem, num = old.subn(f"({fact} {ids[thing]} {where})", problem)
            assert num == 1
    content = json.dumps({**game, "pddl_problem": problem})
    folder.mkdir(parents=True)
    (folder / "game.tw-pddl").write_text(content)
    (folder / "traj_data.json").write_bytes((path.parent / "traj_data.json").read_bytes())
    return folder / "game.tw-pddl", hashlib.sha256(content.encode()).hexdigest()


@pytest.mark.parametrize("num_steps", [0, 3, NUM_STEPS])
def test_a_room_that_is_otherwise_where_nobody_looked_plays_the_same_so_far(alfworld, tmp_path, num_steps):
    suite, root, specs = alfworld
    num_moved = 0
    for number, spec in enumerate(specs[:6]):
        steps = wander(suite.make(root), spec, number, num_steps)
        true = suite.privileged_state(root, spec)
        other = suite.counterfactual(root, spec, true, steps, Random(number))
        before, after = (AlfworldFacts.of(state).locations for state in (true, other))
        moved = {thing: place for thing, place in after.items() if place != before[thing]}
        num_moved += len(moved)
        path, sha256 = rebuilt(*game_of(root, spec), moved, tmp_path / str(number))
        again = suite.make(tmp_path)
        there = spec.with_(params={"game": f"{number}/{path.name}", "sha256": sha256})
        observation = again.reset(there)
        for step in steps:
            assert observation == step.observation
            observation = again.step(step.action.command).observation
        hidden_there = suite.privileged_state(tmp_path, there)
        assert AlfworldFacts.of(hidden_there).locations == after
    assert num_moved > 6


def test_all_that_was_not_seen_moves_and_the_text_says_so(alfworld):
    suite, root, specs = alfworld
    for number, spec in enumerate(specs):
        steps = wander(suite.make(root), spec, number, 2)
        true = suite.privileged_state(root, spec)
        other = suite.counterfactual(root, spec, true, steps, Random(0))
        belief = Belief.after(steps[:-1], steps[-1].observation)
        before, after = (AlfworldFacts.of(state) for state in (true, other))
        goal = read_goal(game_of(root, spec)[0])
        for thing, place in before.locations.items():
            seen = place in belief.seen
            assert (after.locations[thing] == place) == seen or kind_of(thing) == goal.target_kind, (spec.id, thing)
            assert seen or after.locations[thing] not in belief.seen
        wanted = [thing for thing in before.locations if kind_of(thing) == before.object_kind]
        if all(before.locations[thing] not in belief.seen for thing in wanted):
            assert other.text != true.text
            assert after.walkthrough != before.walkthrough
            assert not any(kind_of(after.locations[thing]) == before.target_kind for thing in wanted)
        assert other.text.splitlines()[0] == true.text.splitlines()[0]
        assert other.spec_id == true.spec_id


def test_the_same_rng_gives_the_same_and_another_another(alfworld):
    suite, root, specs = alfworld
    steps, true = wander(suite.make(root), specs[0], 0, 0), suite.privileged_state(root, specs[0])
    made = [suite.counterfactual(root, specs[0], true, steps, Random(seed)) for seed in (1, 1, *range(2, 8))]
    assert made[0] == made[1]
    assert len({state.text for state in made}) > 1


def test_what_was_seen_whole_leaves_nothing_else(alfworld):
    suite, root, specs = alfworld
    true = suite.privileged_state(root, specs[0])
    environment = suite.make(root)
    observation, steps = environment.reset(specs[0]), []
    for place in (one.name for one in AlfworldFacts.of(true).receptacles):
        for command in (f"go to {place}", f"open {place}"):
            if command in observation.admissible:
                steps.append(Step(index=len(steps), observation=observation, action=Action(reason="", command=command)))
                observation = environment.step(command).observation
    steps.append(Step(index=len(steps), observation=observation, action=Action(reason="", command="look")))
    assert suite.counterfactual(root, specs[0], true, steps, Random(0)) is true


def test_the_toy_changes_what_is_behind_closed_doors(tmp_path):
    suite = ToySuite(EnvironmentConfig(name="toy", num_train=6))
    spec = suite.prepare(tmp_path, "train", 0)[0]
    environment, true = suite.make(tmp_path), suite.privileged_state(tmp_path, spec)
    steps = [Step(index=0, observation=environment.reset(spec), action=Action(reason="", command="open"))]
    steps.append(Step(index=1, observation=environment.step("open").observation, action=steps[0].action))
    other = suite.counterfactual(tmp_path, spec, true, steps, Random(0))
    before, after = (HiddenThings.of(state).locations for state in (true, other))
    assert {thing for thing, door in before.items() if after[thing] == door} == {
        thing for thing, door in before.items() if door == "door 1"
    }
    assert sorted(after.values()) == sorted(before.values())


def test_a_shop_names_another_product_that_no_page_has_shown(tmp_path):
    suite = WebshopSuite(EnvironmentConfig(name="webshop", num_train=6, params={"nouns": "rules"}))
    num_made = 0
    for spec in suite.prepare(tmp_path, "train", 5):
        environment, true = suite.make(tmp_path), suite.privileged_state(tmp_path, spec)
        facts = HiddenGoal.of(true)
        query = Action(reason="", command=f"search[{queries(spec.instruction)[0]}]")
        steps = [Step(index=0, observation=environment.reset(spec), action=query)]
        steps.append(Step(index=1, observation=environment.step(query.command).observation, action=query))
        made = [suite.counterfactual(tmp_path, spec, true, steps, Random(seed)) for seed in (0, 0, 1, 2)]
        assert made[0] == made[1]
        for other in made:
            if other is true:
                continue
            num_made += 1
            hidden = HiddenGoal.of(other)
            assert hidden.name != facts.name
            assert all(word not in steps[1].observation.text for word in (hidden.asin, hidden.name))
            assert (hidden.attributes, hidden.options) == (facts.attributes, facts.options)
            assert other.text.splitlines()[:-1] == true.text.splitlines()[:-1]
            assert other.text.endswith(hidden.name)
            advice = suite.oracle().advise(spec, steps[:1], steps[1].observation, other, 100)
            assert advice.command
        environment.close()
    assert num_made > 6
