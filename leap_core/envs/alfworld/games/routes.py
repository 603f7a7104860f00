"""Short lists of commands that reach a goal, by someone who knows where everything is.

Nothing is searched: a goal says what must be done to which kinds of things, so the sensible ways are few, and the
shortest of them is taken; of several, the one with the lowest numbers.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations, product

from leap_core.envs.alfworld.expert.belief import kind_of, number_of
from leap_core.envs.alfworld.world.goals import APPLIANCES, LOOK, Goal

RouteStep = tuple[str, ...]
"""The wordings of one command, of which a game knows one."""


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A receptacle: where one stands to use it, and whether it must be opened first."""

    name: str
    place: str
    closed: bool


@dataclass(frozen=True, kw_only=True)
class Thing:
    """An object, the receptacles it is in (mostly one), and its states: of "clean", "hot", "cool"."""

    name: str
    spots: tuple[str, ...]
    states: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Room:
    """What a route is made from. `things` can be picked up or switched on; lamps are tried in this order."""

    spots: Mapping[str, Spot]
    things: Sequence[Thing]
    start: str


class NoRouteError(ValueError):
    """No sensible way reaches the goal: something that it needs is not there."""


def shortest_route(room: Room, goal: Goal) -> list[RouteStep]:
    """The shortest of the sensible ways from the start to the goal.

    Raises:
        NoRouteError: there is none.
    """
    routes = list(_routes(room, goal))
    if not routes:
        raise NoRouteError(f"nothing in this room can {goal.sentence(0)}")
    return min(routes, key=len)


def _routes(room: Room, goal: Goal) -> Iterator[list[RouteStep]]:
    """Every sensible way, those with low numbers first."""
    wanted = sorted((thing for thing in room.things if kind_of(thing.name) == goal.object_kind), key=_number)
    for group in permutations(wanted, goal.num_objects):
        for sources in product(*(thing.spots for thing in group)):
            chosen = list(zip(group, sources, strict=True))
            if goal.task_type == LOOK:
                yield from _ways_to_look(room, goal, chosen[0])
            else:
                yield from _ways_to_place(room, goal, chosen)


def _ways_to_look(room: Room, goal: Goal, chosen: tuple[Thing, str]) -> Iterator[list[RouteStep]]:
    for lamp in room.things:
        if kind_of(lamp.name) == goal.target_kind:
            for spot in lamp.spots:
                walk = _Walk(room)
                walk.take(*chosen)
                walk.go(spot)
                walk.steps.append((f"use {lamp.name}",))
                yield walk.steps


def _ways_to_place(room: Room, goal: Goal, chosen: Sequence[tuple[Thing, str]]) -> Iterator[list[RouteStep]]:
    unready = {thing.name for thing, _ in chosen if goal.state is not None and goal.state not in thing.states}
    verb, appliance_kind = APPLIANCES.get(goal.task_type, ("", ""))
    appliances = [spot.name for spot in _of_kind(room, appliance_kind.lower())] if unready else [""]
    for target, appliance in product(_of_kind(room, goal.target_kind), appliances):
        walk = _Walk(room)
        for thing, source in chosen:
            if thing.name not in unready and target.name in thing.spots:
                continue
            walk.take(thing, source)
            if thing.name in unready:
                walk.go(appliance)
                walk.steps.append((f"{verb} {thing.name} with {appliance}",))
            walk.put(thing, target.name)
        yield walk.steps


class _Walk:
    """Commands in the making, which leave out what is not needed: going where one stands, opening what is open."""

    def __init__(self, room: Room) -> None:
        self.steps: list[RouteStep] = []
        self._room = room
        self._place = room.start
        self._closed = {spot.name for spot in room.spots.values() if spot.closed}

    def go(self, spot: str) -> None:
        if self._room.spots[spot].place != self._place:
            self.steps.append((f"go to {spot}",))
            self._place = self._room.spots[spot].place

    def take(self, thing: Thing, source: str) -> None:
        self._reach_into(source)
        self.steps.append((f"take {thing.name} from {source}",))

    def put(self, thing: Thing, target: str) -> None:
        self._reach_into(target)
        self.steps.append((f"move {thing.name} to {target}", f"put {thing.name} in/on {target}"))

    def _reach_into(self, spot: str) -> None:
        self.go(spot)
        if spot in self._closed:
            self.steps.append((f"open {spot}",))
            self._closed.discard(spot)


def _of_kind(room: Room, kind: str) -> list[Spot]:
    return sorted((spot for spot in room.spots.values() if kind_of(spot.name) == kind), key=_number)


def _number(entity: Spot | Thing) -> int:
    return number_of(entity.name)


def spell(steps: Iterable[RouteStep], wording: int = 0) -> list[str]:
    """The commands in one wording: 0 as ALFWorld has it since 0.4.0, 1 as before."""
    return [step[min(wording, len(step) - 1)] for step in steps]
