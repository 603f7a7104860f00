"""The same games in the native and the original engine, step by step: `python -m tests.parity.compare`.

Needs the optional packages (`pip install -e ".[alfworld]"`). Compared at every step: the text, the admissible commands
in their order, whether the game is won, whether the command was possible, and all hidden facts. Ends with 1 if anything
differs.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from leap_core.envs.alfworld.engine.engines import make_engine
from leap_core.errors import LeapError
from tests.parity.commands import Player
from tests.parity.games import Dialect, make_game, own_dialects, read_dialect, task_type_of
from tests.parity.memoised import memoise
from tests.parity.play import Played, differences, play, write_game


class Difference(NamedTuple):
    """One step at which the engines disagree."""

    game: int
    dialect: str
    step: int
    command: str | None
    fields: tuple[str, ...]
    native: str
    original: str


class Report(NamedTuple):
    """One game in both engines."""

    game: int
    dialect: str
    task_type: str
    num_steps: int
    num_won: int
    sources: Counter[str]
    verbs: Counter[str]
    differences: list[Difference]


def compare_game(index: int, dialect: Dialect, num_steps: int, folder: Path) -> Report:
    """Play one game in the original engine, and each command of it in the native one."""
    content = make_game(index, dialect)
    path, sha256 = write_game(folder / f"{index}-{dialect.name}", content)
    native, original = make_engine("native"), make_engine("textworld")
    found: list[Difference] = []
    turns: list[Played] = []

    def check(played: Played) -> None:
        turn = native.start(path, sha256) if played.command is None else native.act(played.command)
        fields = differences(played, turn, native.facts())
        if fields:
            mine = {name: getattr(turn, name, None) for name in fields} | {"facts": native.facts() - played.facts}
            theirs = {name: getattr(played.turn, name, None) for name in fields} | {
                "facts": played.facts - native.facts()
            }
            found.append(
                Difference(index, dialect.name, len(turns), played.command, tuple(fields), str(mine), str(theirs))
            )
        turns.append(played)

    try:
        play(original, path, sha256, Player(content["walkthrough"], f"player/{index}"), num_steps, check)
    except LeapError as error:  # one of the engines refuses what the other plays
        found.append(Difference(index, dialect.name, len(turns), None, ("refused",), "", str(error)))
    native.close()
    original.close()
    possible = [played for played in turns[1:] if played.turn.valid and played.command]
    return Report(
        game=index,
        dialect=dialect.name,
        task_type=task_type_of(index),
        num_steps=max(0, len(turns) - 1),
        num_won=sum(played.turn.won for played in turns),
        sources=Counter(played.source if played.turn.valid else "refused" for played in turns[1:]),
        verbs=Counter(str(played.command).split()[0] for played in possible),
        differences=found,
    )


def find_dialects(logic: Sequence[str]) -> list[Dialect]:
    """Our own wordings, that of the installed ALFWorld, and any named as NAME=FOLDER."""
    spec = find_spec("alfworld")
    if spec is None or not spec.submodule_search_locations:
        sys.exit('The original engine is not installed: pip install -e ".[alfworld]"')
    installed = read_dialect(Path(spec.submodule_search_locations[0]) / "data", "alfworld, installed")
    named = [option.partition("=") for option in logic]
    return [*own_dialects(), installed, *(read_dialect(Path(folder), name) for name, _, folder in named)]


def main() -> int:
    """Compare; print a table and the first differences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", type=int, default=300, help="in all; shared out over the dialects")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument(
        "--logic", action="append", default=[], metavar="NAME=FOLDER", help="alfred.pddl and alfred.twl2"
    )
    parser.add_argument("--stock", action="store_true", help="leave the original engine as slow as it is")
    parser.add_argument("--journal", type=Path, help="keep what was compared here; a second run goes on from it")
    options = parser.parse_args()
    dialects = find_dialects(options.logic)
    begin, reports = time.perf_counter(), read_journal(options.journal)
    done = {(report.game, report.dialect, report.num_steps) for report in reports if not report.differences}
    with tempfile.TemporaryDirectory() as folder:
        # A game index goes round the task types and room sizes; the dialect changes with each round of twelve.
        dialect_of = [dialects[index // 12 % len(dialects)] for index in range(options.games)]
        jobs = [(index, dialect, options.steps, Path(folder)) for index, dialect in enumerate(dialect_of)]
        left = [job for job in jobs if (job[0], job[1].name, options.steps) not in done]
        reports = [report for report in reports if (report.game, report.dialect, report.num_steps) in done]
        prepare = None if options.stock else memoise
        with get_context("spawn").Pool(options.processes, prepare, maxtasksperchild=30) as pool:
            for report in pool.imap_unordered(_compare, left):
                reports.append(report)
                if options.journal:
                    with options.journal.open("a", encoding="utf-8") as journal:
                        journal.write(json.dumps(report) + "\n")
                found = sum(len(report.differences) for report in reports)
                print(f"\r{len(reports)}/{len(jobs)} games, {found} differences", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    _print_table(reports, [dialect.name for dialect in dialects])
    print(f"{time.perf_counter() - begin:.0f} s, {options.processes} processes, {len(left)} of the games in this run")
    found = [difference for report in sorted(reports) for difference in report.differences]
    for difference in found[:5]:
        print(json.dumps(difference._asdict(), indent=1)[:3000])
    return 1 if found else 0


def read_journal(path: Path | None) -> list[Report]:
    """What earlier runs compared; a torn last line is left out."""
    if path is None or not path.exists():
        return []
    reports = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            fields = json.loads(line)
            counters, differences = map(Counter, fields[5:7]), [Difference(*entry) for entry in fields[7]]
            reports.append(Report(*fields[:5], *counters, differences))
    return reports


def _compare(job: tuple[int, Dialect, int, Path]) -> Report:
    return compare_game(*job)


def _print_table(reports: Sequence[Report], dialects: Sequence[str]) -> None:
    print("| dialect | task type | games | steps | won turns | differences |")
    print("|---|---|---|---|---|---|")
    for dialect in dialects:
        for task_type in sorted({report.task_type for report in reports}):
            rows = [report for report in reports if (report.dialect, report.task_type) == (dialect, task_type)]
            if rows:
                print(f"| {dialect} | {task_type} | {_sums(rows)} |")
    print(f"| all | all | {_sums(reports)} |")
    for name in ("sources", "verbs"):
        total = sum((getattr(report, name) for report in reports), Counter[str]())
        print(f"{name}: " + ", ".join(f"{key} {count}" for key, count in total.most_common()))


def _sums(rows: Sequence[Report]) -> str:
    steps, won = sum(row.num_steps for row in rows), sum(row.num_won for row in rows)
    return f"{len(rows)} | {steps} | {won} | {sum(len(row.differences) for row in rows)}"


if __name__ == "__main__":
    sys.exit(main())
