"""How close the chat client comes to the ideal: requests x delay / concurrency, against a server in its own process.

    python -m tests.benchmarks.bench_chat

Prints the time, the ideal time and their ratio, the CPU of a request beside what the `openai` package takes by itself,
and the peak memory for two lengths. Where client and server get less than a core each, the ratio says so, not more.
"""

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from leap_core.chat.messages import ChatRequest
from leap_core.chat.session import ChatSession
from leap_core.config import EndpointConfig
from leap_core.types import Message

SERVER = Path(__file__).parents[1] / "chat_server.py"
PROMPT = "You are in the middle of a room. " * 200  # about as long as the prompt for a short episode


def serve(directory: Path, delay_s: float) -> tuple[subprocess.Popen[bytes], str]:
    """Start the server and wait for its port."""
    file = directory / "port"
    process = subprocess.Popen([sys.executable, SERVER, file, str(delay_s)], stdin=subprocess.PIPE)
    while not (file.exists() and file.read_text()):
        time.sleep(0.05)
    return process, f"http://127.0.0.1:{file.read_text()}/v1"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--delay-s", type=float, default=0.1)
    given = parser.parse_args()
    with TemporaryDirectory() as name:
        directory = Path(name)
        process, url = serve(directory, given.delay_s)
        config = EndpointConfig(base_url=url, max_concurrency=given.concurrency)
        with ChatSession(config, directory / "journal.sqlite", "bench") as session:
            ask(session, range(-given.concurrency, 0))  # the first requests open the connections
            for start, stop in ((0, given.requests), (given.requests, 4 * given.requests)):
                started, cpu = time.monotonic(), time.process_time()
                ask(session, range(start, stop))
                took, cpu = time.monotonic() - started, time.process_time() - cpu
                ideal = (stop - start) * given.delay_s / given.concurrency
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                print(
                    f"{stop - start} requests: {took:.2f} s, ideal {ideal:.2f} s, ratio {took / ideal:.3f}; "
                    f"CPU {1000 * cpu / (stop - start):.2f} ms a request, peak memory {peak:.0f} MB"
                )
        alone = asyncio.run(ask_by_the_package_alone(url, given.requests, given.concurrency))
        print(f"the package alone, as it comes: CPU {1000 * alone / given.requests:.2f} ms a request")
        print(f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        process.kill()


def ask(session: ChatSession, numbers: range) -> None:
    """Ask as many different requests."""

    async def one(number: int) -> None:
        message = Message(role="user", content=f"{number}: {PROMPT}")
        await session.client.complete(ChatRequest(model="gpt-4o-mini", messages=(message,), max_tokens=100))

    session.map(one, numbers, "requests")


async def ask_by_the_package_alone(url: str, num_requests: int, concurrency: int) -> float:
    """The CPU seconds of as many requests without journal, limits and budget, by the package's default transport."""
    from openai import AsyncOpenAI

    numbers = iter(range(num_requests))

    async def work() -> None:
        for number in numbers:
            message = {"role": "user", "content": f"{number}: {PROMPT}"}
            await client.chat.completions.create(model="gpt-4o-mini", messages=[message], max_tokens=100)

    async with AsyncOpenAI(api_key="none", base_url=url) as client:
        started = time.process_time()
        await asyncio.gather(*(work() for _ in range(concurrency)))
        return time.process_time() - started


if __name__ == "__main__":
    main()
