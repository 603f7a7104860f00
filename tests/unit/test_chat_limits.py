"""How fast: no window of time holds more than the limits allow, and a 429 halves what is on its way at once."""

import asyncio
import time

import pytest

from leap_core.chat.limits import Limits

WINDOW_S = 0.4


def times(limits, tokens, hold_s=0.0):
    """When each of the requests was let through, in seconds from the start, in order."""

    async def run():
        started = time.monotonic()
        passed = []

        async def one(num_tokens):
            async with limits.slot(num_tokens):
                passed.append(time.monotonic() - started)
                await asyncio.sleep(hold_s)

        await asyncio.gather(*(one(num_tokens) for num_tokens in tokens))
        return passed

    return asyncio.run(run())


def most_in_a_window(passed, tokens):
    return max(
        sum(amount for at, amount in zip(passed, tokens, strict=True) if start <= at < start + WINDOW_S * 0.98)
        for start in passed
    )


def test_no_minute_has_more_requests_than_allowed():
    passed = times(Limits(100, requests_per_minute=5, window_s=WINDOW_S), [1] * 12)
    assert most_in_a_window(passed, [1] * 12) == 5
    assert passed[4] < WINDOW_S / 2
    assert 2 * WINDOW_S <= passed[-1] < 3 * WINDOW_S


def test_no_minute_has_more_tokens_than_allowed():
    tokens = [40, 40, 30, 60, 10, 90]
    passed = times(Limits(100, tokens_per_minute=100, window_s=WINDOW_S), tokens)
    assert most_in_a_window(passed, tokens) <= 100
    assert passed[1] < WINDOW_S / 2 <= passed[2]


def test_what_is_over_the_limit_by_itself_goes_alone():
    passed = times(Limits(100, tokens_per_minute=100, window_s=WINDOW_S), [10, 500, 10])
    assert passed[1] >= WINDOW_S
    assert passed[2] >= 2 * WINDOW_S


def test_first_come_first_served():
    async def run():
        limits, order = Limits(1), []

        async def one(number):
            async with limits.slot(1):
                order.append(number)
                await asyncio.sleep(0)

        await asyncio.gather(*map(one, range(20)))
        return order

    assert asyncio.run(run()) == list(range(20))


def test_429s_that_come_together_halve_once_and_answers_grow_it_back():
    async def run():
        limits = Limits(16)
        async with limits.slot(1) as first, limits.slot(1) as second:
            limits.slow_down(first, 0.05)
            limits.slow_down(second, 0.05)
        halved = limits.concurrency
        started = time.monotonic()
        async with limits.slot(1) as later:
            waited = time.monotonic() - started
            limits.slow_down(later, 0.0)
        quartered = limits.concurrency
        for _ in range(200):
            limits.speed_up()
        return halved, waited, quartered, limits.concurrency

    halved, waited, quartered, grown = asyncio.run(run())
    assert (halved, quartered, grown) == (8, 4, 16)
    assert waited >= 0.045


def test_one_at_once_is_the_least():
    async def run():
        limits = Limits(4)
        for _ in range(10):
            async with limits.slot(1) as slot:
                limits.slow_down(slot, 0.0)
        return limits.concurrency

    assert asyncio.run(run()) == 1


@pytest.mark.parametrize("is_admitted", [True, False])
def test_giving_up_frees_the_place(is_admitted):
    async def run():
        limits = Limits(1)

        async def hold():
            async with limits.slot(1):
                await asyncio.sleep(60)

        holder = asyncio.create_task(hold())
        await asyncio.sleep(0)
        waiter = asyncio.create_task(hold())
        await asyncio.sleep(0)
        (holder if is_admitted else waiter).cancel()
        await asyncio.sleep(0.01)
        (waiter if is_admitted else holder).cancel()
        await asyncio.sleep(0.01)
        async with asyncio.timeout(1), limits.slot(1):
            return True

    assert asyncio.run(run())
