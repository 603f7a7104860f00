"""Recorded play of the original engine: one compressed JSON file, read by tests and written by `tests.parity.record`.

A transcript holds the game file's content and its turns. Hidden facts are written in full for the first turn and as
what came and what went for the others.
"""

import json
import lzma
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

TRANSCRIPTS = Path(__file__).parent / "data" / "transcripts.json.xz"
Facts = frozenset[tuple[str, ...]]


class RecordedTurn(NamedTuple):
    """What the original engine answered to `command`; None for the beginning."""

    command: str | None
    text: str
    admissible: tuple[str, ...]
    won: bool
    valid: bool
    facts: Facts


class Transcript(NamedTuple):
    """One game as the original engine played it."""

    name: str
    task_type: str
    dialect: str
    game: dict[str, object]
    turns: tuple[RecordedTurn, ...]


def write_transcripts(path: Path, transcripts: Iterable[Transcript]) -> None:
    """Write all; the same transcripts give the same bytes."""
    content = [transcript._asdict() | {"turns": list(_packed(transcript.turns))} for transcript in transcripts]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress(json.dumps(content, sort_keys=True).encode(), preset=9 | lzma.PRESET_EXTREME))


def read_transcripts(path: Path = TRANSCRIPTS) -> list[Transcript]:
    """Read all that were recorded."""
    content = json.loads(lzma.decompress(path.read_bytes()))
    return [Transcript(**{**entry, "turns": tuple(_unpacked(entry["turns"]))}) for entry in content]


def _packed(turns: Iterable[RecordedTurn]) -> Iterator[dict[str, Any]]:
    before: Facts = frozenset()
    for turn in turns:
        yield turn._asdict() | {"facts": [sorted(turn.facts - before), sorted(before - turn.facts)]}
        before = turn.facts


def _unpacked(entries: Iterable[dict[str, Any]]) -> Iterator[RecordedTurn]:
    facts: Facts = frozenset()
    for entry in entries:
        came, went = (frozenset(tuple(fact) for fact in part) for part in entry["facts"])
        facts = (facts | came) - went
        yield RecordedTurn(**{**entry, "admissible": tuple(entry["admissible"]), "facts": facts})
