"""Scenes: fixed room layouts, drawn from a seed, with ALFWorld's numbers for training and test rooms."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random

from leap_core.envs.alfworld.world.kinds import BATHROOM, BEDROOM, KITCHEN, LIVING_ROOM, ROOMS
from leap_core.errors import UnknownNameError

Range = tuple[int, int]

_TOTALS: dict[str, Range] = {"small": (6, 9), "full": (18, 30)}
"""Receptacles in a room, fewest and most."""
_FIRST_NUMBER = {KITCHEN: 1, LIVING_ROOM: 201, BEDROOM: 301, BATHROOM: 401}
_NUM_TEST = 6
_NUM_TRAIN = 24

# How many of each kind of receptacle a room has: (fewest, most) in a small and in a full scene.
_PLANS: dict[str, dict[str, tuple[Range, Range]]] = {
    KITCHEN: {
        "Cabinet": ((1, 3), (5, 10)),
        "CoffeeMachine": ((0, 1), (1, 1)),
        "CounterTop": ((1, 2), (2, 3)),
        "DiningTable": ((0, 1), (0, 1)),
        "Drawer": ((0, 2), (3, 6)),
        "Fridge": ((1, 1), (1, 1)),
        "GarbageCan": ((0, 1), (1, 1)),
        "Microwave": ((1, 1), (1, 1)),
        "Shelf": ((0, 1), (0, 3)),
        "SinkBasin": ((1, 1), (1, 1)),
        "StoveBurner": ((0, 1), (2, 4)),
    },
    LIVING_ROOM: {
        "ArmChair": ((0, 1), (1, 3)),
        "Cabinet": ((0, 1), (0, 5)),
        "CoffeeTable": ((1, 2), (1, 2)),
        "DiningTable": ((0, 1), (0, 1)),
        "Drawer": ((0, 2), (3, 7)),
        "Dresser": ((0, 1), (1, 1)),
        "GarbageCan": ((0, 1), (1, 1)),
        "Ottoman": ((0, 1), (0, 1)),
        "Safe": ((0, 1), (0, 1)),
        "Shelf": ((0, 2), (3, 6)),
        "SideTable": ((1, 2), (2, 4)),
        "Sofa": ((1, 2), (1, 2)),
    },
    BEDROOM: {
        "ArmChair": ((0, 1), (0, 2)),
        "Bed": ((1, 1), (1, 2)),
        "Desk": ((1, 2), (1, 2)),
        "Drawer": ((0, 2), (4, 9)),
        "Dresser": ((0, 1), (1, 1)),
        "GarbageCan": ((0, 1), (1, 1)),
        "LaundryHamper": ((0, 1), (0, 1)),
        "Safe": ((0, 1), (0, 1)),
        "Shelf": ((0, 2), (3, 6)),
        "SideTable": ((1, 2), (2, 3)),
    },
    BATHROOM: {
        "BathtubBasin": ((0, 1), (1, 1)),
        "Cabinet": ((1, 3), (4, 6)),
        "CounterTop": ((1, 2), (1, 2)),
        "Drawer": ((0, 2), (2, 5)),
        "GarbageCan": ((0, 1), (1, 1)),
        "HandTowelHolder": ((0, 1), (1, 2)),
        "LaundryHamper": ((0, 1), (0, 1)),
        "Shelf": ((0, 1), (1, 4)),
        "SinkBasin": ((1, 1), (1, 2)),
        "Toilet": ((1, 1), (1, 1)),
        "ToiletPaperHanger": ((0, 1), (1, 1)),
        "TowelHolder": ((0, 1), (1, 2)),
    },
}


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A room that games are played in. `receptacles` counts each kind that is there, in alphabetical order."""

    number: int
    room: str
    receptacles: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Scenes:
    """The scenes that the train and dev splits share, and the test split's own."""

    train: tuple[Scene, ...]
    test: tuple[Scene, ...]

    def of(self, split: str) -> tuple[Scene, ...]:
        """The scenes in which the games of a split are set."""
        return self.test if split == "test" else self.train


def make_scenes(seed: int, size: str) -> Scenes:
    """Draw ALFWorld's 30 scenes of each of the four rooms: 6 for test, 24 for the rest. No two have equal layouts.

    Raises:
        UnknownNameError: no such size.
    """
    if size not in _TOTALS:
        raise UnknownNameError("scene size", size, _TOTALS)
    scenes = [scene for room in ROOMS for scene in _rooms(room, size, Random(f"{seed}/scenes/{size}/{room}"))]
    test = tuple(scene for scene in scenes if _is_test(scene))
    return Scenes(train=tuple(scene for scene in scenes if not _is_test(scene)), test=test)


def _is_test(scene: Scene) -> bool:
    return scene.number - _FIRST_NUMBER[scene.room] < _NUM_TEST


def _rooms(room: str, size: str, rng: Random) -> Iterator[Scene]:
    taken: set[tuple[tuple[str, int], ...]] = set()
    while len(taken) < _NUM_TEST + _NUM_TRAIN:
        layout = _draw_layout(room, size, rng)
        if layout not in taken:
            yield Scene(number=_FIRST_NUMBER[room] + len(taken), room=room, receptacles=dict(layout))
            taken.add(layout)


def _draw_layout(room: str, size: str, rng: Random) -> tuple[tuple[str, int], ...]:
    """Draw counts by the room's plan, again and again until their sum is within the size's limits."""
    fewest, most = _TOTALS[size]
    while True:
        ranges = {kind: both[size == "full"] for kind, both in _PLANS[room].items()}
        counts = {kind: rng.randint(low, high) for kind, (low, high) in ranges.items()}
        if fewest <= sum(counts.values()) <= most:
            return tuple((kind, count) for kind, count in counts.items() if count)
