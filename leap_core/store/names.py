"""Finding the artifact that a person means, from as little of its name as is needed."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path

from leap_core.errors import ArtifactError
from leap_core.types import ArtifactRef

_LONGEST = 200
"""Characters of a name that are compared with others, and shown."""
_SHORTEST_KEY = 4
"""Hex digits of a key by which an artifact may be named: shorter ones are too easily part of a word."""


def find_named(name: str, refs: Iterable[ArtifactRef], home: Path, stage: str = "") -> ArtifactRef:
    """Return the one artifact that `name` stands for; a more exact match goes before a looser one.

    `refs` are those in the store at `home`, of one stage if it is given.

    Raises:
        ArtifactError: none, with the nearest names; or several, with all of them.
    """
    known, wanted = list(refs), "/".join(Path(name).parts[-2:])
    shown = name if len(name) <= _LONGEST else f"{name[:_LONGEST]}..."
    ways: tuple[Callable[[ArtifactRef], bool], ...] = (
        lambda ref: wanted in (ref.id, ref.key),
        lambda ref: wanted in (_own(ref.id), ref.name, f"{ref.stage}/{ref.name}"),
        lambda ref: _begins(ref, wanted),
    )
    for is_meant in ways:
        found = [ref for ref in known if is_meant(ref)]
        if len(found) == 1:
            return found[0]
        if found:
            names = "\n  ".join(sorted(ref.id for ref in found))
            raise ArtifactError(f"{shown!r} matches {len(found)} artifacts. Name one of them:\n  {names}", item=shown)
    advice = _near(wanted[:_LONGEST], [ref.id for ref in known], home, stage)
    raise ArtifactError(f"There is no artifact {shown!r}. {advice}", item=shown)


def _begins(ref: ArtifactRef, wanted: str) -> bool:
    by_key = len(wanted) >= _SHORTEST_KEY and ref.key.startswith(wanted)
    return by_key or (bool(wanted) and (ref.id.startswith(wanted) or _own(ref.id).startswith(wanted)))


def _own(known_id: str) -> str:
    return known_id.partition("/")[2]


def _near(wanted: str, ids: list[str], home: Path, stage: str) -> str:
    if not ids:
        what = f"artifacts of stage {stage}" if stage else "artifacts"
        return f"There are no {what} in {home}. `leap run` makes them; --home says where to look."
    by_name = {_own(known): known for known in ids} | {known: known for known in ids}
    close = dict.fromkeys(by_name[name] for name in get_close_matches(wanted, by_name, n=3, cutoff=0.4))
    if close:
        return f"Did you mean {' or '.join(close)}?"
    return f"There are {len(ids)}; `leap artifacts list{f' {stage}' if stage else ''}` shows them."
