"""Recorded play of the original WebShop: one compressed JSON file, read by tests and written by `webshop_record`.

Texts come again and again, so the file holds each once, and turns hold their numbers.
"""

import json
import lzma
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

TRANSCRIPTS = Path(__file__).parent / "data" / "webshop_transcripts.json.xz"


class RecordedTurn(NamedTuple):
    """What the original answered to `command`; None for the beginning. `parts` are there after a purchase."""

    command: str | None
    text: str
    clickables: tuple[str, ...]
    offered: tuple[str, ...]
    reward: float
    done: bool
    parts: dict[str, float | None] | None


class Transcript(NamedTuple):
    """One episode: in which shop ("generated" or "odd"), by which player, for which goal."""

    shop: str
    kind: str
    player: str
    spec_id: str
    goal: str
    turns: tuple[RecordedTurn, ...]


class Recording(NamedTuple):
    """All episodes, and the goals of each shop as the original made them, in its order."""

    seed: int
    goals: dict[str, list[dict[str, object]]]
    transcripts: list[Transcript]


def write_recording(path: Path, recording: Recording) -> None:
    """Write it; the same recording gives the same bytes."""
    texts: dict[str, int] = {}

    def packed(turn: RecordedTurn) -> list[object]:
        pages = [turn.text, *("\0".join(names) for names in (turn.clickables, turn.offered))]
        numbers = [texts.setdefault(page, len(texts)) for page in pages]
        return [turn.command, *numbers, turn.reward, turn.done, turn.parts]

    episodes = [[*one[:-1], [packed(turn) for turn in one.turns]] for one in recording.transcripts]
    content = {"seed": recording.seed, "goals": recording.goals, "texts": list(texts), "episodes": episodes}
    path.write_bytes(lzma.compress(json.dumps(content, sort_keys=True).encode(), preset=9 | lzma.PRESET_EXTREME))


def read_recording(path: Path = TRANSCRIPTS) -> Recording:
    """Read what was recorded."""
    content = json.loads(lzma.decompress(path.read_bytes()))
    texts = content["texts"]

    def names(number: int) -> tuple[str, ...]:
        return tuple(texts[number].split("\0")) if texts[number] else ()

    def unpacked(turn: Iterable[object]) -> RecordedTurn:
        command, text, clickables, offered, reward, done, parts = turn
        return RecordedTurn(command, texts[text], names(clickables), names(offered), reward, done, parts)

    transcripts = [Transcript(*one[:-1], tuple(map(unpacked, one[-1]))) for one in content["episodes"]]
    return Recording(content["seed"], content["goals"], transcripts)
