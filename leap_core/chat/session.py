"""Many conversations at once, for code that is not async itself."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from leap_core.chat.client import ChatClient
from leap_core.config import EndpointConfig
from leap_core.errors import BudgetError
from leap_core.pace import Pace

T = TypeVar("T")
R = TypeVar("R")


class ChatSession:
    """A client with an event loop of its own. To be closed; may be used from one thread."""

    def __init__(
        self,
        config: EndpointConfig,
        journal: Path,
        scope: str,
        setting: str = "execution.teacher",
        log: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Open the client; see `ChatClient` for the arguments and what it raises."""
        self._config, self._setting, self._log = config, setting, log
        self._runner = asyncio.Runner()
        self._started: dict[str, asyncio.Task[Any]] = {}
        self.client = ChatClient(config, journal, scope, setting, log)

    def map(self, work: Callable[[T], Awaitable[R]], items: Sequence[T], noun: str) -> list[R]:
        """Do `work` on each item, many at once, and return the results in order.

        `noun` is what an item is, in the plural, for lines of progress.

        Raises:
            BudgetError: with how much is done, what is left, and what that may cost.
            LeapError: the first that `work` raised. What is on its way then arrives and is kept before this returns.
        """
        return self._runner.run(self._map(work, items, noun))

    def start(self, name: str, work: Coroutine[Any, Any, R]) -> None:
        """Begin something that goes on while `finished` waits."""
        self._started[name] = self._runner.get_loop().create_task(work)

    def finished(self) -> dict[str, Any]:
        """The results of what was started and is done, by name; waits until there is one.

        Raises:
            BudgetError: with how to go on.
            LeapError: the first that was raised.
        """
        return self._runner.run(self._finished())

    def close(self) -> None:
        """Let what is on its way arrive, then close everything."""
        try:
            self._runner.run(self._close())
        finally:
            self._runner.close()

    def __enter__(self) -> "ChatSession":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _finished(self) -> dict[str, Any]:
        await asyncio.wait(self._started.values(), return_when=asyncio.FIRST_COMPLETED)
        done = [name for name, task in self._started.items() if task.done()]
        try:
            return {name: self._started.pop(name).result() for name in done}
        except BudgetError as error:
            raise BudgetError(f"{error} {self._advice}") from None

    async def _close(self) -> None:
        for task in self._started.values():
            task.cancel()
        await asyncio.gather(*self._started.values(), return_exceptions=True)
        await self.client.close()

    async def _map(self, work: Callable[[T], Awaitable[R]], items: Sequence[T], noun: str) -> list[R]:
        done: dict[int, R] = {}
        todo, pace = iter(enumerate(items)), Pace(log=self._log)

        async def work_on(todo: Iterator[tuple[int, T]]) -> None:
            for index, item in todo:
                done[index] = await work(item)
                line = f"{len(done)} of {len(items)} {noun}; in this run {self.client.counts.billed.words}"
                pace(line, done=len(done), left=len(items) - len(done))

        # Twice as many as may be on their way: some read a reply or wait for the journal.
        num_workers = len(items) if self._config.batch else 2 * self._config.max_concurrency
        workers = [asyncio.create_task(work_on(todo)) for _ in range(min(num_workers, len(items)))]
        try:
            await asyncio.gather(*workers)
        except BudgetError as error:
            raise BudgetError(f"{error} {self._outlook(len(done), len(items), noun)}") from None
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return [done[index] for index in range(len(items))]

    def _outlook(self, num_done: int, num_items: int, noun: str) -> str:
        left = num_items - num_done
        billed = self.client.counts.billed
        rest = f"What they cost is not known yet: none of the {noun} is done."
        if num_done and billed.num_replies:
            share = left / num_done
            cost = "at unknown cost" if billed.num_unknown else f"about ${billed.usd * share:.4f}"
            rest = f"By the average of this run they take {cost} and {billed.tokens * share:,.0f} tokens more."
        return f"{num_done} of {num_items} {noun} are done, {left} are left. {rest} {self._advice}"

    @property
    def _advice(self) -> str:
        return (
            f"Raise {self._setting}.budget_usd or {self._setting}.budget_tokens and run the same command again: what "
            "was paid for is not paid for twice."
        )
