"""Plans and the expert, in both wordings: shortest ways by someone who knows where everything is."""

import json
import re
from hashlib import sha256

import pytest
from alfworld_games import GOALS, older_domain, older_grammar, write_game

from leap_core.envs.alfworld.engine.engines import NativeEngine
from leap_core.envs.alfworld.engine.game_file import read_goal
from leap_core.envs.alfworld.environment import AlfworldEnvironment
from leap_core.envs.alfworld.games.generator import generate_games
from leap_core.envs.alfworld.games.routes import NoRouteError, Room, Spot, Thing, shortest_route, spell
from leap_core.envs.alfworld.oracle import AlfworldOracle
from leap_core.envs.alfworld.privileged import AlfworldFacts, StartFacts, reveal, winning_plan
from leap_core.envs.alfworld.world.goals import CLEAN, HEAT, LOOK, PICK, PICK_TWO, TASK_TYPES, Goal
from leap_core.method.demonstrations import demonstrate
from leap_core.types import Spec

WORDINGS = ("move", "put")
NUM_GAMES = 12


@pytest.fixture(scope="module", params=WORDINGS)
def games(request, tmp_path_factory):
    """Generated games of all types, small and full, in one of ALFWorld's two wordings."""
    root, found = tmp_path_factory.mktemp(request.param), []
    for size in ("small", "full"):
        found += [root / size / path for _, path in generate_games(root / size, {"test": NUM_GAMES}, 5, size)]
    if request.param == "put":
        for path in found:
            content = json.loads(path.read_text())
            content["grammar"] = older_grammar(content["grammar"])
            content["pddl_domain"] = older_domain(content["pddl_domain"])
            content["walkthrough"] = [
                re.sub("^move (.*) to ", r"put \1 in/on ", step) for step in content["walkthrough"]
            ]
            path.write_text(json.dumps(content))
    return request.param, found


def hidden_of(path):
    engine = NativeEngine()
    engine.start(path, digest(path))
    return StartFacts(engine.facts())


def digest(path):
    return sha256(path.read_bytes()).hexdigest()


def plan_of(path, walkthrough=()):
    return winning_plan(NativeEngine(), path, digest(path), read_goal(path), hidden_of(path), walkthrough)


def test_plans_are_the_walkthroughs_that_games_were_made_with(games):
    _, paths = games
    for path in paths:
        assert list(plan_of(path)) == json.loads(path.read_text())["walkthrough"]


@pytest.mark.parametrize("level", [0, 100])
def test_the_expert_solves_every_kind_of_task(games, level):
    wording, paths = games
    solved = set()
    for path in paths:
        environment = AlfworldEnvironment(NativeEngine(), path.parent)
        goal, task = read_goal(path), re.search("is to: (.*?)\\.", path.read_text())[1]
        params = {"game": path.name, "sha256": digest(path)}
        spec = Spec(id=str(path), env="alfworld", split="test", instruction=task, group=goal.task_type, params=params)
        state = reveal(spec, goal, hidden_of(path), plan_of(path), (), "test")
        played = demonstrate(environment, AlfworldOracle(), spec, state, level, 60)
        assert played.success, (path, [step.action.command for step in played.steps])
        if goal.task_type != LOOK:
            assert any(step.action.command.startswith(wording) for step in played.steps)
        solved.add(goal.task_type)
    assert solved == set(TASK_TYPES)


def test_a_shorter_way_than_the_files_own_is_taken(tmp_path):
    path = write_game(tmp_path)
    detour = ["look", "go to fridge 1", *plan_of(path)]
    assert plan_of(path, detour) == plan_of(path)


def test_the_files_own_way_is_taken_where_we_know_none(tmp_path):
    path = write_game(tmp_path, goal="(exists (?a - agent ?o - object) (and (objectType ?o EggType) (holds ?a ?o)))")
    way = ["go to fridge 1", "open fridge 1", "take egg 1 from fridge 1", "close fridge 1"]
    assert plan_of(path, way) == tuple(way[:3])
    assert plan_of(path, way[:2]) == ()


def test_a_game_that_is_won_from_the_start_needs_nothing(tmp_path):
    assert plan_of(write_game(tmp_path, goal="(exists (?o - object) (isHot ?o))")) == ()


def spots(*names, closed=()):
    return {name: Spot(name=name, place=f"at {name}", closed=name in closed) for name in names}


def route(things, where, task_type, kind="mug", target="desk", start=""):
    room = Room(spots=where, things=things, start=start)
    return spell(shortest_route(room, Goal(task_type=task_type, object_kind=kind, target_kind=target)))


def test_an_object_in_two_places_is_taken_from_the_nearer_one():
    where = spots("drawer 1", "shelf 1", "desk 1", closed=["drawer 1"])
    mug = Thing(name="mug 1", spots=("drawer 1", "shelf 1"))
    assert route([mug], where, PICK) == [
        "go to shelf 1", "take mug 1 from shelf 1", "go to desk 1", "move mug 1 to desk 1",
    ]  # fmt: skip
    assert route([mug], where, PICK, start="at drawer 1") == [
        "open drawer 1", "take mug 1 from drawer 1", "go to desk 1", "move mug 1 to desk 1",
    ]  # fmt: skip


def test_what_is_done_already_is_not_done_again():
    where = spots("shelf 1", "desk 1", "microwave 1", "sinkbasin 1")
    hot = Thing(name="mug 1", spots=("shelf 1",), states=frozenset({"hot"}))
    cold = Thing(name="mug 2", spots=("desk 1",))
    assert route([hot], where, HEAT) == [
        "go to shelf 1", "take mug 1 from shelf 1", "go to desk 1", "move mug 1 to desk 1",
    ]  # fmt: skip
    assert "heat mug 2 with microwave 1" in route([cold], where, HEAT)
    assert route([hot, cold], where, PICK_TWO) == [
        "go to shelf 1", "take mug 1 from shelf 1", "go to desk 1", "move mug 1 to desk 1",
    ]  # fmt: skip


def test_the_other_wording():
    room = Room(spots=spots("shelf 1", "desk 1"), things=[Thing(name="mug 1", spots=("shelf 1",))], start="")
    steps = shortest_route(room, Goal(task_type=PICK, object_kind="mug", target_kind="desk"))
    assert spell(steps, wording=1)[-1] == "put mug 1 in/on desk 1"


@pytest.mark.parametrize(
    ("names", "task_type"), [(["shelf 1"], PICK), (["shelf 1", "desk 1"], CLEAN), (["shelf 1", "desk 1"], PICK_TWO)]
)
def test_no_way(names, task_type):
    with pytest.raises(NoRouteError, match="mug"):
        route([Thing(name="mug 1", spots=("shelf 1",))], spots(*names), task_type)


def test_text_without_a_plan_names_what_could_serve(tmp_path):
    path = write_game(tmp_path, goal=GOALS["heat"])
    spec = Spec(id="x", env="alfworld", split="test", instruction="put a hot apple in diningtable", params={})
    state = reveal(spec, read_goal(path), hidden_of(path), (), (), "test")
    facts = AlfworldFacts.of(state)
    assert facts.essential_objects == ("apple 1", "apple 2")
    assert facts.critical_locations == ("cabinet 2", "countertop 1", "diningtable 1", "microwave 1")
    assert "Optimal" not in state.text
    assert "- microwave 1 (to heat it, closed at first)" in state.text
