"""Where tasks come from: a checkout of princeton-nlp/intercode, or the small set that is bundled here."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from leap_core.envs.intercode_bash.sandbox.file_systems import FileSystem
from leap_core.errors import LeapError
from leap_core.types import Record, Split

BUNDLED = Path(__file__).parent / "data"
INTERCODE_FILE_SYSTEMS = ("fs_1", "fs_2", "fs_3", "fs_4")
TRAINED_ON = ("fs_1", "fs_2")
"""InterCode's file systems whose tasks are for training where splits go by file system; the others are for testing."""

HOW_TO_GET = (
    "Get the data: `git clone https://github.com/princeton-nlp/intercode DIR`, then set environment.data to DIR; or "
    "leave environment.data out to use the bundled tasks."
)


@dataclass(frozen=True, kw_only=True)
class BashTask:
    """One task. `split` is None where the benchmark does not say."""

    id: str
    file_system: str
    query: str
    gold: str
    split: Split | None = None

    @property
    def fingerprint(self) -> str:
        """The same for tasks that ask for the same, which the original has some of; no order of names shows in it."""
        return hashlib.sha256(f"{self.file_system}\n{self.query}\n{self.gold}".encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Tasks, and the file systems that they are set in."""

    tasks: tuple[BashTask, ...]
    file_systems: dict[str, FileSystem]


class _IntercodeRow(Record):
    """A task as InterCode writes it."""

    query: str
    gold: str | list[str]


def read_bundled() -> Benchmark:
    """Read the tasks that come with this package."""
    numbers: defaultdict[str, Iterator[int]] = defaultdict(count)
    tasks = tuple(
        BashTask(id=f"{row['file_system']}/{next(numbers[row['file_system']])}", **row)
        for row in json.loads(_read(BUNDLED / "tasks.json"))
    )
    ignored = _read(BUNDLED / "gitignore")
    return Benchmark(
        tasks=tasks,
        file_systems={name: _file_system(name, BUNDLED / f"{name}.sh", ignored) for name in sorted(numbers)},
    )


def read_intercode(folder: Path) -> Benchmark:
    """Read the NL2Bash tasks of an InterCode checkout, with the scripts that set up their file systems.

    Raises:
        LeapError: a file is missing or damaged; says which, and how to get it.
    """
    ignored = _read(folder / "docker/docker.gitignore")
    tasks: list[BashTask] = []
    file_systems: dict[str, FileSystem] = {}
    for name in INTERCODE_FILE_SYSTEMS:
        rows = _read_rows(folder / f"data/nl2bash/nl2bash_{name}.json")
        for number, row in enumerate(rows):
            gold = row.gold if isinstance(row.gold, str) else ";".join(row.gold)
            tasks.append(BashTask(id=f"{name}/{number}", file_system=name, query=row.query, gold=gold))
        script = folder / f"docker/bash_scripts/setup_nl2b_{name}.sh"
        file_systems[name] = _file_system(name, script, ignored)
    return Benchmark(tasks=tuple(tasks), file_systems=file_systems)


def split_by_file_system(tasks: Sequence[BashTask], split: Split, dev_fraction: float) -> list[BashTask]:
    """Test on the file systems that are not trained on; dev is a part of those that are."""
    if split == "test":
        return _mixed([task for task in tasks if task.file_system not in TRAINED_ON])
    return _train_or_dev(_mixed([task for task in tasks if task.file_system in TRAINED_ON]), split, dev_fraction)


def split_by_fraction(
    tasks: Sequence[BashTask], split: Split, train_fraction: float, dev_fraction: float
) -> list[BashTask]:
    """Train (and dev, a part of it) on a share of all tasks, test on the rest."""
    mixed = _mixed(tasks)
    cut = _cut(mixed, train_fraction)
    return mixed[cut:] if split == "test" else _train_or_dev(mixed[:cut], split, dev_fraction)


def _train_or_dev(mixed: list[BashTask], split: Split, dev_fraction: float) -> list[BashTask]:
    cut = _cut(mixed, dev_fraction)
    return mixed[:cut] if split == "dev" else mixed[cut:]


def _mixed(tasks: Sequence[BashTask]) -> list[BashTask]:
    """Always the same order, which has nothing to do with the order of the files."""
    return sorted(tasks, key=lambda task: (task.fingerprint, task.id))


def _cut(mixed: Sequence[BashTask], fraction: float) -> int:
    """Where the first `fraction` of tasks ends; not between two that are the same."""
    cut = round(fraction * len(mixed))
    while 0 < cut < len(mixed) and mixed[cut].fingerprint == mixed[cut - 1].fingerprint:
        cut += 1
    return cut


def _file_system(name: str, script: Path, ignored: str) -> FileSystem:
    return FileSystem(name=name, script_name=script.name, script=_read(script), ignored=ignored)


def _read_rows(path: Path) -> list[_IntercodeRow]:
    try:
        return TypeAdapter(list[_IntercodeRow]).validate_python(json.loads(_read(path)))
    except (json.JSONDecodeError, ValidationError) as error:
        raise LeapError(
            f"{path} is not a list of tasks with a query and a gold command: {error} {HOW_TO_GET}"
        ) from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LeapError(f"Cannot read {path}: {error}. {HOW_TO_GET}") from error
