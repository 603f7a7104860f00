"""How close the chat client comes to the ideal: requests x delay / concurrency, against a server in its own process.

    python -m tests.benchmarks.bench_chat

Prints the time, the ideal time and their ratio, the CPU of a request beside what the `openai` package takes by itself,
and the peak memory for two lengths. No client is done before `ceil(requests / concurrency) * delay`, which for 2,000
requests is 1.02 times the ideal; what bare sockets take shows what the machine leaves of the rest.
"""

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from leap_core.chat.messages import ChatRequest
from leap_core.chat.session import ChatSession
from leap_core.config import EndpointConfig
from leap_core.teachers.openai import OpenAITeacher
from leap_core.types import Message

SERVER = Path(__file__).with_name("delay_server.py")
sys.path.insert(0, str(Path(__file__).parents[1]))
from taught_episode import episode, setup_of  # noqa: E402 - in the folder above

PROMPT = "You are in the middle of a room. " * 200  # about as long as the prompt for a short episode


@contextmanager
def serve(delay_s: float, text: str) -> Iterator[str]:
    """The address of a server in a process of its own that answers everything with `text`."""
    with TemporaryDirectory() as name:
        file = Path(name) / "port"
        process = subprocess.Popen([sys.executable, SERVER, file, str(delay_s), text], stdin=subprocess.PIPE)
        while not (file.exists() and file.read_text()):
            time.sleep(0.05)
        yield f"http://127.0.0.1:{file.read_text()}/v1"
        process.kill()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--delay-s", type=float, default=0.1)
    given = parser.parse_args()
    bench_sockets(given)
    bench_requests(given)
    for num_steps in (1, 4, 12):
        bench_corrections(given, num_steps)
    print(f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def bench_sockets(given: argparse.Namespace) -> None:
    """Requests of the same length over bare sockets: no HTTP client, no JSON, nothing kept."""
    content = PROMPT.encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n\r\n".encode()

    async def ask_all(port: int, numbers: Iterator[int]) -> None:
        async def work() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for _ in numbers:
                writer.write(head + content)
                answer = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(answer.rpartition(b": ")[2]))
            writer.close()

        await asyncio.gather(*(work() for _ in range(given.concurrency)))

    with serve(given.delay_s, "Hello.") as url, measured(given, given.requests, "times bare sockets"):
        asyncio.run(ask_all(int(url.split(":")[2].partition("/")[0]), iter(range(given.requests))))


def bench_requests(given: argparse.Namespace) -> None:
    """The client alone."""
    with serve(given.delay_s, "Hello.") as url, TemporaryDirectory() as name:
        config = EndpointConfig(base_url=url, max_concurrency=given.concurrency)
        with ChatSession(config, Path(name) / "journal.sqlite", "bench") as session:
            ask(session, range(-given.concurrency, 0))  # the first requests open the connections
            for start, stop in ((0, given.requests), (given.requests, 4 * given.requests)):
                with measured(given, stop - start, "requests"):
                    ask(session, range(start, stop))
        alone = asyncio.run(ask_by_the_package_alone(url, given.requests, given.concurrency))
        print(f"the package alone, as it comes: CPU {1000 * alone / given.requests:.2f} ms a request")


def bench_corrections(given: argparse.Namespace, num_steps: int) -> None:
    """Episodes of so many steps through the teacher: its prompts, reading its replies, and the gate."""
    reason = "I have not looked there yet, and such things are often kept there."
    steps = [{"step": step + 1, "reason": reason, "action": "go to cabinet 3"} for step in range(num_steps)]
    with serve(given.delay_s, json.dumps({"summary": "", "steps": steps})) as url, TemporaryDirectory() as name:
        endpoint = EndpointConfig(base_url=url, max_concurrency=given.concurrency)
        teacher = OpenAITeacher(setup_of(endpoint, Path(name)))
        episodes = [episode(number, num_steps) for number in range(given.concurrency + given.requests)]
        teacher.correct(episodes[: given.concurrency])
        with measured(given, given.requests, f"corrections of {num_steps} steps"):
            teacher.correct(episodes[given.concurrency :])
        teacher.close()


@contextmanager
def measured(given: argparse.Namespace, count: int, noun: str) -> Iterator[None]:
    """Print how long the block took beside the ideal."""
    started, cpu = time.monotonic(), time.process_time()
    yield
    took, cpu = time.monotonic() - started, time.process_time() - cpu
    ideal = count * given.delay_s / given.concurrency
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{count} {noun}: {took:.2f} s, ideal {ideal:.2f} s, ratio {took / ideal:.3f}; "
        f"CPU {1000 * cpu / count:.2f} ms each, peak memory {peak:.0f} MB"
    )


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
