"""From the ids of a game's objects to the names that the player reads."""

from collections import Counter
from collections.abc import Iterable


def number_names(ids: Iterable[str]) -> dict[str, str]:
    """The name of each object: its kind and a number, "cabinet 2".

    Ids begin with the kind (`cabinet_bar_...`; a basin's with the fixture: `sink_bar_..._bar_sinkbasin`). Within a
    kind, the first id in alphabetical order has the highest number, as in ALFWorld. An id of another form is its own
    name.
    """
    kinds = {id: _kind(id) for id in sorted(ids)}
    left = Counter(kinds.values())
    names = {}
    for id, kind in kinds.items():
        names[id] = f"{kind} {left[kind]}" if "_bar_" in id else f"{_unescaped(id)} "
        left[kind] -= 1
    return names


def _kind(id: str) -> str:
    head, bar, _ = id.partition("_bar_")
    return head + ("basin" if bar and "basin" in id else "") if bar else id


def _unescaped(id: str) -> str:
    for escape, character in (("_minus_", "-"), ("_plus_", "+"), ("_dot_", "."), ("_comma_", ",")):
        id = id.replace(escape, character)
    return id
