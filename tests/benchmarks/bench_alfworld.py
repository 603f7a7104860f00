"""The native ALFWorld engine against the original, in one process: `python -m tests.benchmarks.bench_alfworld`.

Both engines start the same games and are given the same commands, in turn, so that what else the machine does falls
on both. Then the native engine alone: memory of live games, a thousand in flight, and the index of as many downloaded
games as ALFWorld has. Without the optional packages only that second part runs. Asserts nothing.
"""

import argparse
import gc
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from leap_core.envs.alfworld.engine.engines import Engine, NativeEngine, make_engine
from leap_core.envs.alfworld.engine.game import Episode
from leap_core.envs.alfworld.engine.game_file import load_game_file
from leap_core.envs.alfworld.games.data_index import DATA_SPLITS, read_index
from leap_core.envs.alfworld.games.generator import generate_games
from leap_core.errors import MissingPackageError
from tests.parity.games import make_game, own_dialects
from tests.parity.play import write_game

Games = Sequence[tuple[Path, str]]


def main() -> None:
    """Print rates, ratios with their spread, memory and times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--games", type=int, default=6, help="in each repetition; one of each task type, full-size rooms"
    )
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--in-flight", type=int, default=1000)
    parser.add_argument("--index", type=int, default=3827, help="downloaded games to index; 0: leave this out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            compare_speed(Path(folder), make_engine("textworld"), options.games, options.steps, options.repetitions)
        except MissingPackageError as error:
            print(f"no comparison: {error}")
        measure_memory(Path(folder), options.in_flight)
        if options.index:
            measure_index(Path(folder), options.index)


def full_games(folder: Path, indices: Sequence[int]) -> Games:
    """Games in rooms as large as ALFWorld's own."""
    large = [index + 6 * (index // 6 + 1) for index in indices]  # of twelve in turn, the second six are large
    return [write_game(folder / str(index), make_game(index, own_dialects()[0])) for index in large]


def compare_speed(folder: Path, original: Engine, num_games: int, num_steps: int, repetitions: int) -> None:
    """Steps and resets a second of both engines; the ratio of each repetition is measured within it."""
    steps, first_starts, starts = [], [], []
    for repetition in range(repetitions):
        games = full_games(folder / f"speed-{repetition}", range(repetition * num_games, (repetition + 1) * num_games))
        commands, slow_start, slow_step = _timed_play(original, games, num_steps, None)
        gc.collect()
        gc.freeze()  # what the original keeps in memory is not for the native engine's collections to walk through
        native = NativeEngine()
        _, first_start, fast_step = _timed_play(native, games, num_steps, commands)
        _, start, _ = _timed_play(native, games, 0, commands)
        gc.unfreeze()
        steps.append(slow_step / fast_step)
        first_starts.append(slow_start / first_start)
        starts.append(slow_start / start)
        print(
            f"{repetition}: original {1 / slow_step:.1f} steps/s, {1 / slow_start:.2f} resets/s; native "
            f"{1 / fast_step:.0f} steps/s, {1 / first_start:.0f} first and {1 / start:.0f} later resets/s of a game"
        )
    for name, ratios in (("steps", steps), ("resets, first of a game", first_starts), ("resets, later", starts)):
        print(f"{name}: {statistics.median(ratios):.0f} times as fast (from {min(ratios):.0f} to {max(ratios):.0f})")


def _timed_play(
    engine: Engine, games: Games, num_steps: int, commands: list[list[str]] | None
) -> tuple[list[list[str]], float, float]:
    """Play; CPU seconds of a reset and of a step. Commands are drawn from the possible ones where none are given."""
    played, reset_s, step_s = [], 0.0, 0.0
    for number, (path, sha256) in enumerate(games):
        begin = time.process_time()
        turn = engine.start(path, sha256)
        reset_s += time.process_time() - begin
        rng = Random(str(path))
        given = commands[number] if commands else None
        done = []
        for step in range(num_steps):
            command = given[step] if given else rng.choice(turn.admissible)
            begin = time.process_time()
            turn = engine.act(command)
            step_s += time.process_time() - begin
            done.append(command)
        played.append(done)
    return played, reset_s / len(games), step_s / max(1, num_steps * len(games))


def measure_memory(folder: Path, num: int) -> None:
    """Memory of live games, each of another file: with and without what games of one file share."""
    games = full_games(folder / "memory", range(num))
    load_game_file(games[0][0])  # what all share: parsed domain, caches of the interpreter
    compiled, per_game = _grown(lambda: [load_game_file(path).game for path, _ in games])
    episodes, per_episode = _grown(lambda: [Episode(game) for game in compiled])
    print(f"memory: {per_episode / num / 1e3:.0f} kB a live episode, {per_game / num / 1e3:.0f} kB a compiled game")
    rng, begin = Random(0), time.process_time()
    for _ in range(5):
        for episode in episodes:
            episode.act(rng.choice(episode.first_turn().admissible))
    spent = time.process_time() - begin
    print(f"{num} games in flight: {5 * num / spent:.0f} steps/s in one process")


def _grown(make: Callable[[], list]) -> tuple[list, int]:
    """What `make` returns, and by how many bytes the process grew."""
    gc.collect()
    before = _resident_bytes()
    made = make()
    gc.collect()
    return made, _resident_bytes() - before


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def measure_index(folder: Path, num: int) -> None:
    """Seconds to index a data directory of this many games, for the first time and again."""
    data = folder / "data" / "json_2.1.1"
    written = generate_games(folder / "generated", {"test": num}, 0, "full")
    for number, (_, path) in enumerate(written):
        split = DATA_SPLITS[0] if number >= 274 else DATA_SPLITS[1 + (number >= 140)]
        target = data / split / f"{path.parts[2]}-{number}" / path.parts[3]
        target.parent.mkdir(parents=True)
        (folder / "generated" / path).parent.rename(target)
    times = []
    for _ in range(2):
        begin = time.process_time()
        index = read_index(data, folder / "cache")
        times.append(time.process_time() - begin)
    counts = json.dumps({split: dict(index.count(split)) for split in DATA_SPLITS})
    print(f"index of {num} games: {times[0]:.1f} s, again {times[1]:.2f} s; {counts}")


if __name__ == "__main__":
    main()
