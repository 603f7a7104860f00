"""The hidden state of a game at its start: where everything is, and commands that win."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from leap_core.envs.alfworld.facts import Relation
from leap_core.envs.alfworld.game_file import GameFile
from leap_core.envs.alfworld.goals import Goal
from leap_core.envs.alfworld.trajectory_data import read_trajectory_data
from leap_core.errors import GameFileError
from leap_core.types import PrivilegedState, Spec

SOURCE = "native engine"


@dataclass(frozen=True, kw_only=True)
class _Receptacle:
    name: str
    openable: bool
    open: bool

    @property
    def kind(self) -> str:
        return self.name.partition(" ")[0]

    @property
    def words(self) -> str:
        return f"{self.name} ({'open' if self.open else 'closed'})" if self.openable else self.name


def reveal(spec: Spec, file: GameFile) -> PrivilegedState:
    """Describe the hidden state in words and as facts.

    The facts are: task_type, instruction, object_kind, target_kind (receptacle or lamp), num_objects, needs ("clean",
    "hot", "cool" or None), locations (object -> receptacle), receptacles (name, kind, openable, open), walkthrough.

    Raises:
        GameFileError: the data beside the game file is missing or damaged, or its domain is not ALFWorld's.
    """
    goal = read_trajectory_data(file.path).goal
    locations, receptacles = _locations(file), _receptacles(file)
    facts: dict[str, JsonValue] = {
        "task_type": goal.task_type,
        "instruction": spec.instruction,
        "object_kind": goal.object_kind,
        "target_kind": goal.target_kind,
        "num_objects": goal.num_objects,
        "needs": goal.state,
        "locations": dict(locations),
        "receptacles": [
            {"name": place.name, "kind": place.kind, "openable": place.openable, "open": place.open}
            for place in receptacles
        ],
        "walkthrough": list(file.walkthrough),
    }
    text = _text(spec, goal, locations, receptacles, file.walkthrough)
    return PrivilegedState(spec_id=spec.id, text=text, facts=facts, source=SOURCE)


def _locations(file: GameFile) -> dict[str, str]:
    """Receptacle by object, in alphabetical order."""
    names = file.game.names
    return dict(sorted((names[thing], names[place]) for thing, place in _facts(file, "inreceptacle")))


def _receptacles(file: GameFile) -> list[_Receptacle]:
    """All receptacles that can be reached, by kind and number."""
    openable, opened = _facts(file, "openable"), _facts(file, "opened")
    found = [
        _Receptacle(name=file.game.names[id], openable=(id,) in openable, open=(id,) in opened)
        for id, _ in _facts(file, "receptacleatlocation")
    ]
    return sorted(found, key=lambda place: (place.kind, int(place.name.rpartition(" ")[2] or 0)))


def _facts(file: GameFile, predicate: str) -> Relation:
    if predicate not in file.game.start:
        raise GameFileError(
            f"{file.path}: the domain has no predicate {predicate!r}, so the hidden state cannot be described. "
            "Use games of ALFWorld's own domain."
        )
    return file.game.start[predicate]


def _text(
    spec: Spec, goal: Goal, locations: Mapping[str, str], receptacles: list[_Receptacle], walkthrough: tuple[str, ...]
) -> str:
    wanted = {goal.object_kind, goal.target_kind}
    places = [f"{name} is in/on {place}" for name, place in locations.items()]
    relevant = [line for line in places if line.partition(" ")[0] in wanted]
    others = [line for line in places if line not in relevant]
    lines = [
        f"Task: {spec.instruction}.",
        f"Objects that matter: {'; '.join(relevant) or 'none'}.",
        f"Other objects: {'; '.join(others) or 'none'}.",
        f"Receptacles: {', '.join(place.words for place in receptacles)}.",
    ]
    if walkthrough:
        lines.append(f"Commands that reach the goal: {'; '.join(walkthrough)}.")
    return "\n".join(lines)
