"""InterCode's own tasks here and in the original: `python -m tests.parity.intercode --data DIR`.

DIR is a checkout of princeton-nlp/intercode. Two things are looked at, in sandboxes of the default backend:

- golds: every task's gold command, then `submit`, has to score 1. One that prints the time can miss the second between
  its two runs, so what misses is tried again, twice at most, and said.
- replay: every command of the recorded episodes of one model (`--model`, GPT-4's if none is named), in its order; the
  score after each is held against the recorded one, and the best of an episode decides whether it succeeded, as in the
  original. Some recordings lack tasks, or whole file systems: how many is said, and the others are played. What the
  model's provider has blocked was recorded as an action, but never ran, and is passed over.

Programs of the gold commands that are missing here fail on both sides and so score alike, but not as recorded:
`apt-get install tree jq cpio ncal` first. Ends with 1 if a gold command does not score 1, or if fewer episodes than
`--least` end as recorded (190 for GPT-4, whose recordings lack none; for others, none unless it is given).
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple, TypeVar

from leap_core.config import EnvironmentConfig
from leap_core.envs.intercode_bash.nl2bash.benchmark import INTERCODE_FILE_SYSTEMS
from leap_core.envs.intercode_bash.nl2bash.commands import SUBMIT
from leap_core.envs.intercode_bash.suite import GOLDS_FILE, IntercodeBashSuite
from leap_core.errors import LeapError
from leap_core.types import Spec, Split

EPISODES = "data/results/bash/{model}/ic_bash_multiturn_{model}_10_turns_{file_system}.json"
BEST_KNOWN, LEAST_OF_IT = "gpt-4", 190
PROGRAMS = ("tree", "cal", "jq", "cpio", "dig", "c++")
"""Programs that golds or recorded commands call and that a machine may lack."""
SPLITS: tuple[Split, ...] = ("train", "test")
SAME = 1e-6
"""Scores that differ by less are the same: the original adds up rounded parts in floating point."""
MAX_TRIES = 3
ResultT = TypeVar("ResultT")


class Turn(NamedTuple):
    """One command with its score in the original; `said` is what came of it there."""

    command: str
    score: float
    said: str


class Job(NamedTuple):
    """One task: its spec in the directory `root`, its gold command and its recorded episode, empty if there is none."""

    task: str
    spec: Spec
    root: Path
    gold: str
    turns: tuple[Turn, ...]


class GoldResult(NamedTuple):
    """What a gold command scored at last, after how many tries, and what it said."""

    task: str
    score: float
    num_tries: int
    said: str


class Replayed(NamedTuple):
    """A recorded episode and the same one here. `first` is the first turn whose score differs, in words."""

    task: str
    recorded: bool
    here: bool
    num_turns: int
    num_same: int
    first: str


def read_episodes(data: Path, model: str) -> dict[str, dict]:
    """The recorded episodes of a model by task, such as fs_2/18.

    Raises:
        LeapError: there is none at all.
    """
    files = {name: data / EPISODES.format(model=model, file_system=name) for name in INTERCODE_FILE_SYSTEMS}
    read = {name: json.loads(path.read_text()) for name, path in files.items() if path.is_file()}
    episodes = {f"{name}/{number}": one for name, found in read.items() for number, one in found.items()}
    if not episodes:
        known = sorted(path.name for path in (data / EPISODES).parents[1].glob("*"))
        raise LeapError(f"There is no recording of {model!r} in {data}; there are {', '.join(known) or 'none at all'}.")
    return episodes


def read_jobs(suite: IntercodeBashSuite, episodes: dict[str, dict], folder: Path) -> list[Job]:
    """Build all file systems below `folder`; all tasks, with their recorded episodes."""
    jobs = []
    for split in SPLITS:
        root = folder / split
        specs = suite.prepare(root, split, 0)
        golds = json.loads((root / GOLDS_FILE).read_text())
        for spec in specs:
            task = spec.id.partition("/")[2]
            turns = _turns(episodes[task], spec) if task in episodes else ()
            jobs.append(Job(task=task, spec=spec, root=root, gold=golds[spec.id], turns=turns))
    return sorted(jobs, key=lambda job: (job.spec.group, int(job.task.partition("/")[2])))


def _turns(episode: dict, spec: Spec) -> tuple[Turn, ...]:
    if episode["query"] != spec.instruction:
        raise LeapError(f"The recorded episode is of {episode['query']!r}, the task {spec.id} is {spec.instruction!r}.")
    history = episode["turn_history"]
    rows = zip(history["actions"], history["rewards"], history["observations"], strict=False)  # blocked: no observation
    return tuple(Turn(command, score, str(said)) for command, score, said in rows)


def try_gold(config: EnvironmentConfig, job: Job) -> GoldResult:
    """Run a task's gold command and submit, until it scores 1."""
    environment = IntercodeBashSuite(config).make(job.root)
    score, num_tries, said = 0.0, 0, ""
    try:
        while score < 1.0 and num_tries < MAX_TRIES:
            environment.reset(job.spec)
            said = environment.step(job.gold).observation.text
            score, num_tries = environment.step(SUBMIT).score, num_tries + 1
        return GoldResult(job.task, score, num_tries, said)
    finally:
        environment.close()


def replay(config: EnvironmentConfig, job: Job) -> Replayed:
    """Run the commands of a recorded episode in one copy; score after each, as the original does."""
    environment = IntercodeBashSuite(config).make(job.root)
    scores, first = [], ""
    try:
        environment.reset(job.spec)
        for turn in job.turns:
            said = environment.step(turn.command).observation.text
            result = environment.step(SUBMIT)
            scores.append(result.score)
            if not first and abs(result.score - turn.score) >= SAME:
                parts = ", ".join(f"{name} {value:.2f}" for name, value in result.score_parts.items())
                first = (
                    f"{turn.score:.2f} recorded, {result.score:.2f} here ({parts}) after {turn.command!r}\n"
                    f"      recorded {turn.said[:200]!r}\n      here     {said[:200]!r}"
                )
    finally:
        environment.close()
    recorded = [turn.score for turn in job.turns]
    return Replayed(
        task=job.task,
        recorded=max(recorded) >= 1 - SAME,
        here=max(scores) >= 1 - SAME,
        num_turns=len(scores),
        num_same=sum(abs(one - other) < SAME for one, other in zip(scores, recorded, strict=True)),
        first=first,
    )


def tell_golds(results: Sequence[GoldResult]) -> int:
    """Print what golds scored; return how many scored less than 1."""
    failed = [result for result in results if result.score < 1.0]
    print(f"Gold commands that score 1.0: {len(results) - len(failed)} of {len(results)}")
    for result in results:
        if result.num_tries > 1:
            print(f"  {result.task} {result.score:.2f} at try {result.num_tries}: {result.said[:200]!r}")
    return len(failed)


def tell_missing(jobs: Sequence[Job]) -> None:
    """Print how many tasks have no recorded episode, and which."""
    missing = [job.task for job in jobs if not job.turns]
    if missing:
        print(f"Tasks without a recorded episode: {len(missing)} of {len(jobs)}: {', '.join(missing)}")


def tell_replay(episodes: Sequence[Replayed]) -> int:
    """Print how the recorded episodes end here; return how many end alike."""
    same = sum(episode.recorded == episode.here for episode in episodes)
    turns, same_turns = (sum(getattr(one, name) for one in episodes) for name in ("num_turns", "num_same"))
    print(f"Recorded episodes that end alike: {same} of {len(episodes)}; scores alike: {same_turns} of {turns} turns\n")
    print("| file system | success in both | in neither | only recorded | only here |\n|---|---|---|---|---|")
    for name in INTERCODE_FILE_SYSTEMS:
        kinds = Counter((one.recorded, one.here) for one in episodes if one.task.startswith(f"{name}/"))
        row = (kinds[True, True], kinds[False, False], kinds[True, False], kinds[False, True])
        print(f"| {name} | {' | '.join(map(str, row))} |")
    print("\nThose that end differently (+: success here and not recorded):")
    for one in episodes:
        if one.recorded != one.here:
            print(f"  {'+' if one.here else '-'} {one.task}: {one.first}")
    return same


def every(act: Callable[[Job], ResultT], jobs: Sequence[Job], processes: int) -> list[ResultT]:
    """Do something with each job, some at a time."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return list(pool.map(act, jobs))


def main() -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a checkout of princeton-nlp/intercode")
    parser.add_argument("--rootfs", help="whose programs run; none: the host's")
    parser.add_argument("--backend", default="bubblewrap")
    parser.add_argument("--only-golds", action="store_true", help="leave the recorded episodes out")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--model", default=BEST_KNOWN, help="whose recorded episodes; a folder of data/results/bash")
    parser.add_argument("--least", type=int, help="how many episodes have to end as recorded")
    parser.add_argument("--tasks", nargs="*", help="only these, such as fs_2/18")
    options = parser.parse_args()

    config = EnvironmentConfig(
        name=IntercodeBashSuite.name,
        data=str(options.data),
        num_train=10_000,
        num_test=10_000,
        params={"backend": options.backend, "rootfs": options.rootfs, "dev_fraction": 0},
    )
    if missing := [program for program in PROGRAMS if shutil.which(program) is None and not options.rootfs]:
        print(f"Programs that are missing here: {', '.join(missing)}")
    with tempfile.TemporaryDirectory() as folder:
        jobs = read_jobs(IntercodeBashSuite(config), read_episodes(options.data, options.model), Path(folder))
        jobs = [job for job in jobs if not options.tasks or job.task in options.tasks]
        num_failed = tell_golds(every(partial(try_gold, config), jobs, options.processes))
        if options.only_golds:
            return int(num_failed > 0)
        print()
        tell_missing(jobs)
        recorded = [job for job in jobs if job.turns]
        same = tell_replay(every(partial(replay, config), recorded, options.processes))
    least = options.least if options.least is not None else LEAST_OF_IT * (options.model == BEST_KNOWN)
    return int(num_failed > 0 or same < min(least, len(recorded)))


if __name__ == "__main__":
    sys.exit(main())
