"""How close the teacher behind an endpoint comes to the ideal time, against a server in a process of its own.

    python -m tests.benchmarks.bench_chat [--corrections 3000] [--concurrency 64] [--repetitions 1]

Replies take a lognormal time with a median of one second, as those of a real model may. The ideal time is what as many
places take that are refilled at once: the very delays of the server, replayed. The corrections are the real thing:
prompts, journal, limits, reading and the gate. Prints the time, the ideal time and their ratio, the CPU of a
correction, and the memory after a fifth of the corrections and at their end, beside what those in between take that
are returned.
"""

import argparse
import heapq
import itertools
import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from leap_core.config import EndpointConfig
from leap_core.teachers.openai import OpenAITeacher
from leap_core.teachers.privilege import PrivilegedEpisode
from leap_core.types import Correction

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
from delay_server import delays  # noqa: E402 - in this folder
from taught_episode import episode, setup_of  # noqa: E402 - in the folder above

SERVER = Path(__file__).with_name("delay_server.py")
REASON = "I have not looked there yet, and such things are often kept there."


class MeasuredTeacher(OpenAITeacher):
    """Takes note of the memory that is in use when a share of the episodes is corrected."""

    def correct(self, episodes: Sequence[PrivilegedEpisode], after: int = 0) -> list[Correction]:
        self._after, self._num_done, self.memory_mb = after, 0, 0.0
        return super().correct(episodes)

    async def _correct_episode(self, episode: PrivilegedEpisode) -> Correction:
        correction = await super()._correct_episode(episode)
        self._num_done += 1
        if self._num_done == self._after:
            self.memory_mb = memory_mb()
        return correction


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corrections", type=int, default=3000)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--median-s", type=float, default=1.0)
    parser.add_argument("--spread", type=float, default=0.5, help="standard deviation of the logarithm of a delay")
    parser.add_argument("--repetitions", type=int, default=1)
    given = parser.parse_args()
    for _ in range(given.repetitions):
        print(measure(given))
        print(f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)


def measure(given: argparse.Namespace) -> str:
    """Correct all episodes once; returns what that took."""
    steps = [{"step": step + 1, "reason": REASON, "action": "go to cabinet 3"} for step in range(given.steps)]
    with serve(given, json.dumps({"summary": "", "steps": steps})) as url, TemporaryDirectory() as name:
        endpoint = EndpointConfig(base_url=url, max_concurrency=given.concurrency)
        episodes = [episode(number, given.steps) for number in range(given.corrections)]
        with closing(MeasuredTeacher(setup_of(endpoint, Path(name)))) as teacher:
            started, cpu = time.monotonic(), time.process_time()
            found = teacher.correct(episodes, after=given.corrections // 5)
            took, cpu = time.monotonic() - started, time.process_time() - cpu
        assert all(len(one.steps) == given.steps and not one.error for one in found)
    at_end, ideal = memory_mb(), ideal_s(given)
    copies = [pickle.loads(pickle.dumps(one)) for one in found[given.corrections // 5 :]]
    return (
        f"{given.corrections} corrections of {given.steps} steps, {given.concurrency} at once: {took:.2f} s, ideal "
        f"{ideal:.2f} s, ratio {took / ideal:.3f}; CPU {1000 * cpu / given.corrections:.2f} ms each; memory "
        f"{teacher.memory_mb:.0f} MB after a fifth, {at_end:.0f} MB at the end; the {len(copies)} corrections in "
        f"between are {memory_mb() - at_end:.0f} MB"
    )


def ideal_s(given: argparse.Namespace) -> float:
    """Seconds that the delays of all requests take on so many places, each refilled at once."""
    free_at = [0.0] * given.concurrency
    for delay_s in itertools.islice(delays(given.median_s, given.spread), given.corrections):
        heapq.heapreplace(free_at, free_at[0] + delay_s)
    return max(free_at)


def memory_mb() -> float:
    """What this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def serve(given: argparse.Namespace, text: str) -> Iterator[str]:
    """The address of a server in a process of its own that answers everything with `text`."""
    with TemporaryDirectory() as name:
        file = Path(name) / "port"
        command = [sys.executable, SERVER, file, str(given.median_s), str(given.spread), text]
        process = subprocess.Popen(command, stdin=subprocess.PIPE)
        while not (file.exists() and file.read_text()):
            time.sleep(0.05)
        yield f"http://127.0.0.1:{file.read_text()}/v1"
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
