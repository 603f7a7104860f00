"""When a request may be sent: requests at once, requests and tokens per minute, Retry-After, and outages.

The limits per minute hold in every window of a minute. Requests at once begin at the configured number, are halved when
the endpoint answers 429, and grow back by one for each round of answers.
"""

import asyncio
import math
import random
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from leap_core.chat.faults import Fault, FaultKind
from leap_core.errors import EndpointError

_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 30.0
"""Between two looks whether an endpoint is back."""


@dataclass(kw_only=True)
class Window:
    """What was spent in the last `length_s` seconds, in order of time."""

    limit: float
    length_s: float
    spent: int = 0
    entries: deque[tuple[float, int]] = field(default_factory=deque)

    def wait_s(self, amount: int, now: float) -> float:
        """Seconds until `amount` fits; one that is over the limit by itself waits until the window is empty."""
        while self.entries and self.entries[0][0] <= now - self.length_s:
            self.spent -= self.entries.popleft()[1]
        free, wait = self.limit - self.spent, 0.0
        for then, given_back in self.entries:
            if amount <= free:
                break
            free, wait = free + given_back, then + self.length_s - now
        return wait

    def spend(self, amount: int, now: float) -> None:
        """Count `amount` as spent now."""
        self.entries.append((now, amount))
        self.spent += amount


class Limits:
    """Lets requests through, first come, first served. One object serves one event loop."""

    def __init__(
        self,
        max_concurrency: int,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        window_s: float = 60.0,
    ) -> None:
        """Begin with nothing on its way."""
        self._max, self._allowed, self._active = max_concurrency, float(max_concurrency), 0
        self._requests = Window(limit=requests_per_minute or math.inf, length_s=window_s)
        self._tokens = Window(limit=tokens_per_minute or math.inf, length_s=window_s)
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._paused_until = self._last_cut = 0.0
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def concurrency(self) -> int:
        """How many requests may be on their way at this moment."""
        return int(self._allowed)

    @asynccontextmanager
    async def slot(self, num_tokens: int) -> AsyncIterator[float]:
        """Hold a place for the length of one request of about `num_tokens`, reply included; wait as long as it takes.

        Yields when it began, on the monotonic clock.
        """
        admitted = asyncio.get_running_loop().create_future()
        self._waiting.append((num_tokens, admitted))
        self._admit()
        try:
            await admitted
        except asyncio.CancelledError:
            if admitted.done() and not admitted.cancelled():
                self._leave()
            raise
        try:
            yield time.monotonic()
        finally:
            self._leave()

    def slow_down(self, began: float, pause_s: float) -> None:
        """A request that `began` then was answered 429: nothing for `pause_s` seconds, then half as many at once.

        Those that were on their way together are one sign, not many: they halve once.
        """
        now = time.monotonic()
        self._paused_until = max(self._paused_until, now + pause_s)
        if began > self._last_cut:
            self._allowed, self._last_cut = max(1.0, self._allowed / 2), now

    def speed_up(self) -> None:
        """An answer came: after a round of them, one more at once."""
        self._allowed = min(float(self._max), self._allowed + 1 / self._allowed)

    def _leave(self) -> None:
        self._active -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._active < self.concurrency:
            num_tokens, admitted = self._waiting[0]
            if admitted.done():  # given up
                self._waiting.popleft()
                continue
            now, amounts = time.monotonic(), ((self._requests, 1), (self._tokens, num_tokens))
            wait = max(self._paused_until - now, *(window.wait_s(amount, now) for window, amount in amounts))
            if wait > 0:
                self._wake_after(wait)
                return
            self._waiting.popleft()
            self._active += 1
            for window, amount in amounts:
                window.spend(amount, now)
            admitted.set_result(None)

    def _wake_after(self, wait_s: float) -> None:
        loop = asyncio.get_running_loop()
        if self._alarm is not None:
            if loop.time() < self._alarm.when() <= loop.time() + wait_s:
                return
            self._alarm.cancel()
        self._alarm = loop.call_later(wait_s, self._admit)


class Outage:
    """How long to wait for an endpoint that is down: if it answered before. One object serves one endpoint."""

    def __init__(self, address: str, limit_s: float, setting: str) -> None:
        """Allow for `limit_s` seconds between two answers; `setting` is the section that messages name."""
        self._address, self._limit_s, self._setting = address, limit_s, setting
        self._has_answered = False
        self._began: float | None = None

    def answered(self) -> None:
        """Note that there was an answer, of whatever kind."""
        self._has_answered, self._began = True, None

    def wait_s(self, fault: Fault) -> float:
        """Seconds until the next try.

        Raises:
            EndpointError: it never answered, or not for longer than the limit.
        """
        if not self._has_answered and fault.kind is FaultKind.UNREACHABLE:
            raise EndpointError(
                f"Nothing answers at {self._address} ({fault}). Start the server, or correct {self._setting}.base_url."
            )
        now = time.monotonic()
        self._began = now if self._began is None else self._began
        down_s = now - self._began
        if down_s >= self._limit_s:
            raise EndpointError(
                f"{self._address} has been unreachable for {down_s:.0f} s ({fault}). Run the same command again when "
                f"it is back: what was paid for is kept. {self._setting}.max_outage_s is how long to wait for it."
            )
        wait_s = min(max(down_s, _FIRST_WAIT_S), _LONGEST_WAIT_S) * random.uniform(0.5, 1.0)
        return min(wait_s, self._limit_s - down_s)
