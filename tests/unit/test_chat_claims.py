"""One reply is bought by one process: others wait for it, whatever becomes of the one that asks."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from chat_server import MODEL, ChatServer, reply

from leap_core.chat.claims import Claims
from leap_core.chat.client import ChatClient
from leap_core.chat.messages import ChatRequest
from leap_core.chat.session import ChatSession
from leap_core.config import EndpointConfig
from leap_core.errors import BudgetError
from leap_core.types import Message

KEY, OTHER = "0123456789abcdef" * 4, "f" * 64
HOLD = """
import asyncio, pathlib, sys
from leap_core.chat.claims import Claims
async def hold():
    async with Claims(pathlib.Path(sys.argv[1])).hold(sys.argv[2]):
        print("held", flush=True)
        await asyncio.sleep(60)
asyncio.run(hold())
"""
ASK = """
import asyncio, pathlib, sys
from test_chat_claims import ask_four
ask_four(sys.argv[1], pathlib.Path(sys.argv[2]))
"""
COST = (1000 * 0.15 + 100 * 0.60) / 1e6


def request(number):
    text = f"{number:04d}" + "x" * 1996  # 1000 tokens at the very most, and what surrounds a message
    return ChatRequest(model=MODEL, messages=(Message(role="user", content=text),), max_tokens=100)


async def is_free(path, key):
    """Whether a claim can be had at once."""
    with closing(Claims(path)) as claims:
        try:
            async with asyncio.timeout(0.2), claims.hold(key):
                return True
        except TimeoutError:
            return False


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_claim_ends_with_its_process(tmp_path, how):
    path = tmp_path / "claims"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, path, KEY], stdout=subprocess.PIPE, env={**os.environ})
    assert holder.stdout.readline() == b"held\n"
    assert not asyncio.run(is_free(path, KEY))
    assert asyncio.run(is_free(path, OTHER))
    holder.send_signal(how)
    holder.wait()
    holder.stdout.close()
    assert asyncio.run(is_free(path, KEY))


def test_a_claim_is_given_back_and_waited_for(tmp_path):
    async def run():
        order = []

        async def hold(claims, name):
            async with claims.hold(KEY, lambda: order.append(f"{name} waits")):
                order.append(name)
                await asyncio.sleep(0.1)

        with closing(Claims(tmp_path / "claims")) as first, closing(Claims(tmp_path / "claims")) as second:
            await asyncio.gather(hold(first, "first"), hold(second, "second"))
        return order

    assert asyncio.run(run()) == ["first", "second waits", "second"]


def clients(server, path, *scopes, **config):
    settings = EndpointConfig(base_url=server.url, **config)
    return [ChatClient(settings, path / "journal.sqlite", scope) for scope in scopes]


def test_two_runs_that_ask_the_same_pay_once(tmp_path):
    async def run(server):
        both = clients(server, tmp_path, "one", "two")
        try:
            asked = [client.complete(request(number)) for number in range(20) for client in both]
            await asyncio.gather(*asked)
            return [(client.counts.billed.num_replies, client.counts.num_from_journal) for client in both]
        finally:
            for client in both:
                await client.close()

    with ChatServer(lambda body, n: reply(delay_s=0.1)) as server:
        counts = asyncio.run(run(server))
        assert server.num_requests == 20
        assert [sum(pair) for pair in counts] == [20, 20]
        assert sum(billed for billed, _ in counts) == 20


def test_a_budget_knows_what_another_run_spends_meanwhile(tmp_path):
    async def buy(client, numbers):
        for number in numbers:
            await client.complete(request(number))

    async def run(server):
        both = clients(server, tmp_path, "tests", "tests", budget_usd=20.4 * COST)
        try:
            bought = (buy(client, range(start, start + 40)) for client, start in zip(both, (0, 40), strict=True))
            return await asyncio.gather(*bought, return_exceptions=True)
        finally:
            for client in both:
                await client.close()

    with ChatServer(lambda body, n: reply(delay_s=0.01, prompt_tokens=1000, completion_tokens=100)) as server:
        ends = asyncio.run(run(server))
        assert [type(end) for end in ends] == [BudgetError, BudgetError]
        assert 20 <= server.num_requests <= 21  # one may have been on its way when the other looked


def ask_four(url, path):
    """A run of four requests; returns what it paid for, and what it found."""
    with ChatSession(EndpointConfig(base_url=url), path, "tests") as session:

        async def one(number):
            await session.client.complete(request(number))

        session.map(one, range(4), "episodes")
        return session.client.counts.billed.num_replies, session.client.counts.num_from_journal


@pytest.mark.slow
def test_a_run_waits_for_another_one_and_takes_over_when_that_is_killed(tmp_path):
    """Four requests of a run that is killed while they are on their way, wanted by a second run at the same time."""
    path = tmp_path / "journal.sqlite"
    with ChatServer(lambda body, n: reply(delay_s=600)) as server:
        folders = os.pathsep.join((str(Path(__file__).parent), str(Path(__file__).parents[1])))
        environment = os.environ | {"PYTHONPATH": os.pathsep.join((folders, os.environ.get("PYTHONPATH", "")))}
        first = subprocess.Popen([sys.executable, "-c", ASK, server.url, path], env=environment)
        while server.num_requests < 4:
            assert first.poll() is None
            time.sleep(0.01)
        with ThreadPoolExecutor(1) as pool:
            second = pool.submit(ask_four, server.url, path)
            with pytest.raises(TimeoutError):
                second.result(timeout=1.0)
            assert server.num_requests == 4
            server.answer = lambda body, n: reply()
            first.kill()
            first.wait()
            assert second.result(timeout=60) == (4, 0)
        assert server.num_requests == 8
        assert ask_four(server.url, path) == (0, 4)
        assert server.num_requests == 8
