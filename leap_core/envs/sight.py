"""What a student could see at a step, set against what was hidden, as relations: the records that environments fill.

An environment reads its own observations (`sight.py` in its folder) and says, for each step, which *spots* there are
that can hold something (a cupboard, a page, a file), which of them the student has looked into by then, and what each
holds. The gate compares what a reason claims with these; it knows no environment's words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


class SpotKind(StrEnum):
    """What it means to look into a spot."""

    PLACE = "place"
    """Somewhere in a room: what lies in it."""
    RESULT = "result"
    """A place in a list that is not shown yet: what stands there."""
    ITEM = "item"
    """Something offered: what can be chosen, and what its own page says."""
    FILE = "file"
    """A file or folder: its content, size, age and rights."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Spot:
    """Something that holds other things.

    `names` are the ways to call it, in small letters; `group` is the kind that it shares with others ("cabinet"),
    `number` tells it from those. `opened`: what it holds was shown by now; `visited`: the student was at it. `holds`
    are the things in it as hidden facts tell, None where they do not tell. `is_closed` is so in the hidden facts.
    `shown` is what is known of it without a look into it, as its title.
    """

    names: tuple[str, ...]
    kind: SpotKind
    group: str = ""
    number: int | None = None
    opened: bool = False
    visited: bool = False
    holds: frozenset[str] | None = None
    is_closed: bool | None = None
    shown: str = ""


_NONE: Mapping[str, str] = MappingProxyType({})
_NO_COUNT: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Sight:
    """One step: the spots, and the words by which texts speak of them and of what they hold.

    `groups` and `things` map spellings without spaces, in the singular ("coffeetable", "refrigerator") to the group of
    spots or to the thing. `wanted` are things that the goal asks for, `targets` groups of spots that it ends at.
    `totals` says how many there are of a thing, `seen` how many different ones were seen. `secrets` are words and
    `numbers` the numbers of hidden results, as far as they were not seen. `shown` are the things that some page or
    output showed. `unknown`: what a path is that none of the spots has.
    """

    spots: tuple[Spot, ...] = ()
    groups: Mapping[str, str] = field(default_factory=lambda: _NONE)
    things: Mapping[str, str] = field(default_factory=lambda: _NONE)
    wanted: frozenset[str] = frozenset()
    targets: frozenset[str] = frozenset()
    totals: Mapping[str, int] = field(default_factory=lambda: _NO_COUNT)
    seen: Mapping[str, int] = field(default_factory=lambda: _NO_COUNT)
    secrets: frozenset[str] = frozenset()
    numbers: frozenset[int] = frozenset()
    shown: frozenset[str] = frozenset()
    unknown: SpotKind | None = None
