"""Endpoints that attack or talk nonsense: nothing of it is followed, believed, kept or shown as it came."""

import asyncio
import base64
import gzip
import json
import math
import sqlite3

import pytest
from chat_server import MODEL, Answer, ChatServer, completion, error, reply

from leap_core.chat.client import ChatClient
from leap_core.chat.faults import FaultKind, fault_of_status, presentable, retry_after_s
from leap_core.chat.journal import Journal
from leap_core.chat.keys import plain_key, read_key, without_keys
from leap_core.chat.messages import ChatReply, ChatRequest
from leap_core.config import EndpointConfig
from leap_core.errors import BudgetError, ConfigError, EndpointError
from leap_core.settings.addresses import is_own, origin_of, proxy_for
from leap_core.teachers.replies import read_advice
from leap_core.types import Message, Observation, Spec

KEY = "sk-planted-0123456789/ab"


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def request(text="Say hello."):
    return ChatRequest(model=MODEL, messages=(Message(role="user", content=text),), max_tokens=50)


def ask(server, path, *requests, said=None, **config):
    """The replies or errors to requests that are sent one after the other, and the client's counts."""

    async def run():
        settings = {"base_url": server.url, "timeout_s": 20.0, "max_tries": 2} | config
        lines = [] if said is None else said
        client = ChatClient(EndpointConfig(**settings), path / "journal.sqlite", "tests", log=lines.append)
        try:
            answers = [(await asyncio.gather(client.complete(one), return_exceptions=True))[0] for one in requests]
            return answers, client.counts
        finally:
            await client.close()

    return asyncio.run(run())


def answering(value):
    return lambda body, n: Answer(content=json.dumps(value).encode())


def with_usage(usage):
    return answering({**completion("Hello."), "usage": usage})


def kept(path):
    return b"".join(file.read_bytes() for file in path.iterdir())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("batch", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_no_redirect_is_followed(tmp_path, status, batch):
    with ChatServer() as thief, ChatServer() as server:
        there = Answer(status=status, headers={"location": f"{thief.url}/chat/completions?secret=1"})
        server.answer = lambda body, n: there
        server._files_and_batches = lambda *_: there
        settings = {"key_header": "api-key", "batch": batch}
        (answer,), _ = ask(server, tmp_path, request(), **settings)
        assert isinstance(answer, EndpointError)
        assert f"127.0.0.1:{server.port} redirects to http://127.0.0.1:{thief.port}" in str(answer)
        assert "secret=1" not in str(answer)
        assert (thief.num_requests, thief.files) == (0, {})


@pytest.mark.parametrize("location", ["", "http://[", "//u:p@evil.example/\x1b[31m", "\x9b31m", "/elsewhere"])
def test_a_hostile_location_is_told_as_what_it_is(tmp_path, location):
    with ChatServer(lambda body, n: Answer(status=302, headers={"location": location})) as server:
        (answer,), _ = ask(server, tmp_path, request())
        assert isinstance(answer, EndpointError)
        assert str(answer).isprintable()
        assert "u:p" not in str(answer)
        assert server.num_requests == 1


IMPOSSIBLE = [-1_000_000, 10**30, 1e999, math.nan, math.inf, True, "many", 1.5, None, [], {"a": 1}, "-5"]


@pytest.mark.parametrize("count", IMPOSSIBLE, ids=str)
def test_counts_that_cannot_be_are_estimated_and_said_once(tmp_path, count):
    said = []
    usage = {"prompt_tokens": count, "completion_tokens": count, "total_tokens": count}
    with ChatServer(with_usage(usage)) as server:
        answers, counts = ask(server, tmp_path, request("a" * 30), request("b" * 30), said=said)
        assert [(one.prompt_tokens, one.completion_tokens) for one in answers] == [(10, 2)] * 2
        assert not any(one.is_counted for one in answers)
        assert counts.num_doubted == 2
        assert sum("impossible counts of tokens" in line for line in said) == 1
        again, _ = ask(server, tmp_path, request("a" * 30))
        assert again == answers[:1]


@pytest.mark.parametrize("usage", [None, [], "x", 5, {}], ids=str)
def test_usage_that_is_none_is_estimated(tmp_path, usage):
    with ChatServer(with_usage(usage)) as server:
        (answer,), counts = ask(server, tmp_path, request("a" * 30))
        assert (answer.prompt_tokens, answer.completion_tokens, counts.num_doubted) == (10, 2, 1)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": "12", "completion_tokens": 3.0}, (12, 3, 0, True)),
        ({"prompt_tokens": 12, "completion_tokens": 0}, (12, 2, 0, False)),
        ({"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 40}, (12, 28, 0, True)),
        ({"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 5}, (12, 3, 0, True)),
        (
            {"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 99}},
            (12, 3, 0, True),
        ),
        (
            {"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 9}},
            (12, 3, 9, True),
        ),
        ({"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": [1]}, (12, 3, 0, True)),
    ],
    ids=range(7),
)
def test_the_larger_of_two_counts_holds(tmp_path, usage, expected):
    with ChatServer(with_usage(usage)) as server:
        (one,), _ = ask(server, tmp_path, request("a" * 30))
        assert (one.prompt_tokens, one.completion_tokens, one.cached_tokens, one.is_counted) == expected


@pytest.mark.slow
@pytest.mark.parametrize("limit", [{"budget_tokens": 3000}, {"budget_usd": 0.0005}])
@pytest.mark.parametrize("count", [-1_000_000, None, 0])
def test_no_count_defeats_a_budget(tmp_path, limit, count):
    usage = {"prompt_tokens": count, "completion_tokens": count}
    with ChatServer(with_usage(usage)) as server:
        answers, _ = ask(server, tmp_path, *(request(f"{n} " + "word " * 300) for n in range(12)), **limit)
        assert isinstance(answers[-1], BudgetError)
        assert 1 <= server.num_requests <= 6


def rows(path, *replies):
    """Put replies into a journal as earlier versions, or nobody, would have."""
    Journal(path / "journal.sqlite").close()
    with sqlite3.connect(path / "journal.sqlite") as database:
        for number, row in enumerate(replies):
            database.execute("INSERT INTO replies VALUES (NULL, ?, 'tests', 'gpt-4o-mini', ?, '')", (f"k{number}", row))
    database.close()


def old_row(**fields):
    values = {"text": "Hi.", "finish": "stop", "served_by": "m", "prompt_tokens": 5, "completion_tokens": 5}
    return json.dumps(values | fields)


GARBAGE = ["", "{", "null", '{"text": 1}', "[" * 100_000, b"\xff\xfe", 5, b'{"text":"\xff"}'.decode("latin-1")]
ODD = [
    old_row(prompt_tokens=10**30),
    old_row(prompt_tokens=-5),
    old_row(completion_tokens=10**400),
    old_row(text="\ud83d"),
    old_row(text=KEY.replace("-", "\\u002d")),
]


def test_of_a_key_that_begins_as_another_one_nothing_is_left():
    for key in ("sk-begins-alike", "sk-begins-alike/and-goes-on"):
        plain_key(key, "here")
    assert without_keys("sk-begins-alike/and-goes-on, sk-begins-alike") == "<key>, <key>"


def test_nothing_in_a_journal_stops_a_run(tmp_path):
    rows(tmp_path, *GARBAGE, *ODD)
    read_key("OPENAI_API_KEY")
    journal = Journal(tmp_path / "journal.sqlite")
    found = [journal.find(f"k{number}") for number in range(len(GARBAGE) + len(ODD))]
    assert found[: len(GARBAGE)] == [None] * len(GARBAGE)
    assert [one.prompt_tokens for one in found[len(GARBAGE) :]] == [0, 0, 0, 5, 5]
    assert [one.text for one in found[-2:]] == ["\ufffd", "<key>"]
    assert len(list(journal.paid("tests"))) == len(ODD)
    whole = ChatReply(text="new", finish="stop", prompt_tokens=1, completion_tokens=1)
    journal.keep("k0", "tests", MODEL, whole)
    assert journal.find("k0") == whole
    journal.close()
    with ChatServer() as server:
        (answer,), _ = ask(server, tmp_path, request(), budget_tokens=10_000)
        assert answer.text == "Hello."


SPELLINGS = {
    "as it is": KEY,
    "JSON": KEY.replace("-", "\\u002d"),
    "JSON, all": "".join(f"\\u{ord(one):04X}" for one in KEY),
    "JSON twice": "".join(f"\\\\u{ord(one):04x}" for one in KEY),
    "slashes": KEY.replace("/", "\\/"),
    "URL": "".join(f"%{ord(one):02x}" for one in KEY),
    "HTML": "".join(f"&#{ord(one)};" for one in KEY),
    "hex": KEY.encode().hex(),
    "base64": base64.b64encode(f"Bearer {KEY}!".encode()).decode(),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_key_is_found_in_every_spelling(tmp_path, name):
    plain_key(KEY, "here")
    assert "<key>" in without_keys(f"a {SPELLINGS[name]} b")
    told = presentable(f"bad key {SPELLINGS[name]}")
    assert "<key>" in told
    with ChatServer(answering(completion(f"It is {SPELLINGS[name]}.", refusal=SPELLINGS[name]))) as server:
        (answer,), _ = ask(server, tmp_path, request())
        assert "<key>" in answer.text
        assert "<key>" in answer.refusal
        content = kept(tmp_path)
        assert SPELLINGS[name].encode() not in content
        assert KEY.encode() not in content
    with ChatServer(lambda body, n: error(401, f"bad key {SPELLINGS[name]}")) as server:
        (answer,), _ = ask(server, tmp_path, request("other"))
        assert "<key>" in str(answer)
        assert SPELLINGS[name] not in str(answer)


def test_a_key_in_escapes_of_the_answer_itself_is_not_kept(tmp_path):
    content = json.dumps(completion("It is KEY.")).replace("KEY", "".join(f"\\u{ord(one):04x}" for one in KEY))
    with ChatServer(lambda body, n: Answer(content=content.encode())) as server:
        (answer,), _ = ask(server, tmp_path, request())
        assert answer.text == "It is <key>."
        assert KEY.encode() not in kept(tmp_path)


@pytest.mark.parametrize("word", ["EMPTY", "x", ""])
def test_a_word_in_place_of_a_key_is_not_looked_for(tmp_path, monkeypatch, word):
    monkeypatch.setenv("OPENAI_API_KEY", word)
    with ChatServer(lambda body, n: reply("The box is EMPTY.")) as server:
        (answer,), _ = ask(server, tmp_path, request())
        assert answer.text == "The box is EMPTY."


@pytest.mark.parametrize("end", ["\n", "\r\n", " ", "\n\n"])
def test_line_ends_of_a_file_are_no_part_of_a_key(tmp_path, monkeypatch, end):
    monkeypatch.setenv("OPENAI_API_KEY", KEY + end)
    with ChatServer() as server:
        ask(server, tmp_path, request())
        assert server.received[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("middle", ["\n", "\r", " ", "\t", "\x7f", "\u200b", "ü", "\udcff", "\x1b[31m"], ids=repr)
def test_what_can_be_no_key_is_said_before_anything_is_sent(tmp_path, monkeypatch, middle):
    monkeypatch.setenv("OPENAI_API_KEY", f"sk-first{middle}second-half")
    with ChatServer() as server, pytest.raises(ConfigError, match="variable OPENAI_API_KEY holds no key") as told:
        ask(server, tmp_path, request())
    assert "second-half" not in str(told.value)


BROKEN = {
    "deep": b"[" * 200_000 + b"]" * 200_000,
    "deep objects": b'{"choices":' * 200_000,
    "null message": b'{"choices": [{"message": null}]}',
    "number as text": b'{"choices": [{"message": {"content": 5}}]}',
    "choices as text": b'{"choices": "x"}',
    "invalid UTF-8": b'{"choices": "\xff"}',
    "HTML": b"<html>",
    "events": b'data: {"choices": []}\n\n',
    "bomb": b"",
}


PACKED_ZEROS = gzip.compress(bytes(200_000_000), 9)


def bomb(**fields):
    """Two hundred megabytes in two hundred thousand bytes."""
    return Answer(content=PACKED_ZEROS, headers={"content-encoding": "gzip"}, **fields)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "deep" else pytest.mark.slow) for name in BROKEN]
)
def test_unreadable_answers_are_tried_again(tmp_path, name):
    bad = Answer(content=BROKEN[name]) if name != "bomb" else bomb()
    with ChatServer(lambda body, n: bad if n == 0 else reply("whole")) as server:
        (answer,), counts = ask(server, tmp_path, request())
        assert answer.text == "whole"
        assert counts.faults == {FaultKind.BROKEN: 1}


@pytest.mark.slow
@pytest.mark.parametrize("status", [401, 500])
def test_an_error_that_is_a_bomb_is_not_read_to_its_end(tmp_path, status):
    with ChatServer(lambda body, n: bomb(status=status) if n == 0 else reply("whole")) as server:
        (answer,), counts = ask(server, tmp_path, request())
        assert answer.text == "whole"
        assert counts.faults == {FaultKind.BROKEN: 1}


def test_a_packed_answer_is_unpacked(tmp_path):
    packed = Answer(content=gzip.compress(reply("whole").content), headers={"content-encoding": "gzip"})
    with ChatServer(lambda body, n: packed) as server:
        (answer,), _ = ask(server, tmp_path, request())
        assert answer.text == "whole"


def test_no_cookie_is_kept(tmp_path):
    baked = Answer(content=reply().content, headers={"set-cookie": "mark=1; Path=/"})
    with ChatServer(lambda body, n: baked) as server:
        ask(server, tmp_path, request("a"), request("b"))
        assert not any("cookie" in received.headers for received in server.received)


@pytest.mark.parametrize(
    ("message", "text", "finish"),
    [
        (completion("a\ud83db"), "a\ufffdb", "stop"),
        (completion("\ud83d\ude42\x00"), "🙂\x00", "stop"),
        (completion(None, tool_calls=[{"id": 1}]), "", "stop"),
        (completion("x", finish={"a": 1}), "x", "stop"),
        (completion("x", finish="MAX_TOKENS"), "x", "length"),
        (completion("x" * 10_000_000), "x" * 1_000_000, "length"),
        (completion("x", refusal={"why": 1}), "x", "stop"),
        (completion("x") | {"model": 5}, "x", "stop"),
    ],
    ids=range(8),
)
def test_odd_replies_are_kept_and_found_again(tmp_path, message, text, finish):
    with ChatServer(answering(message)) as server:
        for _ in range(2):
            (answer,), _ = ask(server, tmp_path, request())
            assert (answer.text, answer.finish) == (text, finish)
        assert server.num_requests == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "kind"), [(429, FaultKind.RATE_LIMIT), (None, FaultKind.SERVER), ("odd", FaultKind.SERVER)]
)
def test_an_error_that_comes_as_a_success_is_an_error(tmp_path, code, kind):
    bad = Answer(content=json.dumps({"error": {"message": "no", "code": code}}).encode())
    with ChatServer(lambda body, n: bad if n == 0 else reply("whole")) as server:
        (answer,), counts = ask(server, tmp_path, request())
        assert (answer.text, counts.faults) == ("whole", {kind: 1})


STATUSES = {
    FaultKind.REFUSED: [401, 402, 403, 404, 405, 410, 501, 505, 511],
    FaultKind.SERVER: [408, 409, 423, 425, 498, 499, 500, 502, 503, 504, 520, 524, 529, 530],
    FaultKind.RATE_LIMIT: [429],
    FaultKind.TOO_MUCH: [413],
    FaultKind.BAD_REQUEST: [400, 406, 415, 418, 422, 431, 451],
}


@pytest.mark.parametrize(("kind", "status"), [(kind, status) for kind, all in STATUSES.items() for status in all])
def test_every_status_is_judged(kind, status):
    assert fault_of_status(status, "<html>no</html>", "", {}, "no").kind is kind


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("This model's maximum context length is 4096 tokens. However, you requested 5000.", FaultKind.TOO_LONG),
        ("prompt is too long: 210000 tokens > 200000 maximum", FaultKind.TOO_LONG),
        ("Input is too long for requested model.", FaultKind.TOO_LONG),
        ("max_tokens: 99999 > 8192, which is the maximum allowed number of output tokens", FaultKind.TOO_MUCH),
        ("max_tokens must not exceed 4096 output tokens", FaultKind.TOO_MUCH),
        ("Invalid schema for response_format: enum string is too long", FaultKind.TOO_MUCH),
    ],
)
def test_a_prompt_beyond_the_context_is_told_from_other_limits(said, kind):
    assert fault_of_status(400, said, "", {}, "no").kind is kind


@pytest.mark.parametrize(
    ("status", "said", "headers", "kind"),
    [
        (429, "You exceeded your current quota, check your billing", {"retry-after": "3"}, FaultKind.RATE_LIMIT),
        (429, "You exceeded your current quota, check your billing", {}, FaultKind.REFUSED),
        (429, "Insufficient balance", {}, FaultKind.REFUSED),
        (400, "API key not valid", {}, FaultKind.REFUSED),
        (403, "your input was flagged", {}, FaultKind.BAD_REQUEST),
    ],
)
def test_words_decide_where_a_status_does_not(status, said, headers, kind):
    assert fault_of_status(status, said, "", headers, said).kind is kind


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("nan", None),
        ("-nan", None),
        ("-1", None),
        ("0", None),
        ("-inf", None),
        ("soon", None),
        ("", None),
        ("Sun, 06 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 99999 08:49:37 GMT", None),
        ("2.5", 2.5),
        ("inf", 3600.0),
        ("1e9", 3600.0),
        ("1e400", 3600.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
    ],
)
def test_a_wait_is_bounded(value, expected):
    assert retry_after_s({"retry-after": value}) == expected
    assert retry_after_s({"retry-after-ms": "nan", "retry-after": value}) == expected


def test_no_words_of_an_endpoint_steer_the_terminal(tmp_path):
    with ChatServer(lambda body, n: error(401, "\x1b[2Jgone \u202eevil\x07\u200b \x9b31m", code="\x1b[31m")) as server:
        (answer,), _ = ask(server, tmp_path, request())
        assert str(answer).isprintable()
        assert r"\x1b[2Jgone \u202eevil\x07\u200b" in str(answer)


def test_no_spelling_of_the_prompt_is_shown():
    asked = [request("the mug is in cabinet 3")]
    escaped = "".join(f"\\u{ord(one):04x}" for one in "the mug is in cabinet 3")
    for said in (escaped, "the%20mug%20is%20in%20cabinet%203", "the+mug+is+in", r"the\nmug\nis"):
        assert "left out" in presentable(f"cannot read {said}", asked)
    assert presentable("no such model", asked) == "no such model"


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]", "::ffff:127.0.0.1", "a.localhost", "127.1", "0.0.0.0"]
)
def test_this_machine_is_never_asked_through_a_proxy(monkeypatch, host):
    monkeypatch.setenv("http_proxy", "http://u:secret@proxy.invalid:3128")
    assert is_own(host)
    address = f"http://[{host}]/v1" if ":" in host and "[" not in host else f"http://{host}/v1"
    assert proxy_for(address) is None
    assert proxy_for("http://far.example/v1") == "http://u:secret@proxy.invalid:3128"
    assert origin_of("http://u:secret@proxy.invalid:3128") == "http://proxy.invalid:3128"


def test_an_endpoint_of_ones_own_is_asked_directly(tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with ChatServer() as server:
        (answer,), _ = ask(server, tmp_path, request())
        assert answer.text == "Hello."


@pytest.mark.parametrize(("status", "words"), [(407, "refuses the connection"), (503, "through the proxy")])
def test_a_proxy_that_refuses_is_named_without_its_credentials(tmp_path, monkeypatch, status, words):
    with ChatServer(lambda body, n: Answer(status=status, content=b"<html>")) as proxy:
        monkeypatch.setenv("http_proxy", f"http://user:geheim@127.0.0.1:{proxy.port}")
        (answer,), _ = ask(proxy, tmp_path, request(), base_url="http://far.invalid/v1", max_tries=1)
        assert words in str(answer)
        assert f"127.0.0.1:{proxy.port}" in str(answer)
        assert "geheim" not in str(answer)
        assert proxy.num_requests == 1
        assert proxy.received[0].headers["proxy-authorization"].startswith("Basic ")


@pytest.mark.parametrize(("status", "kind"), [(407, FaultKind.REFUSED), (503, FaultKind.SERVER)])
def test_a_proxy_that_opens_no_tunnel_is_named_without_its_credentials(tmp_path, monkeypatch, status, kind):
    with ChatServer() as proxy:
        proxy._files_and_batches = lambda *_: Answer(status=status, content=b"<html>")  # to CONNECT
        monkeypatch.setenv("https_proxy", f"http://user:geheim@127.0.0.1:{proxy.port}")
        (answer,), counts = ask(proxy, tmp_path, request(), base_url="https://far.invalid/v1", max_tries=1)
        assert counts.faults == {kind: 1}
        assert f"127.0.0.1:{proxy.port}" in str(answer)
        assert "geheim" not in str(answer)


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "http://", "http://h:99999", "http://a\x1bb:1"])
def test_what_is_no_proxy_is_said(monkeypatch, proxy):
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(ConfigError, match="HTTP_PROXY"):
        proxy_for("http://far.example/v1")


def test_the_environment_adds_nothing_to_requests(tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password geheim\n")
    for name, value in {
        "OPENAI_CUSTOM_HEADERS": "Authorization: Bearer other\nX-Odd: 1",
        "OPENAI_ORG_ID": "org-1",
        "OPENAI_PROJECT_ID": "proj-1",
        "OPENAI_ADMIN_KEY": "sk-admin",
        "OPENAI_LOG": "debug",
        "NETRC": str(netrc),
    }.items():
        monkeypatch.setenv(name, value)
    with ChatServer() as server:
        ask(server, tmp_path, request())
        (received,) = server.received
        assert received.headers["authorization"] == f"Bearer {KEY}"
        assert received.headers["user-agent"].startswith("leap-agents/")
        technical = {"host", "connection", "accept", "accept-encoding", "content-type", "content-length"}
        assert set(received.headers) == {"authorization", "user-agent"} | technical


@pytest.mark.parametrize(
    "address", ["http://a b/v1", "http://a\n/v1", "ftp://a/v1", "a/v1", "http://u:p@a/v1", "http://a:99999/v1"]
)
def test_an_address_from_the_environment_is_looked_at_as_one_from_a_preset(tmp_path, monkeypatch, address):
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    with ChatServer() as server, pytest.raises(ConfigError, match="OPENAI_BASE_URL") as told:
        ask(server, tmp_path, request(), base_url=None)
    assert "u:p" not in str(told.value)
    with pytest.raises(ValueError, match="base_url"):
        EndpointConfig(base_url=address)


def test_a_batch_takes_nothing_that_was_not_asked_for(tmp_path):
    """Lines for other requests, garbage, and a separator of lines inside a text."""
    with ChatServer(lambda body, n: reply("one\u2028two")) as server:
        look = server._look

        def hostile(batch):
            done = look(batch)
            if done["status"] == "completed":
                foreign = {"custom_id": "0" * 64, "response": {"status_code": 200, "body": completion("planted")}}
                odd = [
                    json.dumps(foreign),
                    "{",
                    "[" * 100_000,
                    '{"custom_id": []}',
                    '{"custom_id": "x", "response": 5}',
                ]
                lines = server.files[done["output_file_id"]].replace("\\u2028", "\u2028")
                server.files[done["output_file_id"]] = "\n".join([*odd, lines])
            return done

        server._look = hostile
        (answer,), _ = ask(server, tmp_path, request(), batch=True, batch_poll_s=0.05)
        assert answer.text == "one\u2028two"
        assert b"planted" not in kept(tmp_path)


def test_advice_from_odd_json_is_no_advice_or_advice_but_never_an_error():
    assert read_advice("[" * 200_000 + "]" * 200_000, [0]) is None
    assert (
        read_advice('{"steps": [{"step": "' + "9" * 5000 + '", "reason": "", "action": "look"}]}', [0, 1]) is not None
    )
    (advice,) = read_advice(r'{"steps": [{"step": 1, "reason": "\ud83d", "action": "look\udc00"}]}', [0]).values()
    assert (advice.reason, advice.command) == ("\ufffd", "look\ufffd")


def test_text_of_environments_and_their_data_is_mended():
    assert Observation(text="a\ud83d", admissible=("b\udc00", "c")).admissible == ("b\ufffd", "c")
    spec = Spec(id="1", env="e", split="dev", instruction="\ud800", params={"x": [{"y": "\ud83d"}]})
    assert (spec.instruction, spec.params) == ("\ufffd", {"x": [{"y": "\ufffd"}]})
    spec.model_dump_json()
