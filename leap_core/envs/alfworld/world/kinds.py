"""What ALFWorld's world is made of: kinds of objects and receptacles, where each fits, and where each usually lies.

Where an object fits and what can be done to it are ALFWorld's own rules. Where it usually lies (`prior`) is this
project's: generated games place objects by it, and the rule-based expert searches by it, as general knowledge.
Names are in ALFWorld's spelling ("CounterTop"); in text they are lower case ("countertop 1").
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

KITCHEN, LIVING_ROOM, BEDROOM, BATHROOM = ROOMS = ("kitchen", "livingroom", "bedroom", "bathroom")

OPENABLE = frozenset({"Cabinet", "Drawer", "Fridge", "Microwave", "Safe"})
_INSIDE = OPENABLE | {"BathtubBasin", "GarbageCan", "LaundryHamper", "SinkBasin"}
_SURFACES = ("CoffeeTable", "CounterTop", "DiningTable", "SideTable")


@dataclass(frozen=True, kw_only=True)
class ObjectKind:
    """One kind of object. `prior` is by descending weight; the weights sum to 1.

    `abilities` is a subset of: cleanable, heatable, coolable, sliceable, vessel (something that can hold others).
    """

    name: str
    rooms: tuple[str, ...]
    prior: Mapping[str, float]
    fits: frozenset[str]
    abilities: frozenset[str]


def _kind(name: str, rooms: str, prior: str, fits: str, abilities: str = "", *, on_tables: bool = True) -> ObjectKind:
    """Read one line of the table below: `rooms` by initial (k, l, b = bedroom, w = bathroom), `prior` in percent."""
    initials = dict(zip("klbw", ROOMS, strict=True))
    words = prior.split()
    weights = {kind: int(percent) / 100 for kind, percent in zip(words[::2], words[1::2], strict=True)}
    return ObjectKind(
        name=name,
        rooms=tuple(initials[initial] for initial in rooms),
        prior=MappingProxyType(weights),
        fits=frozenset(fits.split()) | (frozenset(_SURFACES) if on_tables else frozenset()),
        abilities=frozenset(abilities.split()),
    )


_DISH = "Cabinet Desk Dresser Fridge Microwave Shelf SinkBasin"
_FOOD = "Fridge GarbageCan Microwave SinkBasin"
_SEATS = "ArmChair Ottoman Sofa"
_SMALL = "Desk Drawer Dresser Shelf"

_KINDS = (
    # Kitchen: crockery, food, cutlery, cookware, the rest.
    _kind("Mug", "k", "Cabinet 55 CounterTop 30 DiningTable 15", f"{_DISH} Cart CoffeeMachine",
          "cleanable heatable coolable vessel"),
    _kind("Cup", "k", "CounterTop 50 Cabinet 35 SinkBasin 15", _DISH, "cleanable heatable coolable vessel"),
    _kind("Plate", "k", "Cabinet 60 DiningTable 25 CounterTop 15", _DISH, "cleanable heatable coolable vessel"),
    _kind("Bowl", "k", "Cabinet 50 DiningTable 30 CounterTop 20", _DISH, "cleanable coolable vessel"),
    _kind("Apple", "k", "Fridge 50 CounterTop 30 DiningTable 20", _FOOD, "cleanable heatable coolable sliceable"),
    _kind("Tomato", "k", "CounterTop 55 Fridge 30 SinkBasin 15", _FOOD, "cleanable heatable coolable sliceable"),
    _kind("Potato", "k", "SinkBasin 50 CounterTop 35 Fridge 15", _FOOD, "cleanable heatable coolable sliceable"),
    _kind("Lettuce", "k", "Fridge 60 CounterTop 30 SinkBasin 10", "Fridge GarbageCan SinkBasin",
          "cleanable coolable sliceable"),
    _kind("Bread", "k", "CounterTop 60 DiningTable 30 Microwave 10", "Fridge GarbageCan Microwave",
          "heatable coolable sliceable"),
    _kind("Egg", "k", "Fridge 65 CounterTop 25 SinkBasin 10", _FOOD, "cleanable heatable coolable sliceable"),
    _kind("Knife", "k", "CounterTop 55 Drawer 30 SinkBasin 15", "Drawer SinkBasin", "cleanable"),
    _kind("ButterKnife", "k", "Drawer 50 CounterTop 35 DiningTable 15", "Drawer SinkBasin", "cleanable"),
    _kind("Fork", "k", "Drawer 55 DiningTable 30 SinkBasin 15", "Drawer SinkBasin", "cleanable"),
    _kind("Spoon", "k", "Drawer 50 CounterTop 30 SinkBasin 20", "Drawer SinkBasin", "cleanable"),
    _kind("Spatula", "k", "Drawer 60 CounterTop 30 SinkBasin 10", "Drawer SinkBasin", "cleanable"),
    _kind("Ladle", "k", "Drawer 50 CounterTop 30 Cabinet 20", "Cabinet Drawer SinkBasin", "cleanable"),
    _kind("Pan", "k", "StoveBurner 55 Cabinet 30 CounterTop 15", "Cabinet Fridge SinkBasin StoveBurner",
          "cleanable coolable vessel"),
    _kind("Pot", "k", "StoveBurner 50 Cabinet 35 CounterTop 15", "Cabinet Fridge Shelf SinkBasin StoveBurner",
          "cleanable coolable vessel"),
    _kind("Kettle", "k", "StoveBurner 50 CounterTop 30 Cabinet 20", "Cabinet Shelf SinkBasin StoveBurner", "cleanable"),
    _kind("WineBottle", "k", "Cabinet 50 CounterTop 30 DiningTable 20", "Cabinet Desk Dresser Fridge GarbageCan Shelf",
          "coolable"),
    _kind("SaltShaker", "k", "CounterTop 50 Cabinet 30 Drawer 20", "Cabinet Drawer Shelf"),
    _kind("PepperShaker", "k", "Cabinet 50 CounterTop 30 Drawer 20", "Cabinet Drawer Shelf"),
    # Kitchen and bathroom.
    _kind("DishSponge", "kw", "SinkBasin 55 Drawer 30 CounterTop 15",
          "BathtubBasin Cabinet Cart Drawer GarbageCan Shelf SinkBasin Toilet", "cleanable"),
    _kind("SoapBottle", "kw", "CounterTop 50 Cabinet 35 GarbageCan 15",
          "Cabinet Cart Desk Drawer GarbageCan Shelf Toilet"),
    # Bathroom.
    _kind("SoapBar", "w", "SinkBasin 50 CounterTop 30 BathtubBasin 20",
          "BathtubBasin Cabinet Cart Drawer GarbageCan Shelf SinkBasin Toilet", "cleanable"),
    _kind("Cloth", "w", "Cabinet 50 Drawer 30 CounterTop 20",
          f"{_SEATS} BathtubBasin Cabinet Cart Desk Drawer Dresser GarbageCan LaundryHamper Shelf SinkBasin Toilet",
          "cleanable"),
    _kind("HandTowel", "w", "HandTowelHolder 60 CounterTop 25 Cabinet 15",
          "BathtubBasin Cabinet Cart Drawer GarbageCan HandTowelHolder Shelf SinkBasin Toilet"),
    _kind("ToiletPaper", "w", "Cabinet 50 Toilet 35 CounterTop 15",
          f"{_SMALL} Cabinet Cart GarbageCan Toilet ToiletPaperHanger"),
    _kind("SprayBottle", "w", "Toilet 50 Cabinet 30 CounterTop 20", f"{_SMALL} Cabinet Cart GarbageCan Toilet"),
    _kind("TissueBox", "w", "Toilet 55 Drawer 30 CounterTop 15", f"{_SMALL} Cabinet Cart GarbageCan TVStand Toilet"),
    _kind("Candle", "w", "CounterTop 50 Toilet 30 Cabinet 20", f"{_SMALL} Cabinet Cart Toilet"),
    # Bedroom and living room. In each of its rooms, a kind has at least two places.
    _kind("Book", "lb", "Desk 40 CoffeeTable 30 Bed 20 Sofa 10", f"{_SMALL} {_SEATS} Bed Cabinet"),
    _kind("CellPhone", "lb", "Bed 40 Sofa 30 SideTable 20 Drawer 10", f"{_SMALL} {_SEATS} Bed Safe"),
    _kind("CreditCard", "lb", "SideTable 50 Dresser 30 Drawer 20", f"{_SMALL} {_SEATS} Safe"),
    _kind("KeyChain", "lb", "Drawer 50 SideTable 35 Shelf 15", f"{_SMALL} {_SEATS} Safe"),
    _kind("Laptop", "lb", "Desk 40 Sofa 30 Bed 20 CoffeeTable 10", f"{_SEATS} Bed Desk Dresser"),
    _kind("Pillow", "lb", "Bed 45 Sofa 30 ArmChair 25", f"{_SEATS} Bed", on_tables=False),
    _kind("AlarmClock", "b", "SideTable 50 Desk 30 Shelf 20", "Desk Dresser Shelf"),
    _kind("CD", "b", "Desk 50 Shelf 30 Drawer 20", f"{_SMALL} Cabinet GarbageCan Safe"),
    _kind("Pen", "b", "Desk 55 Drawer 30 Shelf 15", f"{_SMALL} GarbageCan"),
    _kind("Pencil", "b", "Drawer 50 Desk 35 Shelf 15", f"{_SMALL} GarbageCan"),
    _kind("BasketBall", "b", "Bed 50 Desk 30 SideTable 20", f"{_SEATS} Bed Desk Dresser"),
    _kind("TennisRacket", "b", "Desk 45 Bed 35 Dresser 20", "Bed Desk Dresser"),
    _kind("RemoteControl", "l", "Sofa 50 CoffeeTable 30 ArmChair 20", f"{_SMALL} {_SEATS}"),
    _kind("Newspaper", "l", "CoffeeTable 55 Sofa 30 Drawer 15", f"{_SMALL} {_SEATS} Bed Cabinet GarbageCan Toilet"),
    _kind("Watch", "l", "CoffeeTable 50 Shelf 30 Drawer 20", f"{_SMALL} Safe"),
    _kind("Statue", "l", "Shelf 55 CoffeeTable 30 Dresser 15", "Cart Desk Dresser Safe Shelf"),
    _kind("Vase", "l", "Shelf 50 SideTable 35 CoffeeTable 15", "Cabinet Cart Desk Dresser Safe Shelf"),
    _kind("WateringCan", "l", "SideTable 50 Drawer 30 Shelf 20", f"{_SMALL} Cabinet"),
)  # fmt: skip

OBJECTS: Mapping[str, ObjectKind] = MappingProxyType({kind.name: kind for kind in _KINDS})

LAMP = "DeskLamp"
LAMP_PRIOR: Mapping[str, float] = MappingProxyType({"Desk": 0.55, "SideTable": 0.30, "Dresser": 0.15})
LAMP_ROOMS = (LIVING_ROOM, BEDROOM)

_PRIORS = {name.lower(): tuple(kind.lower() for kind in spec.prior) for name, spec in OBJECTS.items()}
_PRIORS[LAMP.lower()] = tuple(kind.lower() for kind in LAMP_PRIOR)
_FITS = {name.lower(): frozenset(kind.lower() for kind in spec.fits) for name, spec in OBJECTS.items()}
_INSIDE_WORDS = frozenset(kind.lower() for kind in _INSIDE)


def usual_places(object_kind: str) -> tuple[str, ...]:
    """Where a kind of object usually lies, most likely first; empty for a kind not in the tables. Lower case."""
    return _PRIORS.get(object_kind, ())


def fits(object_kind: str, receptacle_kind: str) -> bool:
    """Whether ALFWorld lets one hold the other; a kind not in the tables is taken to fit. Lower case."""
    return object_kind not in _FITS or receptacle_kind in _FITS[object_kind]


def with_article(noun: str) -> str:
    """A noun after "a" or "an"."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def preposition(receptacle_kind: str) -> str:
    """The word for being there: "in" a cabinet, "on" a desk. Lower case."""
    return "in" if receptacle_kind in _INSIDE_WORDS else "on"
