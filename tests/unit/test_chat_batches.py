"""The Batch API: half the price, and no batch is handed in twice."""

import asyncio

import pytest
from chat_server import MODEL, ChatServer, error, reply

from leap_core.chat.client import ChatClient
from leap_core.chat.journal import Journal
from leap_core.chat.messages import ChatRequest
from leap_core.config import EndpointConfig
from leap_core.errors import ChatError
from leap_core.types import Message

TOKENS = {"prompt_tokens": 1000, "completion_tokens": 100}
COST = (1000 * 0.15 + 100 * 0.60) / 1e6


def request(text):
    return ChatRequest(model=MODEL, messages=(Message(role="user", content=text),), max_tokens=100)


def upper(body, n):
    return reply(body["messages"][0]["content"].upper(), **TOKENS)


def client_of(server, path):
    config = EndpointConfig(base_url=server.url, batch=True, batch_poll_s=0.05, max_tries=2)
    return ChatClient(config, path / "journal.sqlite", "tests")


def ask(server, path, *texts):
    async def run():
        client = client_of(server, path)
        try:
            tasks = (client.complete(request(text)) for text in texts)
            return await asyncio.gather(*tasks, return_exceptions=True), client.counts
        finally:
            await client.close()

    return asyncio.run(run())


def pending(path, server):
    journal = Journal(path / "journal.sqlite")
    try:
        return journal.pending_batches(server.url)
    finally:
        journal.close()


def test_requests_go_in_one_batch_at_half_the_price(tmp_path):
    with ChatServer(upper, batch_looks=3) as server:
        answers, counts = ask(server, tmp_path, "a", "b", "c")
        assert [one.text for one in answers] == ["A", "B", "C"]
        assert (len(server.batches), server.num_requests) == (1, 0)
        assert counts.billed.usd == pytest.approx(3 * COST / 2)
        again, counts = ask(server, tmp_path, "c", "a")
        assert [one.text for one in again] == ["C", "A"]
        assert (len(server.batches), counts.num_from_journal) == (1, 2)
        assert pending(tmp_path, server) == []


def cut_off(server, path, until, *texts):
    """Ask, and end the run as soon as `until()` holds, before the batch is done."""

    async def run():
        client = client_of(server, path)
        tasks = [asyncio.create_task(client.complete(request(text))) for text in texts]
        while not until():
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await client.close()

    asyncio.run(run())


@pytest.mark.slow
def test_a_run_that_was_cut_off_collects_the_same_batch(tmp_path):
    with ChatServer(upper, batch_looks=10_000) as server:
        cut_off(server, tmp_path, lambda: server.batches, "a", "b")
        assert len(pending(tmp_path, server)) == 1
        server.batch_looks = 1
        answers, _ = ask(server, tmp_path, "a", "b", "new")
        assert [one.text for one in answers] == ["A", "B", "NEW"]
        assert len(server.batches) == 2
        assert pending(tmp_path, server) == []


@pytest.mark.slow
def test_a_batch_whose_name_was_lost_in_a_crash_is_found_again(tmp_path):
    with ChatServer(upper, batch_looks=10_000) as server:
        cut_off(server, tmp_path, lambda: server.batches, "a", "b")
        (batch,) = pending(tmp_path, server)
        journal = Journal(tmp_path / "journal.sqlite")
        journal.intend_batch(batch.label, server.url, "tests", MODEL, batch.keys)  # as it was before the answer came
        journal.close()
        assert pending(tmp_path, server)[0].id is None
        server.batch_looks = 1
        answers, _ = ask(server, tmp_path, "a", "b")
        assert [one.text for one in answers] == ["A", "B"]
        assert len(server.batches) == 1


def test_an_intent_that_came_to_nothing_is_forgotten(tmp_path):
    with ChatServer(upper) as server:
        journal = Journal(tmp_path / "journal.sqlite")
        journal.intend_batch("label", server.url, "tests", MODEL, ["key"])
        journal.close()
        answers, _ = ask(server, tmp_path, "a")
        assert answers[0].text == "A"
        assert pending(tmp_path, server) == []


@pytest.mark.slow
def test_a_request_that_fails_in_a_batch_is_asked_again_or_given_up(tmp_path):
    first = set()

    def answer(body, n):
        text = body["messages"][0]["content"]
        if text == "once" and text not in first:
            first.add(text)
            return error(500, "down")
        return error(400, "no such role") if text == "never" else upper(body, n)

    with ChatServer(answer) as server:
        (good, once, never), _ = ask(server, tmp_path, "good", "once", "never")
        assert (good.text, once.text) == ("GOOD", "ONCE")
        assert type(never) is ChatError
        assert [len(file.splitlines()) for file in list(server.files.values())[::2]] == [3, 1]


def test_another_run_collects_the_batch_of_a_living_one(tmp_path):
    """Two runs of different experiments want the same overnight: one batch, and both get the replies."""

    async def run(server):
        config = EndpointConfig(base_url=server.url, batch=True, batch_poll_s=0.05)
        first, second = (ChatClient(config, tmp_path / "journal.sqlite", scope) for scope in ("one", "two"))
        try:
            asked = [asyncio.create_task(client.complete(request("a"))) for client in (first, second)]
            while not server.batches:
                await asyncio.sleep(0.01)
            server.batch_looks = 3
            return [one.text for one in await asyncio.gather(*asked)]
        finally:
            await first.close()
            await second.close()

    with ChatServer(upper, batch_looks=10_000) as server:
        assert asyncio.run(run(server)) == ["A", "A"]
        assert len(server.batches) == 1


@pytest.mark.slow
def test_a_batch_that_was_taken_although_its_answer_was_lost_is_not_handed_in_again(tmp_path):
    with ChatServer(upper) as server:
        server.loses_answers_to_batches = 1
        answers, counts = ask(server, tmp_path, "a", "b")
        assert [one.text for one in answers] == ["A", "B"]
        assert len(server.batches) == 1
        assert counts.faults.total() == 2
