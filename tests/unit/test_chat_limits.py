"""How fast: no window of time holds more than the limits allow, and a 429 halves what is on its way at once."""

import asyncio
import time

import pytest

from leap_core.chat.limits import Limits, Window

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


def spend_all(limit, amounts):
    """When each amount fits, on a clock of the test's own, one after the other as soon as possible."""
    window, now, at = Window(limit=limit, length_s=60.0), 0.0, []
    for amount in amounts:
        now += window.wait_s(amount, now)
        assert window.wait_s(amount, now) == 0
        window.spend(amount, now)
        at.append(now)
        now += 1.0
    return at


@pytest.mark.parametrize(("limit", "amounts"), [(5, [1] * 30), (100, [40, 40, 30, 60, 10, 90, 5, 5, 80] * 3)])
def test_no_minute_has_more_than_allowed(limit, amounts):
    at = spend_all(limit, amounts)
    for start in at:
        assert sum(amount for when, amount in zip(at, amounts, strict=True) if start <= when < start + 60) <= limit


def test_what_fits_does_not_wait():
    assert spend_all(5, [1] * 5) == [0, 1, 2, 3, 4]
    assert spend_all(5, [1] * 7)[5:] == [60, 61]


def test_requests_wait_for_their_minute():
    passed = times(Limits(100, requests_per_minute=5, window_s=WINDOW_S), [1] * 12)
    assert passed[5] >= WINDOW_S
    assert passed[-1] >= 2 * WINDOW_S


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
