"""What a sandbox costs: a command beside plain `bash -c`, a fresh copy, a score; and many episodes held at once.

python -m tests.benchmarks.bench_intercode
"""

import argparse
import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from leap_core.config import EnvironmentConfig
from leap_core.envs.intercode_bash.environment import archive_path, birthday
from leap_core.envs.intercode_bash.sandbox.backends import load_backend, require
from leap_core.envs.intercode_bash.suite import IntercodeBashSuite

COMMANDS = ("true", "ls -l /bakery", "grep -r flour /bakery | sort | uniq -c")


def timed(act: Callable[[], object], repetitions: int) -> str:
    """What a call took, in milliseconds; on a busy machine the least and the processor's time say most about it."""
    took, before = [], processor_s()
    for _ in range(repetitions):
        start = time.perf_counter()
        act()
        took.append(1000 * (time.perf_counter() - start))
    took.sort()
    used = 1000 * (processor_s() - before) / repetitions
    most = took[int(0.95 * (len(took) - 1))]
    return (
        f"at least {took[0]:5.1f} ms, median {statistics.median(took):5.1f} ms, 95 % under {most:5.1f} ms; "
        f"{used:4.1f} ms of a core"
    )


def processor_s() -> float:
    """Time of the processor that this process has used so far, with all programs that it has waited for."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def plain(command: str) -> None:
    """The same command on the host: only for the harmless ones above."""
    subprocess.run(["/bin/bash", "-c", command], capture_output=True, check=False, stdin=subprocess.DEVNULL)


def main() -> None:
    """Print latencies, then the throughput and the memory of many live episodes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--episodes", type=int, default=32)
    options = parser.parse_args()

    backend = load_backend("bubblewrap", {})
    require(backend)
    suite = IntercodeBashSuite(EnvironmentConfig(name="intercode_bash"))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        specs = suite.prepare(root, "train", 0)
        archive = archive_path(root, "bakery")
        sandbox = backend.open("bakery", archive, birthday())
        print(f"load of this machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        for command in COMMANDS:
            argv = ["/bin/bash", "-c", command]
            print(f"{command!r}")
            print(f"  bash -c      {timed(lambda c=command: plain(c), options.repetitions)}")
            print(f"  in a sandbox {timed(lambda a=argv: sandbox.run(a, '/', 10), options.repetitions)}")
        sandbox.close()
        print(f"fresh copy     {timed(lambda: backend.open('bakery', archive, 0).close(), options.repetitions)}")
        environment = suite.make(root)
        environment.reset(specs[0])
        print(f"score          {timed(lambda: environment.step('submit'), options.repetitions // 4)}")
        environment.close()
        hold_many(suite, root, specs, options.episodes)


def hold_many(suite: IntercodeBashSuite, root: Path, specs: list, episodes: int) -> None:
    """Keep many episodes alive and give each of them a few commands in turn."""
    live = [suite.make(root) for _ in range(episodes)]
    memory = own_bytes()
    start = time.perf_counter()
    for number, environment in enumerate(live):
        environment.reset(specs[number % len(specs)])
    resets = time.perf_counter() - start
    memory = own_bytes() - memory
    start = time.perf_counter()
    for _ in range(5):
        for environment in live:
            environment.step("ls -l / | sort")
    steps = time.perf_counter() - start
    print(
        f"{episodes} live episodes: {1000 * resets / episodes:.1f} ms a reset, {5 * episodes / steps:.0f} commands/s "
        f"in one process, {memory / episodes / 1e6:.2f} MB each"
    )
    for environment in live:
        environment.close()


def own_bytes() -> int:
    """Memory of this process and its children, shared pages by halves, and of all tmpfs of the machine."""
    found = _kilobytes(Path("/proc/meminfo"), "Shmem:")
    waiting = [os.getpid()]
    while waiting:
        process = Path("/proc", str(waiting.pop()))
        found += _kilobytes(process / "smaps_rollup", "Pss:")
        waiting += map(int, (process / "task" / process.name / "children").read_text().split())
    return 1024 * found


def _kilobytes(file: Path, name: str) -> int:
    return next(int(line.split()[1]) for line in file.read_text().splitlines() if line.startswith(name))


if __name__ == "__main__":
    main()
