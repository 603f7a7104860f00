"""What a walker in a corridor has seen by each step: which doors were opened, and what is behind each."""

import re

from leap_core.envs.sight import Sight, Spot, SpotKind
from leap_core.envs.toy.privileged import HiddenThings
from leap_core.types import PrivilegedState, Trajectory

_CLOSED = re.compile(r"door (\d+)")


def see(trajectory: Trajectory, privileged: PrivilegedState) -> list[Sight]:
    """What was seen by each step of an episode, and where everything is."""
    locations = HiddenThings.of(privileged).locations
    return [_sight(step.observation.text.partition("Still closed")[2], locations) for step in trajectory.steps]


def _sight(closed: str, locations: dict[str, str]) -> Sight:
    numbers = set(map(int, _CLOSED.findall(closed)))
    things = {name.rpartition(" ")[0]: door for name, door in locations.items()}
    spots = tuple(
        Spot(
            names=(door,),
            kind=SpotKind.PLACE,
            group="door",
            number=int(door.removeprefix("door ")),
            opened=int(door.removeprefix("door ")) not in numbers,
            holds=frozenset({thing}),
        )
        for thing, door in things.items()
    )
    return Sight(
        spots=spots,
        groups={"door": "door"},
        things={thing: thing for thing in things},
        totals=dict.fromkeys(things, 1),
        seen={thing: 1 for thing, spot in zip(things, spots, strict=True) if spot.opened},
    )
