"""One generated game: what is where, the goal, the PDDL problem that states both, and a shortest plan."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from leap_core.envs.alfworld.games.routes import Room, Spot, Thing, shortest_route, spell
from leap_core.envs.alfworld.games.scenes import Scene
from leap_core.envs.alfworld.world.goals import APPLIANCES, LOOK, PICK_TWO, Goal
from leap_core.envs.alfworld.world.kinds import LAMP, OBJECTS, OPENABLE

_ABILITIES = ("cleanable", "heatable", "coolable", "sliceable", "vessel")
_ALWAYS_DECLARED = ("ButterKnife", "Knife"), ("Fridge", "Microwave", "SinkBasin")
"""Kinds of objects and of receptacles that the domain names, so that a problem must declare them."""


@dataclass(frozen=True, kw_only=True)
class Receptacle:
    """One receptacle: `id` as in PDDL, `name` as in text ("cabinet 3"), `location` where an agent stands to use it."""

    id: str
    name: str
    kind: str
    location: str


@dataclass(frozen=True, kw_only=True)
class Placed:
    """One object and the receptacle it starts in."""

    id: str
    name: str
    kind: str
    receptacle: Receptacle


@dataclass(frozen=True, kw_only=True)
class Game:
    """One game. `object_kind` and `target_kind` are in ALFWorld's spelling; `sentence` has no final full stop."""

    id: str
    scene: Scene
    goal: Goal
    object_kind: str
    target_kind: str
    sentence: str
    receptacles: tuple[Receptacle, ...]
    objects: tuple[Placed, ...]
    start: str

    @property
    def digest(self) -> str:
        """Hexadecimal; equal for two games if and only if scene, goal and every object's place are the same."""
        places = sorted([placed.name, placed.receptacle.name] for placed in self.objects)
        goal = [self.goal.task_type, self.goal.object_kind, self.goal.target_kind]
        return sha256(json.dumps([self.scene.number, goal, places]).encode()).hexdigest()


def problem_text(game: Game) -> str:
    """The PDDL problem of a game."""
    lines = [f"(define (problem plan_{game.id})", "(:domain alfred)", "(:objects", "    agent1 - agent"]
    lines += [f"    {declaration}" for declaration in _declarations(game)]
    lines += [")", "(:init"]
    lines += [f"    ({fact})" for fact in _facts(game)]
    lines += [")", f"(:goal {_goal(game)})", ")"]
    return "\n".join(lines) + "\n"


def _declarations(game: Game) -> Iterator[str]:
    objects, receptacles = _ALWAYS_DECLARED
    yield from (f"{kind}Type - otype" for kind in sorted({*objects, *(placed.kind for placed in game.objects)}))
    yield from (f"{kind}Type - rtype" for kind in sorted({*receptacles, *(spot.kind for spot in game.receptacles)}))
    yield from (f"{placed.id} - object" for placed in game.objects)
    yield from (f"{receptacle.id} - receptacle" for receptacle in game.receptacles)
    yield from (f"{location} - location" for location in (game.start, *(spot.location for spot in game.receptacles)))


def _facts(game: Game) -> Iterator[str]:
    yield f"atLocation agent1 {game.start}"
    for receptacle in game.receptacles:
        yield f"receptacleType {receptacle.id} {receptacle.kind}Type"
        yield f"receptacleAtLocation {receptacle.id} {receptacle.location}"
        if receptacle.kind in OPENABLE:
            yield f"openable {receptacle.id}"
    for placed in game.objects:
        yield f"objectType {placed.id} {placed.kind}Type"
        yield f"inReceptacle {placed.id} {placed.receptacle.id}"
        yield f"objectAtLocation {placed.id} {placed.receptacle.location}"
        yield from (f"{fact} {placed.id}" for fact in _abilities(placed.kind))
    yield from _containment(game)


def _abilities(kind: str) -> list[str]:
    if kind == LAMP:
        return ["toggleable"]
    present = [ability for ability in _ABILITIES if ability in OBJECTS[kind].abilities]
    return ["pickupable", *("isReceptacleObject" if ability == "vessel" else ability for ability in present)]


def _containment(game: Game) -> Iterator[str]:
    present = sorted({placed.kind for placed in game.objects} - {LAMP})
    for receptacle_kind in sorted({receptacle.kind for receptacle in game.receptacles}):
        for kind in present:
            if receptacle_kind in OBJECTS[kind].fits:
                yield f"canContain {receptacle_kind}Type {kind}Type"


def _goal(game: Game) -> str:
    if game.goal.task_type == LOOK:
        return (
            "(and (exists (?ot - object ?r - receptacle ?a - agent ?l - location) (and "
            f"(objectType ?ot {game.target_kind}Type) (toggleable ?ot) (isToggled ?ot) "
            "(receptacleAtLocation ?r ?l) (atLocation ?a ?l) (inReceptacle ?ot ?r))) "
            f"(exists (?o - object ?a - agent) (and (objectType ?o {game.object_kind}Type) (holds ?a ?o))))"
        )
    placed = _is_placed(game, "?o")
    if game.goal.task_type == PICK_TWO:
        placed += f" (exists (?o2 - object) (and (not (= ?o ?o2)) {_is_placed(game, '?o2')}))"
    return f"(and (exists (?r - receptacle) (exists (?o - object) (and {placed}))))"


def _is_placed(game: Game, variable: str) -> str:
    verb, _ = APPLIANCES.get(game.goal.task_type, ("", ""))
    changed = f"({verb}able {variable}) (is{str(game.goal.state).capitalize()} {variable}) " if verb else ""
    return (
        f"{changed}(objectType {variable} {game.object_kind}Type) "
        f"(receptacleType ?r {game.target_kind}Type) (inReceptacle {variable} ?r)"
    )


def walkthrough(game: Game) -> list[str]:
    """A shortest list of commands that wins; of several, the one with the lowest numbers."""
    spots = {
        spot.name: Spot(name=spot.name, place=spot.location, closed=spot.kind in OPENABLE) for spot in game.receptacles
    }
    things = [Thing(name=placed.name, spots=(placed.receptacle.name,)) for placed in game.objects]
    return spell(shortest_route(Room(spots=spots, things=things, start=game.start), game.goal))
