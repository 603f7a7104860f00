"""The hidden state of a game at its start, for teachers: what matters, where it is, and a shortest way to the goal.

The text has the parts that the paper's teacher is given: task, essential objects, critical locations, optimal sequence
of actions. It is made from the hidden facts and a plan; no model is asked.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import ConfigDict

from leap_core.envs.alfworld.engine.engines import Engine, NamedFact
from leap_core.envs.alfworld.expert.belief import kind_of, number_of
from leap_core.envs.alfworld.games.routes import NoRouteError, Room, RouteStep, Spot, Thing, shortest_route
from leap_core.envs.alfworld.world.goals import APPLIANCES, LOOK, Goal
from leap_core.types import HiddenFacts, PrivilegedState, Record, Spec

_STATE_FACTS = {"isclean": "clean", "ishot": "hot", "iscool": "cool"}


class Receptacle(Record):
    """A receptacle as it is at the start, and whether it can be opened at all."""

    name: str
    kind: str
    openable: bool
    open: bool


class AlfworldFacts(HiddenFacts):
    """The facts of a privileged state.

    `target_kind` is a receptacle or a lamp. `needs` is "clean", "hot", "cool" or None. `locations` maps each object to
    the receptacle that it is in. `walkthrough` is the plan, `expert_walkthrough` what ALFWorld's own expert did, as the
    file has it; both are empty where none is known.
    """

    model_config = ConfigDict(extra="forbid")

    task_type: str
    instruction: str
    object_kind: str
    target_kind: str
    num_objects: int
    needs: str | None
    locations: dict[str, str]
    receptacles: tuple[Receptacle, ...]
    essential_objects: tuple[str, ...]
    critical_locations: tuple[str, ...]
    walkthrough: tuple[str, ...]
    expert_walkthrough: tuple[str, ...]


@dataclass(frozen=True)
class StartFacts:
    """The facts at the start of a game, by names as the player reads them."""

    facts: Collection[NamedFact]

    def rows(self, predicate: str) -> list[tuple[str, ...]]:
        """The names that a predicate holds of, sorted."""
        return sorted(fact[1:] for fact in self.facts if fact[0] == predicate)

    @cached_property
    def receptacles(self) -> list[str]:
        """All that can be reached, by kind and number."""
        names = {name for name, _ in self.rows("receptacleatlocation")}
        return sorted(names, key=lambda name: (kind_of(name), _number(name)))

    @cached_property
    def places(self) -> dict[str, tuple[str, ...]]:
        """The receptacles that each object is in, of those that can be reached; some objects of ALFWorld are in two."""
        places: dict[str, tuple[str, ...]] = {}
        for thing, receptacle in self.rows("inreceptacle"):
            if receptacle in self.receptacles:
                places[thing] = (*places.get(thing, ()), receptacle)
        return places

    def holds(self, predicate: str, name: str) -> bool:
        """Whether a predicate is true of one name."""
        return (predicate, name) in self.facts

    def is_closed(self, receptacle: str) -> bool:
        """Whether it must be opened before use."""
        return self.holds("openable", receptacle) and not self.holds("opened", receptacle)

    def room(self) -> Room:
        """What a route is made from."""
        at = {row[0]: row[1] for row in self.rows("receptacleatlocation")}
        spots = {name: Spot(name=name, place=at[name], closed=self.is_closed(name)) for name in self.receptacles}
        things = [
            Thing(name=name, spots=spots_of, states=self._states(name))
            for name, spots_of in self.places.items()
            if self.holds("pickupable", name) or self.holds("toggleable", name)
        ]
        return Room(spots=spots, things=things, start=next((place for _, place in self.rows("atlocation")), ""))

    def _states(self, name: str) -> frozenset[str]:
        return frozenset(state for fact, state in _STATE_FACTS.items() if self.holds(fact, name))


def winning_plan(
    engine: Engine, path: Path, sha256: str, goal: Goal, hidden: StartFacts, walkthrough: Sequence[str]
) -> tuple[str, ...]:
    """Commands that win the game from its start, as few as are known: our route or the file's walkthrough.

    Both are played, in the wording of the game, and cut where the game is won; empty where neither wins.

    Raises:
        GameFileError: the game is missing, changed or damaged.
    """
    tries: list[Sequence[RouteStep]] = [[(command,) for command in walkthrough]]
    with suppress(NoRouteError):  # the walkthrough may know better
        tries.insert(0, shortest_route(hidden.room(), goal))
    plans = [_played(engine, path, sha256, steps) for steps in tries]
    return min((plan for plan in plans if plan is not None), key=len, default=())


def _played(engine: Engine, path: Path, sha256: str, steps: Sequence[RouteStep]) -> tuple[str, ...] | None:
    """The commands up to the win, each in the wording that is possible; None where they do not win."""
    turn = engine.start(path, sha256)
    commands: list[str] = []
    for step in steps:
        if turn.won:
            break
        command = next((wording for wording in step if wording in turn.admissible), None)
        if command is None:
            return None
        turn = engine.act(command)
        commands.append(command)
    return tuple(commands) if turn.won else None


def reveal(
    spec: Spec, goal: Goal, hidden: StartFacts, plan: Sequence[str], walkthrough: Sequence[str], source: str
) -> PrivilegedState:
    """Describe the hidden state in words and as `AlfworldFacts`.

    `plan` holds commands that win from the start, `walkthrough` what ALFWorld's own expert did, as the file has it;
    each is empty where none are known. `source` says which engine the facts are from.
    """
    objects, locations = _essential_objects(goal, hidden, plan), _critical_locations(goal, hidden, plan)
    facts = AlfworldFacts(
        task_type=goal.task_type,
        instruction=spec.instruction,
        object_kind=goal.object_kind,
        target_kind=goal.target_kind,
        num_objects=goal.num_objects,
        needs=goal.state,
        locations={name: places[0] for name, places in sorted(hidden.places.items())},
        receptacles=tuple(_receptacle(name, hidden) for name in hidden.receptacles),
        essential_objects=tuple(objects),
        critical_locations=tuple(locations),
        walkthrough=tuple(plan),
        expert_walkthrough=tuple(walkthrough),
    )
    lines = [
        f"Task: {spec.instruction}.",
        *_section("Essential objects:", [f"{name}, in/on {' and '.join(hidden.places[name])}" for name in objects]),
        *_section("Critical locations:", [_what_for(name, goal, hidden) for name in locations]),
    ]
    if plan:
        lines += ["Optimal sequence of actions:", *(f"{n}. {command}" for n, command in enumerate(plan, start=1))]
    return PrivilegedState(spec_id=spec.id, text="\n".join(lines), facts=facts.model_dump(mode="json"), source=source)


def _receptacle(name: str, hidden: StartFacts) -> Receptacle:
    openable, is_open = hidden.holds("openable", name), hidden.holds("opened", name)
    return Receptacle(name=name, kind=kind_of(name), openable=openable, open=is_open)


def _essential_objects(goal: Goal, hidden: StartFacts, plan: Sequence[str]) -> list[str]:
    """What the plan handles; without one, all that could serve the goal."""
    lamp = goal.target_kind if goal.task_type == LOOK else ""
    useful = [name for name in hidden.places if kind_of(name) in (goal.object_kind, lamp)]
    return [name for name in useful if not plan or any(_names(command, name) for command in plan)]


def _critical_locations(goal: Goal, hidden: StartFacts, plan: Sequence[str]) -> list[str]:
    """The receptacles that the plan uses, in its order; without one, where the useful objects are, and the targets."""
    if plan:
        used = [name for command in plan for name in hidden.receptacles if _names(command, name)]
        return list(dict.fromkeys(used))
    kinds = {goal.target_kind, APPLIANCES.get(goal.task_type, ("", ""))[1].lower()}
    sources = {place for name in _essential_objects(goal, hidden, plan) for place in hidden.places[name]}
    return [name for name in hidden.receptacles if name in sources or kind_of(name) in kinds]


def _what_for(name: str, goal: Goal, hidden: StartFacts) -> str:
    verb, appliance = APPLIANCES.get(goal.task_type, ("", ""))
    things = [thing for thing, places in hidden.places.items() if name in places]
    reasons = [f"{thing} is there" for thing in things if kind_of(thing) in (goal.object_kind, goal.target_kind)]
    if kind_of(name) == appliance.lower():
        reasons.append(f"to {verb} it")
    if kind_of(name) == goal.target_kind:
        reasons.append("the target")
    state = ["closed at first"] if hidden.is_closed(name) else []
    return f"{name} ({', '.join([*reasons, *state])})" if reasons or state else name


def _section(title: str, entries: Sequence[str]) -> list[str]:
    return [title, *(f"- {entry}" for entry in entries or ["none"])]


def _names(command: str, name: str) -> bool:
    """Whether a command names this and not just the beginning of it ("desk 1" in "go to desk 12")."""
    return f" {name} " in f" {command} "


def _number(name: str) -> int:
    return number_of(name) if name.partition(" ")[2].isdigit() else 0
