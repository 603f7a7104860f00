"""One generated game: what is where, the goal, the PDDL problem that states both, and a shortest plan."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import permutations

from leap_core.envs.alfworld.goals import APPLIANCES, CLEAN, COOL, HEAT, LOOK, PICK_TWO, Goal
from leap_core.envs.alfworld.kinds import LAMP, OBJECTS, OPENABLE
from leap_core.envs.alfworld.scenes import Scene

_ABILITY_FACTS = {
    "cleanable": "cleanable",
    "heatable": "heatable",
    "coolable": "coolable",
    "sliceable": "sliceable",
    "vessel": "isReceptacleObject",
}
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
    object_kinds, receptacle_kinds = _kinds(game)
    yield from (f"{kind}Type - otype" for kind in object_kinds)
    yield from (f"{kind}Type - rtype" for kind in receptacle_kinds)
    yield from (f"{placed.id} - object" for placed in game.objects)
    yield from (f"{receptacle.id} - receptacle" for receptacle in game.receptacles)
    yield from (f"{location} - location" for location in (game.start, *(spot.location for spot in game.receptacles)))


def _kinds(game: Game) -> tuple[list[str], list[str]]:
    objects, receptacles = _ALWAYS_DECLARED
    return (
        sorted({*objects, *(placed.kind for placed in game.objects)}),
        sorted({*receptacles, *(receptacle.kind for receptacle in game.receptacles)}),
    )


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
    return ["pickupable", *(fact for ability, fact in _ABILITY_FACTS.items() if ability in OBJECTS[kind].abilities)]


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
    states = {
        CLEAN: f"(cleanable {variable}) (isClean {variable}) ",
        HEAT: f"(heatable {variable}) (isHot {variable}) ",
        COOL: f"(coolable {variable}) (isCool {variable}) ",
    }
    return (
        f"{states.get(game.goal.task_type, '')}(objectType {variable} {game.object_kind}Type) "
        f"(receptacleType ?r {game.target_kind}Type) (inReceptacle {variable} ?r)"
    )


@dataclass
class _Walk:
    """A list of commands in the making, which skips what is not needed: going where one stands, opening the open."""

    commands: list[str] = field(default_factory=list)
    at: Receptacle | None = None
    opened: set[str] = field(default_factory=set)

    def go(self, receptacle: Receptacle) -> None:
        if self.at != receptacle:
            self.commands.append(f"go to {receptacle.name}")
            self.at = receptacle

    def reach_into(self, receptacle: Receptacle) -> None:
        self.go(receptacle)
        if receptacle.kind in OPENABLE and receptacle.name not in self.opened:
            self.commands.append(f"open {receptacle.name}")
            self.opened.add(receptacle.name)

    def take(self, placed: Placed) -> None:
        self.reach_into(placed.receptacle)
        self.commands.append(f"take {placed.name} from {placed.receptacle.name}")

    def put(self, placed: Placed, target: Receptacle) -> None:
        self.reach_into(target)
        self.commands.append(f"move {placed.name} to {target.name}")


def walkthrough(game: Game) -> list[str]:
    """A shortest list of commands that wins; of several, the one with the lowest numbers.

    The goal must not be met, even in part, at the start: no object of its kind is in a receptacle of the target's kind.
    """
    chosen = sorted((placed for placed in game.objects if placed.kind == game.object_kind), key=_number)
    plans = [walk.commands for group in permutations(chosen, game.goal.num_objects) for walk in _walks(game, group)]
    return min(plans, key=len)


def _walks(game: Game, chosen: Sequence[Placed]) -> Iterator[_Walk]:
    """The sensible ways to reach the goal with these objects, in this order."""
    if game.goal.task_type == LOOK:
        for lamp in (placed for placed in game.objects if placed.kind == game.target_kind):
            walk = _Walk()
            walk.take(chosen[0])
            walk.go(lamp.receptacle)
            walk.commands.append(f"use {lamp.name}")
            yield walk
        return
    verb, appliance_kind = APPLIANCES.get(game.goal.task_type, ("", ""))
    for target in sorted(_of_kind(game, game.target_kind), key=_number):
        appliances: list[Receptacle | None] = [*sorted(_of_kind(game, appliance_kind), key=_number)]
        for appliance in appliances or [None]:
            walk = _Walk()
            for placed in chosen:
                walk.take(placed)
                if appliance is not None:
                    walk.go(appliance)
                    walk.commands.append(f"{verb} {placed.name} with {appliance.name}")
                walk.put(placed, target)
            yield walk


def _of_kind(game: Game, kind: str) -> list[Receptacle]:
    return [receptacle for receptacle in game.receptacles if receptacle.kind == kind]


def _number(entity: Placed | Receptacle) -> int:
    return int(entity.name.split()[1])
