"""What a player of ALFWorld has seen by each step: which receptacles it looked into, and what was in them."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pydantic import JsonValue

from leap_core.envs.sight import Sight, Spot, SpotKind
from leap_core.types import PrivilegedState, Trajectory

_NAME = r"[a-z]+ \d+"
_NAMES = re.compile(_NAME)
_GOES = re.compile(rf"go to ({_NAME})")
_SHOWN = re.compile(
    rf"(?:[Oo]n|[Ii]n) (?:the )?({_NAME}), you see ([^.]*)|The ({_NAME}) is open\. In it, you see ([^.]*)"
)
_AT = re.compile(rf"You arrive at ({_NAME})|The ({_NAME}) is closed")

_PLACES = MappingProxyType(
    {
        "fridge": "refrigerator icebox",
        "sofa": "couch settee",
        "countertop": "counter kitchencounter worktop",
        "garbagecan": "trashcan bin trash garbage garbagebin wastebasket wastebin rubbishbin dustbin trashbin",
        "sinkbasin": "sink basin washbasin",
        "bathtubbasin": "bathtub tub bath",
        "stoveburner": "stove burner hob cooker stovetop",
        "coffeemachine": "coffeemaker",
        "cabinet": "cupboard",
        "shelf": "rack bookshelf",
        "microwave": "microwaveoven",
        "sidetable": "nightstand bedsidetable endtable table",
        "diningtable": "dinnertable kitchentable table",
        "coffeetable": "lowtable table",
        "laundryhamper": "hamper laundrybasket",
        "toiletpaperhanger": "paperhanger",
        "tvstand": "televisionstand",
        "safe": "strongbox",
        "ottoman": "footstool",
    }
)
_THINGS = MappingProxyType(
    {
        "cellphone": "phone mobile mobilephone smartphone",
        "remotecontrol": "remote",
        "desklamp": "lamp",
        "floorlamp": "lamp standinglamp",
        "creditcard": "card bankcard",
        "keychain": "key keyring",
        "dishsponge": "sponge",
        "soapbar": "soap barofsoap",
        "soapbottle": "bottleofsoap",
        "toiletpaper": "tp toiletroll",
        "saltshaker": "salt",
        "peppershaker": "pepper",
        "winebottle": "wine bottleofwine",
        "bread": "loafofbread loaf",
        "lettuce": "headoflettuce lettucehead",
        "newspaper": "paper",
        "tissuebox": "tissue boxoftissue",
        "cd": "disc compactdisc",
        "laptop": "notebook computer",
        "spraybottle": "spray",
        "scrubbrush": "brush",
        "alarmclock": "clock",
        "basketball": "ball",
        "baseballbat": "bat",
        "tennisracket": "racket",
    }
)


def see(trajectory: Trajectory, privileged: PrivilegedState) -> list[Sight]:
    """What was seen by each step of an episode, and where everything is."""
    hidden = _Hidden(privileged.facts, trajectory)
    opened, visited, seen = set[str](), set[str](), set[str]()
    sights = []
    for step in trajectory.steps:
        text = step.observation.text
        for on, listing, inside, content in _SHOWN.findall(text):
            opened.add(on or inside)
            seen.update(_NAMES.findall(listing or content))
        visited.update(first or second for first, second in _AT.findall(text))
        seen.update(name for command in step.observation.admissible or () for name in _taken(command))
        sights.append(hidden.sight(opened, visited | opened, seen))
    return sights


def _taken(command: str) -> list[str]:
    return _NAMES.findall(command)[:1] if command.startswith(("take ", "move ", "put ")) else []


class _Hidden:
    """The facts that no step changes, in the form that every sight needs."""

    def __init__(self, told: Mapping[str, JsonValue], trajectory: Trajectory) -> None:
        locations = told.get("locations")
        self.places = {name: str(place) for name, place in locations.items()} if isinstance(locations, dict) else {}
        self.closed = dict(_receptacles(told.get("receptacles")))
        first = trajectory.steps[0].observation if trajectory.steps else None
        listed = _GOES.findall("\n".join(first.admissible or ())) if first else []
        self.names = sorted({*listed, *self.closed, *self.places.values()})
        kinds = {*map(_kind, self.places)}
        goal = {str(told[key]) for key in ("object_kind", "target_kind") if key in told}
        self.wanted = frozenset(goal & kinds)  # the target is among them where it is a lamp
        self.targets = frozenset(goal - kinds)
        self.things = _spellings(kinds, _THINGS)
        self.groups = _spellings({_kind(name) for name in self.names}, _PLACES)
        self.totals = Counter(map(_kind, self.places))
        self.holds = {
            place: frozenset(_kind(thing) for thing, where in self.places.items() if where == place)
            for place in self.names
        }

    def sight(self, opened: set[str], visited: set[str], seen: set[str]) -> Sight:
        spots = tuple(
            Spot(
                names=(name,),
                kind=SpotKind.PLACE,
                group=_kind(name),
                number=int(name.rpartition(" ")[2]),
                opened=name in opened,
                visited=name in visited,
                holds=self.holds[name],
                is_closed=self.closed.get(name),
            )
            for name in self.names
        )
        return Sight(
            spots=spots,
            groups=self.groups,
            things=self.things,
            wanted=self.wanted,
            targets=self.targets,
            totals=self.totals,
            seen=Counter(map(_kind, seen)),
        )


def _receptacles(value: object) -> list[tuple[str, bool | None]]:
    """Each receptacle and whether it is closed at the start; None where it cannot be."""
    rows: Sequence[object] = value if isinstance(value, list) else []
    return [(str(row["name"]), not row["open"] if row["openable"] else None) for row in rows if isinstance(row, dict)]


def _spellings(kinds: set[str], synonyms: Mapping[str, str]) -> dict[str, str]:
    """From each way of writing a kind to the kind. A synonym of two kinds means neither; one that is a kind, that."""
    meant: dict[str, list[str]] = {}
    for kind in sorted(kinds):
        for word in synonyms.get(kind, "").split():
            meant.setdefault(word, []).append(kind)
    return {word: means[0] for word, means in meant.items() if len(means) == 1} | {kind: kind for kind in kinds}


def _kind(name: str) -> str:
    return name.rpartition(" ")[0]
