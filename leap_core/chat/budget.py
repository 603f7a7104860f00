"""How much may be spent: a request that could overrun the budget is not sent.

Before a request goes out, the most that it can cost is set aside; when its reply is there, what it did cost takes the
place of that. Where too little is left, a request first waits for those on their way: most cost less than their most.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from leap_core.chat.messages import ChatReply
from leap_core.chat.prices import PriceList
from leap_core.errors import BudgetError, ConfigError


@dataclass(kw_only=True)
class Account:
    """Sums over replies. `usd` leaves out replies of unknown cost, which `num_unknown` counts."""

    num_replies: int = 0
    tokens: int = 0
    usd: float = 0.0
    num_unknown: int = 0

    def add(self, reply: ChatReply, cost_usd: float | None) -> None:
        """Count one reply."""
        self.num_replies += 1
        self.tokens += reply.prompt_tokens + reply.completion_tokens
        self.usd += cost_usd or 0.0
        self.num_unknown += cost_usd is None

    @property
    def words(self) -> str:
        """`$1.2345 and 5,678 tokens for 90 replies`, with a word on what is not known."""
        unknown = f" (cost of {self.num_unknown:,} replies unknown)" if self.num_unknown else ""
        return f"${self.usd:.4f} and {self.tokens:,} tokens for {self.num_replies:,} replies{unknown}"


class Budget:
    """Spends no more than `limit_usd` and `limit_tokens`, over all runs of one experiment."""

    def __init__(
        self, limit_usd: float | None, limit_tokens: int | None, prices: PriceList, setting: str = "budget"
    ) -> None:
        """Begin with nothing spent; `count` adds what earlier runs have.

        Messages call the limits `<setting>_usd` and `<setting>_tokens`; a limit of None is none.
        """
        self.spent = Account()
        self._limit_usd, self._limit_tokens, self._prices, self._setting = limit_usd, limit_tokens, prices, setting
        self._held_usd, self._held_tokens, self._num_held = 0.0, 0, 0
        self._settled = asyncio.Event()

    def count(self, model: str, reply: ChatReply) -> float | None:
        """Add a reply that was paid for; returns its dollars, None where there is no price.

        Where the endpoint gave no count of tokens, an estimate is spent: else it could not be kept within a budget.
        """
        cost = self._prices.at_most_usd(model, reply)
        self.spent.add(reply, cost)
        return cost

    def check_price(self, model: str) -> None:
        """Refuse a budget in dollars for a model without a price: it could not be kept.

        Raises:
            ConfigError: the price file does not list the model.
        """
        if self._limit_usd is not None and self._prices.find(model) is None:
            raise ConfigError(
                f"{self._setting}_usd cannot be kept: the price file does not list the model {model!r}. Copy "
                f"leap_core/chat/prices.toml, add the model, and set {self._setting.rpartition('.')[0]}.prices to the "
                f"copy; or set {self._setting}_tokens instead."
            )

    @asynccontextmanager
    async def hold(self, model: str, most: ChatReply) -> AsyncIterator[None]:
        """Set aside the most that a request can cost, for as long as it is on its way.

        `most` is a reply of the greatest length possible.

        Raises:
            BudgetError: it does not fit, and nothing on its way could change that.
        """
        usd, tokens = self._prices.cost_usd(model, most) or 0.0, most.prompt_tokens + most.completion_tokens
        while not self._fits(usd, tokens):
            if not self._num_held:
                raise BudgetError(self._message(usd, tokens))
            self._settled.clear()
            await self._settled.wait()
        self._change(usd, tokens, 1)
        try:
            yield
        finally:
            self._change(-usd, -tokens, -1)
            self._settled.set()

    def _change(self, usd: float, tokens: int, num: int) -> None:
        self._held_usd += usd
        self._held_tokens += tokens
        self._num_held += num

    def _fits(self, usd: float, tokens: int) -> bool:
        # Rounding of sums must not refuse a budget that is used to the last cent.
        usd_then = self.spent.usd + self._held_usd + usd - 1e-9
        tokens_then = self.spent.tokens + self._held_tokens + tokens
        in_usd = self._limit_usd is None or usd_then <= self._limit_usd
        return in_usd and (self._limit_tokens is None or tokens_then <= self._limit_tokens)

    def _message(self, usd: float, tokens: int) -> str:
        limits = [f"{self._setting}_usd = {self._limit_usd}"] if self._limit_usd is not None else []
        limits += [f"{self._setting}_tokens = {self._limit_tokens}"] if self._limit_tokens is not None else []
        return (
            f"The budget ({', '.join(limits)}) stops here: {self.spent.words} spent, and the next request may take up "
            f"to ${usd:.4f} and {tokens:,} tokens."
        )
