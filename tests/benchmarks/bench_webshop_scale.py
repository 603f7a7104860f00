"""A shop of a million products: time to build, sizes, latency of searches, and what worker processes hold.

Files and shop stay in the folder, so that a second run measures only what is read.

python -m tests.benchmarks.bench_webshop_scale --folder /tmp/webshop-scale
"""

import argparse
import os
import random
import resource
import statistics
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import psutil

from leap_core.config import EnvironmentConfig
from leap_core.envs.webshop.shop.generator import PRODUCTS_FILE, write_generated_files
from leap_core.envs.webshop.shop.shop import SHOP_FOLDER, Shop
from leap_core.envs.webshop.suite import WebshopSuite
from leap_core.envs.workers import EnvironmentPool
from tests.parity.lucene import queries_of

MB = 1e6


def prepare(folder: Path) -> None:
    """What the first run with these data does; meant for a process of its own, whose memory is then its memory."""
    start = time.perf_counter()
    suite_of(folder).prepare(folder / "specs", "train", 0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    cpu = time.process_time()
    print(f"prepared in {time.perf_counter() - start:.0f} s ({cpu:.0f} s of CPU), with {peak / MB:,.0f} MB at the peak")


def suite_of(folder: Path) -> WebshopSuite:
    """The suite of the data in a folder."""
    return WebshopSuite(EnvironmentConfig(name="webshop", data=str(folder / "data"), num_train=100))


def measure_search(folder: Path, num: int) -> None:
    """Print how long searches take in this process, each in wall and CPU time."""
    with Shop(folder / "specs" / SHOP_FOLDER) as shop:
        queries = queries_of(shop, num, random.Random(0))
        for query in queries:  # all that is searched is in memory, as it is after the first minutes of a run
            shop.search(query)
        wall, cpu = [], []
        for query in queries:
            start = time.perf_counter(), time.process_time()
            shop.search(query)
            wall.append(1000 * (time.perf_counter() - start[0]))
            cpu.append(1000 * (time.process_time() - start[1]))
    words = statistics.mean(len(query.split()) for query in queries)
    print(f"search, {num} queries of {words:.1f} words: {described(wall)}; of CPU: {described(cpu)}")


def described(milliseconds: list[float]) -> str:
    """Median and 95th percentile."""
    ordered = sorted(milliseconds)
    return f"{statistics.median(ordered):.1f} ms, 95 % under {ordered[int(0.95 * (len(ordered) - 1))]:.1f} ms"


def measure_workers(folder: Path, num: int) -> None:
    """Print what worker processes hold after episodes, of their own and of what they share."""
    suite, root = suite_of(folder), folder / "specs"
    specs = suite.prepare(root, "train", 0)
    with EnvironmentPool(partial(suite.make, root), num) as pool:
        pool.reset_many([(f"first-{number}", specs[0]) for number in range(num)])  # each worker has started
        start = time.perf_counter()
        steps = 0
        for first in range(0, len(specs), 4 * num):
            batch = {spec.id: spec for spec in specs[first : first + 4 * num]}
            pool.reset_many(list(batch.items()))
            for command in ("search[{}]", "click[next >]", "click[back to search]", "search[{}]"):
                requests = [(slot, command.format(spec.instruction)) for slot, spec in batch.items()]
                steps += len(pool.step_many(requests))
            pool.close_slots(list(batch))
        took = time.perf_counter() - start
        children = [
            child for child in psutil.Process().children() if "resource_tracker" not in " ".join(child.cmdline())
        ]
        memory = [child.memory_full_info() for child in children]
    own = [info.uss for info in memory]
    shared = sum(info.pss for info in memory) - sum(own)
    print(f"{len(memory)} workers, {steps} steps in {took:.1f} s; memory of its own for each: ", end="")
    print(f"{min(own) / MB:.0f} to {max(own) / MB:.0f} MB; shared by all: {shared / MB:.0f} MB")


def main() -> None:
    """Print build time, sizes, search latency and memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--products", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--queries", type=int, default=300)
    options = parser.parse_args()

    data = options.folder / "data"
    os.environ["XDG_CACHE_HOME"] = str(options.folder / "cache")
    if not (data / PRODUCTS_FILE).exists():
        data.mkdir(parents=True)
        write_generated_files(data, 0, options.products, max(2000, options.products // 80))
    worker = get_context("spawn").Process(target=prepare, args=(options.folder,))
    worker.start()
    worker.join()
    for path in sorted((options.folder / "specs" / SHOP_FOLDER).iterdir()):
        print(f"{path.name:<15} {path.stat().st_size / MB:8,.1f} MB")
    measure_search(options.folder, options.queries)
    measure_workers(options.folder, options.workers)


if __name__ == "__main__":
    main()
