"""Records the original engine's play for tests that do without it: `python -m tests.parity.record`.

Needs the optional packages. Writes `tests/parity/data/transcripts.json.xz`: games of all task types and of each of this
repository's dialects, and a small kitchen in which every action is possible. None of ALFWorld's own text is in it.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from leap_core.envs.alfworld.engine.engines import make_engine
from tests.parity.commands import Player
from tests.parity.games import make_game, own_dialects, task_type_of
from tests.parity.memoised import memoise
from tests.parity.play import Played, play, write_game
from tests.parity.transcripts import TRANSCRIPTS, RecordedTurn, Transcript, write_transcripts
from tests.unit.alfworld_games import GOALS, game_data

_KITCHEN_STEPS = 120
_GAME_STEPS = 40


def transcripts() -> Iterator[Transcript]:
    """Play everything that is recorded."""
    for goal in GOALS:
        for start in ("loc_bar_0", "loc_bar_6"):
            name = f"kitchen, {goal}, {start}"
            yield _transcript(name, "kitchen", "own, move", game_data(GOALS[goal], start), _KITCHEN_STEPS)
    for number, dialect in enumerate(own_dialects()):
        for index in range(12 * number, 12 * number + 12):
            game = make_game(index, dialect)
            yield _transcript(f"{dialect.name}, {index}", task_type_of(index), dialect.name, game, _GAME_STEPS)


def _transcript(name: str, task_type: str, dialect: str, game: dict[str, Any], num_steps: int) -> Transcript:
    turns: list[RecordedTurn] = []

    def keep(played: Played) -> None:
        turn = played.turn
        turns.append(RecordedTurn(played.command, turn.text, turn.admissible, turn.won, turn.valid, played.facts))

    engine = make_engine("textworld")
    with tempfile.TemporaryDirectory() as folder:
        path, sha256 = write_game(Path(folder), game)
        play(engine, path, sha256, Player(game["walkthrough"] or (), f"record/{name}"), num_steps, keep)
    return Transcript(name, task_type, dialect, game, tuple(turns))


def main() -> None:
    """Record, and say how much."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=TRANSCRIPTS)
    options = parser.parse_args()
    memoise()
    recorded = []
    for transcript in transcripts():
        recorded.append(transcript)
        print(f"{transcript.name}: {len(transcript.turns) - 1} steps", file=sys.stderr)
    write_transcripts(options.out, recorded)
    steps = sum(len(transcript.turns) - 1 for transcript in recorded)
    print(f"{len(recorded)} games, {steps} steps, {options.out.stat().st_size / 1e3:.0f} kB in {options.out}")


if __name__ == "__main__":
    main()
