"""One request at a time: from the journal if it was ever answered, else from the endpoint, within limits and budget."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from leap_core.chat.batches import MOST_IN_A_BATCH, BatchQueue
from leap_core.chat.budget import Account, Budget
from leap_core.chat.claims import Claims
from leap_core.chat.endpoint import Endpoint
from leap_core.chat.faults import WORTH_A_TRY, Fault, FaultKind
from leap_core.chat.journal import Journal, request_key
from leap_core.chat.limits import Limits, Outage
from leap_core.chat.messages import ChatReply, ChatRequest
from leap_core.chat.prices import read_prices
from leap_core.chat.reading import estimate_tokens
from leap_core.config import EndpointConfig
from leap_core.errors import ChatError, ContextLengthError, EndpointError, TooMuchError
from leap_core.types import Usage

_FIRST_WAIT_S, _LONGEST_WAIT_S, _LONG_WAIT_S = 0.5, 60.0, 10.0
_FEWEST_CHARACTERS_A_TOKEN, _TOKENS_AROUND_A_MESSAGE = 2.0, 8
_TOO_LARGE = {FaultKind.TOO_LONG: ContextLengthError, FaultKind.TOO_MUCH: TooMuchError}


@dataclass(kw_only=True)
class ChatCounts:
    """What happened to requests in this run. `billed` is what this run paid for, `faults` counts them by kind.

    `num_doubted` are replies with impossible counts of tokens, for which an estimate was taken.
    """

    num_from_journal: int = 0
    num_doubted: int = 0
    billed: Account = field(default_factory=Account)
    faults: Counter[FaultKind] = field(default_factory=Counter)


class ChatClient:
    """Gets replies from one endpoint on behalf of one experiment. One object serves one event loop.

    `scope` names for whom replies are paid: the budget is kept over all replies of a scope, of all runs.
    """

    def __init__(
        self,
        config: EndpointConfig,
        journal: Path,
        scope: str,
        setting: str = "execution.teacher",
        log: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Open the journal and, where there is a budget, add up what the scope has spent.

        `setting` is the section of the configuration that messages name; long waits go to `log`.

        Raises:
            ConfigError: no key, or a price file that cannot be read.
            ArtifactError: the journal cannot be opened.
        """
        self.counts = ChatCounts()
        self._config, self._scope, self._setting, self._log = config, scope, setting, log
        self._quiet_until = 0.0
        self._prices = read_prices(config.prices)
        self._endpoint = Endpoint(config, self._doubt)
        self.address = self._endpoint.address
        self._outage = Outage(self.address, config.max_outage_s, setting)
        self._journal = Journal(journal)
        self._claims = Claims(journal.with_name(f"{journal.name}.claims"))
        self._budget = Budget(config.budget_usd, config.budget_tokens, self._prices, f"{setting}.budget")
        self._has_budget = config.budget_usd is not None or config.budget_tokens is not None
        self._last_counted = 0
        self._count_what_was_paid()
        self._batches: BatchQueue | None = None
        self._limits = Limits(config.max_concurrency, config.requests_per_minute, config.tokens_per_minute)
        if config.batch:
            self._batches = BatchQueue(
                self._endpoint, self._journal, self._claims, self._outage, scope, config.batch_poll_s, log
            )
            self._limits = Limits(max_concurrency=MOST_IN_A_BATCH)
        self._under_way: dict[str, asyncio.Task[ChatReply]] = {}
        self._on_the_wire: set[str] = set()
        self._is_closing = False

    @property
    def spent(self) -> Account:
        """What the scope has paid for: in all runs where there is a budget, else in this one."""
        return self._budget.spent if self._has_budget else self.counts.billed

    async def complete(self, request: ChatRequest) -> ChatReply:
        """Return the reply to a request; it is in the journal by then. Equal requests are sent once.

        Raises:
            ContextLengthError: the prompt is too long for the model.
            TooMuchError: another limit on size is in the way.
            ChatError: no reply after all tries, or this request is refused.
            EndpointError: everything would be refused.
            BudgetError: the request could overrun the budget.
            ConfigError: a budget in dollars for a model without a price.
            ArtifactError: the reply could not be brought to the disk.
        """
        key = request_key(self.address, request)
        if key not in self._under_way:
            task = asyncio.create_task(self._obtain(key, request))
            self._under_way[key] = task
            task.add_done_callback(partial(self._end, key))
        # Whoever waits may be cancelled; what is on its way will be billed, so it is kept nevertheless.
        return await asyncio.shield(self._under_way[key])

    def usage(self, request: ChatRequest, reply: ChatReply) -> Usage:
        """What a reply was billed for, when it was paid for."""
        return Usage(
            num_requests=1,
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            cost_usd=self._prices.cost_usd(request.model, reply),
        )

    async def close(self) -> None:
        """Let what is on its way arrive, keep it, and close everything. Nothing new is sent, nor anything again.

        Batches that are handed in stay with the endpoint; the next run collects them.
        """
        self._is_closing = True
        tasks = dict(self._under_way)
        if self._on_the_wire:
            self._log(f"waiting for {len(self._on_the_wire)} replies that are on their way, and paid for")
        for key, task in tasks.items():
            if key not in self._on_the_wire:
                task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        if self._batches is not None:
            await self._batches.close()
        await self._endpoint.close()
        self._claims.close()
        self._journal.close()

    def _end(self, key: str, task: asyncio.Task[ChatReply]) -> None:
        del self._under_way[key]
        if not task.cancelled():
            task.exception()  # taken note of, also where nobody waits for it any more

    async def _obtain(self, key: str, request: ChatRequest) -> ChatReply:
        # A batch is claimed as a whole, when it is handed in.
        claim = nullcontext() if self._batches is not None else self._claims.hold(key, self._log_wait_for_another)
        async with claim:
            # Now that no other process can be about to pay for it.
            found = self._journal.find(key, request.num_characters)
            if found is not None:
                self.counts.num_from_journal += 1
                return found
            return await self._pay_for(key, request)

    async def _pay_for(self, key: str, request: ChatRequest) -> ChatReply:
        self._budget.check_price(request.model)
        self._count_what_was_paid()
        async with self._budget.hold(request.model, self._longest_reply(request)):
            reply = await self._fetch(key, request)
            self._count_what_was_paid()
        self.counts.billed.add(reply, self._prices.cost_usd(request.model, reply))
        return reply

    def _count_what_was_paid(self) -> None:
        """Take into account what this scope has paid for since the last look, by whatever process."""
        if self._has_budget:
            for paid in self._journal.paid(self._scope, self._last_counted):
                self._budget.count(paid.model, paid.reply)
                self._last_counted = paid.number

    def _doubt(self, counts: str) -> None:
        """Count a reply with impossible counts of tokens; log the first."""
        self.counts.num_doubted += 1
        if self.counts.num_doubted == 1:
            self._log(
                f"{self.address} gives impossible counts of tokens ({counts}): estimates are taken, also for budgets"
            )

    def _log_wait_for_another(self) -> None:
        if time.monotonic() > self._quiet_until:
            self._quiet_until = time.monotonic() + _LONGEST_WAIT_S
            self._log("another run has sent the same requests; waiting to use its replies")

    async def _fetch(self, key: str, request: ChatRequest) -> ChatReply:
        """Obtain a reply and bring it to the disk."""
        if self._batches is not None:
            return await self._receive(key, request, partial(self._batches.send, key, request))

        async def send() -> ChatReply:
            self._on_the_wire.add(key)
            reply = await self._endpoint.send(request)
            self._journal.keep(key, self._scope, request.model, reply)
            return reply

        try:
            reply = await self._receive(key, request, send)
            # Its place among those on their way is free by now: a slow disk does not slow the endpoint down.
            await self._journal.settle()
            return reply
        finally:
            self._on_the_wire.discard(key)

    async def _receive(self, key: str, request: ChatRequest, send: Callable[[], Awaitable[ChatReply]]) -> ChatReply:
        """Send until there is a reply, within the limits, or until there is no hope."""
        num_tokens = estimate_tokens(request.num_characters) + request.max_tokens
        num_tries = 0
        while True:
            async with self._limits.slot(num_tokens) as began:
                try:
                    reply = await send()
                except Fault as fault:
                    num_tries += fault.kind is not FaultKind.UNREACHABLE
                    wait_s, last = self._note(fault, num_tries, began), str(fault)
                else:
                    self._outage.answered()
                    self._limits.speed_up()
                    return reply
            self._on_the_wire.discard(key)
            if num_tries >= self._config.max_tries:
                raise ChatError(f"No reply after {num_tries} tries of {self.address}: {last}")
            await asyncio.sleep(wait_s)

    def _note(self, fault: Fault, number: int, began: float) -> float:
        """Count a fault; returns the seconds to wait before the next try, or raises where there is none."""
        self.counts.faults[fault.kind] += 1
        if fault.kind is FaultKind.UNREACHABLE:
            wait_s = self._outage.wait_s(fault)
        else:
            self._outage.answered()
            self._raise_if_final(fault)
            wait_s = self._back_off_s(fault, number, began)
        if self._is_closing:
            raise ChatError(f"{self.address}: {fault}")
        if wait_s > _LONG_WAIT_S and time.monotonic() > self._quiet_until:
            self._quiet_until = time.monotonic() + wait_s
            self._log(f"waiting for {wait_s:.0f} s: {self.address}: {fault}")
        return wait_s

    def _raise_if_final(self, fault: Fault) -> None:
        if fault.kind is FaultKind.REFUSED:
            raise EndpointError(self._refusal(fault))
        if fault.kind not in WORTH_A_TRY:
            raise _TOO_LARGE.get(fault.kind, ChatError)(f"{self.address}: {fault}")

    def _back_off_s(self, fault: Fault, number: int, began: float) -> float:
        longest_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2**number)
        wait_s = random.uniform(longest_s / 2, longest_s)
        if fault.wait_s is not None:
            wait_s = fault.wait_s * random.uniform(1.0, 1.1)  # not all of them at the same instant
        if fault.kind is FaultKind.RATE_LIMIT:
            self._limits.slow_down(began, wait_s if fault.wait_s is None else fault.wait_s)
        return wait_s

    def _longest_reply(self, request: ChatRequest) -> ChatReply:
        """A reply that costs the most that a request can cost."""
        num_most = int(request.num_characters / _FEWEST_CHARACTERS_A_TOKEN)
        return ChatReply(
            text="",
            finish="length",
            prompt_tokens=num_most + _TOKENS_AROUND_A_MESSAGE * len(request.messages),
            completion_tokens=request.max_tokens,
            tariff="standard" if self._batches is None else "batch",
        )

    def _refusal(self, fault: Fault) -> str:
        variable = f"the environment variable {self._config.api_key_env}"
        key = f"the key in {variable}" if self._endpoint.has_key else f"whether it wants a key ({variable} is not set)"
        return (
            f"{self.address} refuses every request: {fault}. Check {key}, the model, and "
            f"{self._setting}.base_url. Replies so far are kept."
        )
