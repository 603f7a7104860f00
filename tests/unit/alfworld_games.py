"""A small kitchen for tests of the ALFWorld engine: all actions are possible in it; two cabinets share a place."""

import json
import re

from leap_core.envs.alfworld.engine.game_file import domain_text, grammar_for

RECEPTACLES = {
    "Cabinet_bar__minus_01_dot_00": ("Cabinet", "loc_bar_1", True),
    "Cabinet_bar__plus_02_dot_00": ("Cabinet", "loc_bar_1", True),
    "CounterTop_bar__plus_00": ("CounterTop", "loc_bar_2", False),
    "Fridge_bar__plus_00": ("Fridge", "loc_bar_3", True),
    "Microwave_bar__plus_00": ("Microwave", "loc_bar_4", True),
    "Sink_bar__plus_00_bar_SinkBasin": ("SinkBasin", "loc_bar_5", False),
    "DiningTable_bar__plus_00": ("DiningTable", "loc_bar_6", False),
    "GarbageCan_bar__plus_00": ("GarbageCan", "loc_bar_7", False),
}
FOOD = "pickupable cleanable heatable coolable"
OBJECTS = {
    "Apple_bar__plus_00": ("Apple", "CounterTop_bar__plus_00", f"{FOOD} sliceable"),
    "Apple_bar__minus_01": ("Apple", "Cabinet_bar__minus_01_dot_00", f"{FOOD} sliceable isHot isClean"),
    "Knife_bar__plus_00": ("Knife", "CounterTop_bar__plus_00", "pickupable cleanable"),
    "Plate_bar__plus_00": ("Plate", "DiningTable_bar__plus_00", f"{FOOD} isReceptacleObject"),
    "DeskLamp_bar__plus_00": ("DeskLamp", "DiningTable_bar__plus_00", "toggleable"),
    "Egg_bar__plus_00": ("Egg", "Fridge_bar__plus_00", FOOD),
    "Mug_bar__plus_00": ("Mug", "Fridge_bar__plus_00", f"{FOOD} isReceptacleObject isCool"),
}
LOCATIONS = [f"loc_bar_{number}" for number in range(8)]

HEAT = """(and (exists (?r - receptacle) (exists (?o - object) (and (heatable ?o) (objectType ?o AppleType)
    (receptacleType ?r DiningTableType) (isHot ?o) (inReceptacle ?o ?r)))))"""
LOOK = """(and
    (exists (?ot - object ?r - receptacle ?a - agent ?l - location) (and (objectType ?ot DeskLampType) (toggleable ?ot)
      (isToggled ?ot) (receptacleAtLocation ?r ?l) (atLocation ?a ?l) (inReceptacle ?ot ?r)))
    (exists (?o - object ?a - agent) (and (objectType ?o AppleType) (holds ?a ?o))))"""
TWO = """(and (exists (?r - receptacle) (exists (?o1 - object) (and (objectType ?o1 AppleType)
    (receptacleType ?r FridgeType) (inReceptacle ?o1 ?r) (exists (?o2 - object) (and (not (= ?o1 ?o2))
    (objectType ?o2 AppleType) (receptacleType ?r FridgeType) (inReceptacle ?o2 ?r)))))))"""
GOALS = {"heat": HEAT, "look": LOOK, "two": TWO}


_WORDINGS = (
    ("move {o} to {r}", "put {o} in/on {r}"),
    ("You move the {o.name} to the {r.name}.", "You put the {o.name} in/on the {r.name}."),
    ("You arrive at {r.name}.", "You arrive at {lend.name}."),
)
"""What ALFWorld changed with 0.4.0: now, and before."""


def older_grammar(grammar):
    """This repository's grammar in the words of ALFWorld up to 0.3.5, which had no `help`."""
    for now, before in _WORDINGS:
        assert now in grammar
        grammar = grammar.replace(now, before)
    return re.sub(r"action help \{.*?\}\n", "", grammar)


def older_domain(domain):
    """The rules of a game without `help`."""
    return re.sub(r"  \(:action help\n.*?\)\)\n\n", "", domain, flags=re.DOTALL)


def problem_text(goal=HEAT, start="loc_bar_0"):
    """The kitchen as a PDDL problem."""
    object_types = sorted({kind for kind, _, _ in OBJECTS.values()} | {"ButterKnife"})
    receptacle_types = sorted({kind for kind, _, _ in RECEPTACLES.values()})
    declared = [
        ("agent1", "agent"),
        *((f"{kind}Type", "otype") for kind in object_types),
        *((f"{kind}Type", "rtype") for kind in receptacle_types),
        *((id, "object") for id in OBJECTS),
        *((id, "receptacle") for id in RECEPTACLES),
        *((id, "location") for id in LOCATIONS),
    ]
    facts = ["= (total-cost) 0", f"atLocation agent1 {start}"]
    for id, (kind, place, openable) in RECEPTACLES.items():
        facts += [f"receptacleType {id} {kind}Type", f"receptacleAtLocation {id} {place}"]
        facts += [f"openable {id}"] * openable
    for id, (kind, receptacle, flags) in OBJECTS.items():
        place = RECEPTACLES[receptacle][1]
        facts += [f"objectType {id} {kind}Type", f"inReceptacle {id} {receptacle}", f"objectAtLocation {id} {place}"]
        facts += [f"{flag} {id}" for flag in flags.split()]
    movable = [kind for kind in object_types if kind != "DeskLamp"]
    facts += [f"canContain {place}Type {kind}Type" for place in receptacle_types for kind in movable]
    facts += [f"= (distance {one} {other}) 3" for one in LOCATIONS for other in LOCATIONS if one != other]
    objects = "\n".join(f"  {name} - {kind}" for name, kind in declared)
    init = "\n".join(f"  ({fact})" for fact in facts)
    return f"""(define (problem kitchen) (:domain alfred)
 (:objects
{objects})
 (:init
{init})
 (:goal {goal})
 (:metric minimize (total-cost)))
"""


def game_data(goal=HEAT, start="loc_bar_0", **changes):
    """The content of a game file."""
    data = {
        "pddl_domain": domain_text(),
        "grammar": grammar_for("put a hot apple in diningtable"),
        "pddl_problem": problem_text(goal, start),
        "walkthrough": None,
        "solvable": True,
    }
    return {**data, **changes}


def write_game(folder, **changes):
    """Write a game file into `folder`, with the data that stands beside it; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "game.tw-pddl"
    path.write_text(json.dumps(game_data(**changes)), encoding="utf-8")
    params = {"object_target": "Apple", "parent_target": "DiningTable", "toggle_target": "", "object_sliced": False}
    trajectory = {"task_type": "pick_heat_then_place_in_recep", "pddl_params": params}
    (folder / "traj_data.json").write_text(json.dumps(trajectory), encoding="utf-8")
    return path
