"""The client against a real server with every fault that endpoints have: what is tried again, and what ends at once."""

import asyncio
import logging
import socket
import ssl
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from time import monotonic, time

import pytest
from chat_server import MODEL, Answer, ChatServer, completion, error, reply
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from leap_core.chat.client import ChatClient
from leap_core.chat.faults import FaultKind
from leap_core.chat.journal import Journal, request_key
from leap_core.chat.messages import ChatRequest, ReplySchema
from leap_core.chat.session import ChatSession
from leap_core.config import EndpointConfig
from leap_core.errors import ArtifactError, ChatError, ConfigError, ContextLengthError, EndpointError
from leap_core.types import Message

KEY = "sk-planted-0123456789"


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def request(text="Say hello.", **fields):
    values = {"model": MODEL, "max_tokens": 50, "temperature": 0.0} | fields
    return ChatRequest(messages=(Message(role="user", content=text),), **values)


def ask(server, path, *requests, **config):
    """The replies to requests that are sent at once, each a reply or an error, and the client's counts."""

    async def run():
        settings = {"base_url": server.url, "timeout_s": 5.0, "max_tries": 3} | config
        client = ChatClient(EndpointConfig(**settings), path / "journal.sqlite", "tests")
        try:
            return await asyncio.gather(*map(client.complete, requests), return_exceptions=True), client.counts
        finally:
            await client.close()

    return asyncio.run(run())


def sequence(*answers):
    """Answers in the order of requests; the last one for all that follow."""
    return lambda body, n: answers[min(n, len(answers) - 1)]


def broken_by(**fields):
    answer = reply("whole")
    return Answer(content=answer.content, **fields)


def test_a_reply_and_what_it_cost(tmp_path):
    with ChatServer(lambda body, n: reply("Hi.", prompt_tokens=1000, completion_tokens=100)) as server:
        (answer,), counts = ask(server, tmp_path, request())
        assert (answer.text, answer.prompt_tokens, answer.completion_tokens) == ("Hi.", 1000, 100)
        assert counts.billed.usd == pytest.approx((1000 * 0.15 + 100 * 0.60) / 1e6)
        (sent,) = server.received
        assert sent.headers["authorization"] == f"Bearer {KEY}"
        assert sent.body == {
            "model": MODEL,
            "messages": [{"role": "user", "content": "Say hello."}],
            "max_tokens": 50,
            "temperature": 0.0,
        }


def test_all_that_a_request_says_is_sent(tmp_path):
    schema = ReplySchema(name="x", definition={"type": "object", "enum": ["go to ü"]})
    with ChatServer() as server:
        ask(server, tmp_path, request("ü \u2028", top_p=0.5, seed=7, reply_schema=schema))
        (sent,) = server.received
    assert sent.body == {
        "model": MODEL,
        "messages": [{"role": "user", "content": "ü \u2028"}],
        "max_tokens": 50,
        "temperature": 0.0,
        "top_p": 0.5,
        "seed": 7,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "x", "strict": True, "schema": schema.definition},
        },
    }


TRIED_AGAIN = {
    "429": (error(429, "slow down", code="rate_limit_exceeded"), FaultKind.RATE_LIMIT),
    "429 with retry-after": (error(429, "slow down", retry_after="0.2"), FaultKind.RATE_LIMIT),
    "429 with a date": (error(429, retry_after=formatdate(time() + 1, usegmt=True)), FaultKind.RATE_LIMIT),
    "500": (error(500), FaultKind.SERVER),
    "503 that is no JSON": (Answer(status=503, content=b"<html>Bad gateway</html>"), FaultKind.SERVER),
    "slow first byte": (reply(delay_s=3.0), FaultKind.TIMEOUT),
    "stalled in the middle": (broken_by(cut=40, stall_s=3.0), FaultKind.TIMEOUT),
    "byte by byte": (broken_by(drip_s=0.1), FaultKind.TIMEOUT),
    "reset before the answer": (broken_by(cut=-1), FaultKind.CONNECTION),
    "reset in the middle": (broken_by(cut=40), FaultKind.CONNECTION),
    "truncated JSON": (Answer(content=reply().content[:-9]), FaultKind.BROKEN),
    "another JSON": (Answer(content=b'{"ok": true}'), FaultKind.BROKEN),
    "a list": (Answer(content=b"[]"), FaultKind.BROKEN),
    "empty": (Answer(content=b""), FaultKind.BROKEN),
    "huge": (Answer(content=b" " * 33_000_000), FaultKind.BROKEN),
}


SOME_TRIED_AGAIN = ("429", "stalled in the middle", "truncated JSON")
"""One of each kind; all of them wait half a second or more before the second try."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in SOME_TRIED_AGAIN else pytest.mark.slow) for name in TRIED_AGAIN]
)
def test_a_passing_fault_is_tried_again_and_counted(tmp_path, name):
    bad, kind = TRIED_AGAIN[name]
    with ChatServer(sequence(bad, reply("whole"))) as server:
        (answer,), counts = ask(server, tmp_path, request(), timeout_s=0.8 if kind is FaultKind.TIMEOUT else 60.0)
        assert answer.text == "whole"
        assert counts.faults == {kind: 1}
        assert server.num_requests == 2
        assert counts.billed.num_replies == 1


FINAL = {
    "bad key": (error(401, f"Incorrect API key provided: {KEY}", code="invalid_api_key"), EndpointError),
    "wrong model": (error(404, "The model does not exist", code="model_not_found"), EndpointError),
    "no credit": (error(429, "You exceeded your current quota", code="insufficient_quota"), EndpointError),
    "too long": (error(400, "maximum context length is 8 tokens", code="context_length_exceeded"), ContextLengthError),
    "bad request": (error(400, "no such role"), ChatError),
}


@pytest.mark.parametrize("name", FINAL)
def test_what_no_second_try_would_mend_ends_at_once(tmp_path, name):
    bad, kind = FINAL[name]
    with ChatServer(lambda body, n: bad) as server:
        (answer,), counts = ask(server, tmp_path, request())
        assert type(answer) is kind
        assert server.num_requests == 1
        assert counts.billed.num_replies == 0


def test_a_fault_that_stays_ends_after_the_last_try(tmp_path):
    with ChatServer(lambda body, n: error(500, "down")) as server:
        (answer,), counts = ask(server, tmp_path, request(), max_tries=2)
        assert type(answer) is ChatError
        assert "2 tries" in str(answer)
        assert "500" in str(answer)
        assert counts.faults == {FaultKind.SERVER: 2}


@pytest.mark.parametrize(
    ("value", "text", "finish"),
    [
        (completion(None, reasoning_content="Thought."), "Thought.", "stop"),
        (completion([{"type": "text", "text": "In parts."}]), "In parts.", "stop"),
        (completion("Cut of", finish="length"), "Cut of", "length"),
        (completion(None, refusal="I will not."), "", "stop"),
        (completion("x") | {"choices": []}, "", "empty"),
    ],
)
def test_odd_replies_are_replies(tmp_path, value, text, finish):
    import json

    with ChatServer(lambda body, n: Answer(content=json.dumps(value).encode())) as server:
        (answer,), _ = ask(server, tmp_path, request())
        assert (answer.text, answer.finish) == (text, finish)
        assert answer.refusal == value["choices"][0]["message"].get("refusal") if value["choices"] else True
        assert server.num_requests == 1


def test_a_reply_without_a_count_of_tokens_has_no_known_cost(tmp_path):
    import json

    value = completion("Hi.")
    del value["usage"]
    with ChatServer(lambda body, n: Answer(content=json.dumps(value).encode())) as server:
        (answer,), counts = ask(server, tmp_path, request())
        assert answer.prompt_tokens > 0
        assert (counts.billed.num_unknown, counts.billed.usd) == (1, 0.0)


def test_no_reply_is_paid_for_twice(tmp_path):
    with ChatServer(lambda body, n: reply(body["messages"][0]["content"].upper())) as server:
        first, _ = ask(server, tmp_path, request("a"), request("b"), request("a"))
        assert [one.text for one in first] == ["A", "B", "A"]
        assert server.num_requests == 2
        again, counts = ask(server, tmp_path, request("b"), request("a"), request("c"))
        assert [one.text for one in again] == ["B", "A", "C"]
        assert server.num_requests == 3
        assert (counts.num_from_journal, counts.billed.num_replies) == (2, 1)


@pytest.mark.parametrize("change", [{"temperature": 0.5}, {"max_tokens": 51}, {"seed": 1}, {"model": "gpt-4o"}])
def test_another_request_is_another_reply(tmp_path, change):
    with ChatServer() as server:
        ask(server, tmp_path, request())
        ask(server, tmp_path, request(**change))
        assert server.num_requests == 2


def test_the_journal_holds_neither_key_nor_prompt(tmp_path):
    with ChatServer() as server:
        ask(server, tmp_path, request("the mug is in cabinet 3"))
    files = list(tmp_path.iterdir())
    assert files
    content = b"".join(path.read_bytes() for path in files)
    assert b"Hello." in content
    assert KEY.encode() not in content
    assert b"cabinet" not in content


def test_what_a_server_says_is_not_told_where_it_holds_the_key_or_quotes_the_prompt(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    secret = "the mug is in cabinet 3"
    with ChatServer(lambda body, n: error(400, f"cannot parse: {body} with {KEY}")) as server:
        (echo,), _ = ask(server, tmp_path, request(secret))
    with ChatServer(lambda body, n: error(401, f"bad key {KEY}")) as server:
        (refusal,), _ = ask(server, tmp_path, request(secret))
    told = "".join("".join(traceback.format_exception(one)) for one in (echo, refusal)) + caplog.text
    assert "bad key <key>" in told
    assert "quotes the prompt" in told
    assert KEY not in told
    assert "cabinet" not in told
    causes = [refusal.__cause__, refusal.__context__]
    assert all(type(cause).__module__.startswith("leap_core") for cause in causes if cause is not None)


def test_an_endpoint_that_lacks_a_parameter_is_asked_without_it(tmp_path):
    def answer(body, n):
        for name in ("response_format", "temperature", "max_tokens"):
            if name in body:
                return error(400, f"Unsupported parameter: {name}", param=name)
        return reply("plain")

    schema = ReplySchema(name="x", definition={"type": "object"})
    with ChatServer(answer) as server:
        (one,), _ = ask(server, tmp_path, request(reply_schema=schema))
        assert one.text == "plain"
        assert server.received[-1].body["max_completion_tokens"] == 50
        num_sent = server.num_requests
        ask(server, tmp_path, request(reply_schema=schema))  # the journal knows it by what was meant
        assert server.num_requests == num_sent


def test_a_rate_limit_slows_everything_down(tmp_path):
    """While the endpoint says 429, nothing else is sent; afterwards fewer at once."""

    def answer(body, n):
        return error(429, retry_after="0.5") if n < 8 else reply(delay_s=0.02)

    with ChatServer(answer) as server:
        answers, counts = ask(server, tmp_path, *(request(str(n)) for n in range(40)), max_concurrency=8)
        assert {one.text for one in answers} == {"Hello."}
        assert counts.faults == {FaultKind.RATE_LIMIT: 8}
        gaps = [later.at - sooner.at for sooner, later in zip(server.received, server.received[1:], strict=False)]
        assert max(gaps) >= 0.45
        assert gaps.index(max(gaps)) == 7
        after = server.received[8].at
        assert sum(one.at - after < 0.015 for one in server.received[8:]) <= 5


def test_requests_at_once_are_bounded(tmp_path):
    with ChatServer(lambda body, n: reply(delay_s=0.05)) as server:
        ask(server, tmp_path, *(request(str(n)) for n in range(30)), max_concurrency=5)
        assert server.most_active == 5


def test_ending_early_loses_no_reply_that_is_on_its_way(tmp_path):
    async def run(server):
        config = EndpointConfig(base_url=server.url)
        client = ChatClient(config, tmp_path / "journal.sqlite", "tests")
        tasks = [asyncio.create_task(client.complete(request(str(n)))) for n in range(4)]
        while server.num_requests < 4:
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await client.close()

    with ChatServer(lambda body, n: reply(delay_s=0.3)) as server:
        asyncio.run(run(server))
        _, counts = ask(server, tmp_path, *(request(str(n)) for n in range(5)))
        assert (counts.num_from_journal, server.num_requests) == (4, 5)


def test_a_long_wait_does_not_hold_up_the_end(tmp_path):
    async def run(server):
        client = ChatClient(EndpointConfig(base_url=server.url), tmp_path / "journal.sqlite", "tests")
        task = asyncio.create_task(client.complete(request()))
        while not client.counts.faults:
            await asyncio.sleep(0.01)
        started = monotonic()
        task.cancel()
        await client.close()
        return monotonic() - started

    with ChatServer(lambda body, n: error(429, retry_after="600")) as server:
        assert asyncio.run(run(server)) < 2


def test_without_a_key_openai_is_not_asked(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ConfigError, match="OPENAI_API_KEY is not set"):
        ChatSession(EndpointConfig(), tmp_path / "journal.sqlite", "tests")


def test_azure_wants_the_key_in_a_header_of_its_own_and_a_version_in_the_address(tmp_path):
    with ChatServer() as server:
        base_url = server.url.replace("/v1", "/openai/deployments/my-gpt")
        settings = {"key_header": "api-key", "query": {"api-version": "2025-01-01"}}
        ask(server, tmp_path, request(), base_url=base_url, **settings)
        (received,) = server.received
        assert received.path == "/openai/deployments/my-gpt/chat/completions?api-version=2025-01-01"
        assert received.headers["api-key"] == KEY
        assert KEY not in received.headers.get("authorization", "")


def test_a_proxy_that_the_environment_names_is_gone_through(tmp_path, monkeypatch):
    for name in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    with ChatServer() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/v1"))
        ask(proxy, tmp_path, request(), base_url="http://a-gateway.invalid/v1")
        (received,) = proxy.received
        assert received.path == "http://a-gateway.invalid/v1/chat/completions"


def test_a_damaged_journal_is_not_overwritten(tmp_path):
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(ArtifactError, match="damaged or of another version"):
        Journal(path)
    assert path.read_bytes().startswith(b"no database")


def test_a_key_is_the_one_under_which_replies_were_paid_for():
    plain, full = request(), request(seed=7, reply_schema=ReplySchema(name="x", definition={"type": "object"}))
    assert request_key("http://a/v1", plain) == "930cc315ca81e92b493a037332eacf66d3903c694a7df3dc8054d4109bb63ae1"
    assert request_key("http://a/v1", full) == "051eb78549c67319f9bb1ae57b3809580ad946bea245f6c689a7403e4d221133"


def test_a_key_depends_on_address_and_request():
    keys = {request_key(url, request(text)) for url in ("http://a/v1", "http://b/v1") for text in ("x", "y")}
    assert len(keys) == 4


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def test_a_dead_address_ends_at_once(tmp_path):
    session = ChatSession(EndpointConfig(base_url=f"http://127.0.0.1:{free_port()}/v1"), tmp_path / "j", "tests")
    started = monotonic()
    with session, pytest.raises(EndpointError, match=r"execution\.teacher\.base_url"):
        session.map(session.client.complete, [request("a"), request("b")], "episodes")
    assert monotonic() - started < 5


def certificate(path):
    """A file with a certificate for localhost, and its key, that nobody trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]), datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(secret + signed.public_bytes(Encoding.PEM))
    return path


@pytest.mark.parametrize("is_trusted", [True, False])
def test_only_a_trusted_certificate_will_do(tmp_path, monkeypatch, is_trusted):
    pem = certificate(tmp_path / "localhost.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem)
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with ChatServer(tls=tls) as server:
        base_url = f"https://localhost:{server.port}/v1"
        (answer,), counts = ask(server, tmp_path, request(), base_url=base_url)
        assert server.num_requests == is_trusted
    if is_trusted:
        assert answer.text == "Hello."
    else:
        assert type(answer) is EndpointError
        assert "SSL_CERT_FILE" in str(answer)
        assert counts.faults == {FaultKind.UNREACHABLE: 1}


def outage(tmp_path, down_s, **config):
    """The replies of a server that goes away for a while after the first of two, and the number of tries allowed."""

    async def run():
        with ChatServer() as server:
            settings = EndpointConfig(base_url=server.url, max_tries=1, **config)
            client = ChatClient(settings, tmp_path / "journal.sqlite", "tests")
            first = await client.complete(request("first"))
            port = server.port
        second = asyncio.create_task(client.complete(request("second")))
        try:
            await asyncio.wait([second], timeout=down_s)
            with ChatServer(lambda body, n: reply("back"), port=port):
                return first.text, (await second).text, client.counts
        finally:
            await client.close()

    return asyncio.run(run())


@pytest.mark.slow
def test_an_outage_is_waited_for_and_takes_no_tries(tmp_path):
    first, second, counts = outage(tmp_path, down_s=1.0)
    assert (first, second) == ("Hello.", "back")
    assert counts.faults[FaultKind.UNREACHABLE] >= 1


def test_an_outage_ends_when_it_is_too_long(tmp_path):
    with pytest.raises(EndpointError, match="max_outage_s"):
        outage(tmp_path, down_s=10.0, max_outage_s=0.5)
