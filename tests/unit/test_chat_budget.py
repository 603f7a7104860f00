"""What may be spent: never more than the budget, over all runs, and never a guess for an unknown price."""

import signal

import pytest
from chat_server import MODEL, ChatServer, reply

from leap_core.chat.messages import ChatReply, ChatRequest
from leap_core.chat.prices import read_prices
from leap_core.chat.session import ChatSession
from leap_core.config import EndpointConfig
from leap_core.errors import BudgetError, ConfigError, EndpointError
from leap_core.types import Message

TOKENS = {"prompt_tokens": 1000, "completion_tokens": 100}
COST = (1000 * 0.15 + 100 * 0.60) / 1e6


def request(number, model=MODEL):
    text = f"{number:04d}" + "x" * 1996  # 1000 tokens at the very most, and what surrounds a message
    return ChatRequest(model=model, messages=(Message(role="user", content=text),), max_tokens=100)


def buy(server, path, numbers, model=MODEL, **config):
    """Ask for so many replies; returns what the experiment has spent by then."""
    settings = EndpointConfig(base_url=server.url, **config)
    with ChatSession(settings, path / "journal.sqlite", config.get("scope", "tests")) as session:

        async def one(number):
            await session.client.complete(request(number, model))

        try:
            session.map(one, numbers, "episodes")
        except BudgetError as error:
            return session.client.spent, str(error)
        return session.client.spent, ""


@pytest.mark.slow
@pytest.mark.parametrize("concurrency", [1, 4, 32])
def test_a_budget_in_dollars_is_never_overrun_and_nearly_used(tmp_path, concurrency):
    with ChatServer(lambda body, n: reply(delay_s=0.02, **TOKENS)) as server:
        spent, told = buy(server, tmp_path, range(40), budget_usd=20.4 * COST, max_concurrency=concurrency)
    assert server.num_requests == spent.num_replies == 20
    assert spent.usd == pytest.approx(20 * COST)
    assert "20 of 40 episodes are done, 20 are left" in told
    assert "execution.teacher.budget_usd" in told
    assert f"{20 * 1100:,} tokens more" in told


def test_a_budget_in_tokens_needs_no_price(tmp_path):
    with ChatServer(lambda body, n: reply(**TOKENS)) as server:
        spent, told = buy(server, tmp_path, range(40), model="my-own", budget_tokens=11_050, max_concurrency=4)
    assert (server.num_requests, spent.tokens, spent.num_unknown) == (10, 11_000, 10)
    assert "at unknown cost" in told


def test_after_raising_the_budget_only_what_is_missing_is_paid_for(tmp_path):
    with ChatServer(lambda body, n: reply(**TOKENS)) as server:
        buy(server, tmp_path, range(40), budget_usd=10.4 * COST)
        spent, told = buy(server, tmp_path, range(40), budget_usd=10.4 * COST)  # all runs count
        assert (server.num_requests, spent.num_replies) == (10, 10)
        assert told
        spent, told = buy(server, tmp_path, range(40), budget_usd=41 * COST)
        assert (server.num_requests, told) == (40, "")
        assert spent.usd == pytest.approx(40 * COST)


def test_a_budget_in_dollars_needs_a_price(tmp_path):
    with ChatServer() as server, pytest.raises(ConfigError, match=r"does not list the model 'my-own'"):
        buy(server, tmp_path, range(2), model="my-own", budget_usd=1)
    assert server.num_requests == 0


def test_an_unknown_model_has_an_unknown_cost():
    prices = read_prices(None)
    one = ChatReply(text="", finish="stop", prompt_tokens=1000, completion_tokens=100)
    assert prices.cost_usd("nobody-knows", one) is None
    assert prices.cost_usd("gpt-4o", one) == pytest.approx(0.0025 + 0.001)
    assert prices.cost_usd("gpt-4o-2024-08-06", one) == prices.cost_usd("gpt-4o", one)
    assert prices.cost_usd("gpt-4o", one.with_(tariff="batch")) == pytest.approx(0.00175)
    assert prices.cost_usd("gpt-4o", one.with_(cached_tokens=400)) == pytest.approx(0.0030)
    assert prices.cost_usd("gpt-4o", one.with_(is_counted=False)) is None


def test_prices_of_ones_own(tmp_path):
    file = tmp_path / "prices.toml"
    file.write_text('[models."my-own"]\nprompt = 0\ncompletion = 0\n')
    with ChatServer() as server:
        spent, _ = buy(server, tmp_path, range(3), model="my-own", prices=str(file), budget_usd=1)
    assert (spent.num_replies, spent.usd, spent.num_unknown) == (3, 0.0, 0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("models = 3", "models"),
        ("[models.x]\nprompt = -1\ncompletion = 1", "from 1e-09 to 1_000_000"),
        ("[", "not valid TOML"),
        (None, "Cannot read"),
    ],
)
def test_a_bad_price_file_is_told_by_name(tmp_path, text, told):
    file = tmp_path / "prices.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=told) as caught:
        read_prices(str(file))
    assert "prices.toml" in str(caught.value)


def test_the_first_refusal_ends_everything_and_keeps_what_arrives(tmp_path):
    from chat_server import error

    def answer(body, n):
        return error(401, "no") if n == 3 else reply(delay_s=0.2)

    with ChatServer(answer) as server:
        with pytest.raises(EndpointError):
            buy(server, tmp_path, range(100), max_concurrency=4)
        assert server.num_requests < 12
        arrived = server.num_requests - 1
        spent, _ = buy(server, tmp_path, range(12), budget_tokens=10**9)
        assert server.num_requests == 1 + 12
        assert arrived <= spent.num_replies == 12


def test_interrupting_keeps_what_is_on_its_way(tmp_path):
    with ChatServer(lambda body, n: reply(delay_s=0.3)) as server:
        with ChatSession(EndpointConfig(base_url=server.url, max_concurrency=4), tmp_path / "j", "tests") as session:

            async def one(number):
                if number == 4:
                    signal.raise_signal(signal.SIGINT)
                await session.client.complete(request(number))

            with pytest.raises(KeyboardInterrupt):
                session.map(one, range(20), "episodes")
        num_sent = server.num_requests
        settings = EndpointConfig(base_url=server.url, budget_tokens=10**9)
        with ChatSession(settings, tmp_path / "j", "tests") as session:
            assert session.client.spent.num_replies == num_sent >= 4
