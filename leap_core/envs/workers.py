"""Environments in worker processes: many episodes, in batches, and no failure of one of them reaches the caller.

Whatever an environment raises becomes an `EnvironmentFailure` in the place of its result. A worker that dies or hangs
is replaced; the episodes that it held fail. Results do not depend on the number of workers.
"""

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Literal, cast

from leap_core.envs.base import Environment, StepResult
from leap_core.types import Observation, Spec

_NOT_STARTED = "no episode was started here: reset it first"
START_TIMEOUT_S = 120.0
"""A worker imports its environment before it answers for the first time."""


@dataclass(frozen=True, kw_only=True)
class EnvironmentFailure:
    """What came of a request that an environment did not answer."""

    slot: str
    text: str


@dataclass(frozen=True, slots=True)
class _Request:
    """One thing to do in a slot. `argument` is the spec to reset to, or the command; None to close."""

    verb: Literal["reset", "step", "close"]
    slot: str
    argument: Spec | str | None = None


_Result = Observation | StepResult | EnvironmentFailure | None


class EnvironmentPool:
    """Plays many episodes at once, each in a slot named by the caller.

    Args:
        make: makes one environment; must be picklable where `num_workers` is not 0.
        num_workers: processes; 0 plays in this one, where nothing protects from a crash or a hang.
        step_timeout_s: a worker that takes longer for one reset or step is replaced.
    """

    def __init__(self, make: Callable[[], Environment], num_workers: int, step_timeout_s: float = 60.0) -> None:
        self._make = make
        self._timeout_s = step_timeout_s
        self._local = _Host(make) if num_workers == 0 else None
        self._workers = [_Worker(make) for _ in range(num_workers)]
        self._lost: dict[str, str] = {}

    def reset_many(self, requests: Sequence[tuple[str, Spec]]) -> list[Observation | EnvironmentFailure]:
        """Start an episode in each slot; a slot in use starts afresh. Results are in the order of the requests."""
        results = self._run([_Request("reset", slot, spec) for slot, spec in requests])
        return cast(list[Observation | EnvironmentFailure], results)

    def step_many(self, requests: Sequence[tuple[str, str]]) -> list[StepResult | EnvironmentFailure]:
        """Execute one command in each slot. Results are in the order of the requests."""
        results = self._run([_Request("step", slot, command) for slot, command in requests])
        return cast(list[StepResult | EnvironmentFailure], results)

    def close_slots(self, slots: Sequence[str]) -> None:
        """Forget these episodes. A failure while closing one loses nothing and is not reported."""
        self._run([_Request("close", slot) for slot in slots])
        for slot in slots:
            self._lost.pop(slot, None)
        for worker in self._workers:
            worker.slots.difference_update(slots)

    def close(self) -> None:
        """End all episodes and workers. Safe to call twice."""
        if self._local is not None:
            self._local.close()
        while self._workers:
            self._workers.pop().stop()

    def __enter__(self) -> "EnvironmentPool":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _run(self, requests: Sequence[_Request]) -> list[_Result]:
        if self._local is not None:
            return [self._local.execute(request) for request in requests]
        batch = _Batch(requests)
        for position, request in enumerate(requests):
            if worker := self._worker_for(request):
                batch.waiting.setdefault(worker, []).append(position)
            elif request.verb != "close":
                why = self._lost.get(request.slot, _NOT_STARTED)
                batch.results[position] = EnvironmentFailure(slot=request.slot, text=why)
        for worker, positions in list(batch.waiting.items()):
            try:
                worker.send([requests[position] for position in positions], self._timeout_s)
            except OSError:
                self._replace(worker, batch, worker.exit_status())
        while batch.waiting:
            self._gather(batch)
        return batch.results

    def _worker_for(self, request: _Request) -> "_Worker | None":
        """The worker that holds the slot; a new slot goes to the one with the fewest."""
        for worker in self._workers:
            if request.slot in worker.slots:
                return worker
        if request.verb != "reset":
            return None
        self._lost.pop(request.slot, None)
        worker = min(self._workers, key=lambda worker: len(worker.slots))
        worker.slots.add(request.slot)
        return worker

    def _gather(self, batch: "_Batch") -> None:
        """Take the answers that are there; replace workers that died or are overdue."""
        now = time.monotonic()
        nearest = min(worker.deadline for worker in batch.waiting)
        ready = wait([worker.connection for worker in batch.waiting], timeout=max(0.0, nearest - now))
        for worker in list(batch.waiting):
            if worker.connection in ready:
                try:
                    batch.take(worker, worker.receive(self._timeout_s))
                except (EOFError, OSError):
                    self._replace(worker, batch, worker.exit_status())
            elif time.monotonic() >= worker.deadline:
                self._replace(worker, batch, f"did not answer within {self._timeout_s:g} s")

    def _replace(self, worker: "_Worker", batch: "_Batch", why: str) -> None:
        """End a worker and fail what it held: in this batch, and at the next request of its other slots."""
        positions = batch.waiting.pop(worker)
        culprit = batch.requests[positions[0]].slot
        text = f"EnvironmentCrashError: the worker process {why}, while it played slot {culprit!r}"
        for position in positions:
            batch.results[position] = EnvironmentFailure(slot=batch.requests[position].slot, text=text)
        self._lost.update(dict.fromkeys(worker.slots, text))
        worker.stop()
        self._workers[self._workers.index(worker)] = _Worker(self._make)


class _Batch:
    """Requests with their results so far, and which of them each worker still owes, in order."""

    def __init__(self, requests: Sequence[_Request]) -> None:
        self.requests = requests
        self.results: list[_Result] = [None] * len(requests)
        self.waiting: dict[_Worker, list[int]] = {}

    def take(self, worker: "_Worker", result: _Result) -> None:
        """Note the next result of a worker."""
        positions = self.waiting[worker]
        self.results[positions.pop(0)] = result
        if not positions:
            del self.waiting[worker]


class _Worker:
    """The parent's side of one worker process."""

    def __init__(self, make: Callable[[], Environment]) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.slots: set[str] = set()
        self.deadline = 0.0
        self._answered = False
        self._process = context.Process(target=_serve, args=(theirs, make), daemon=True)
        self._process.start()
        theirs.close()

    def send(self, requests: Sequence[_Request], timeout_s: float) -> None:
        """Hand over requests; raises OSError where the process is dead."""
        self.deadline = time.monotonic() + timeout_s + (0.0 if self._answered else START_TIMEOUT_S)
        self.connection.send(list(requests))

    def receive(self, timeout_s: float) -> _Result:
        """The next result; raises EOFError or OSError where the process is dead."""
        result: _Result = self.connection.recv()
        self._answered = True
        self.deadline = time.monotonic() + timeout_s
        return result

    def exit_status(self) -> str:
        """How the process ended."""
        self._process.join(timeout=5)
        return f"died (exit code {self._process.exitcode})"

    def stop(self) -> None:
        """End the process."""
        self.connection.close()
        self._process.kill()
        self._process.join()


class _Host:
    """The environments of one process, by slot."""

    def __init__(self, make: Callable[[], Environment]) -> None:
        self._make = make
        self._environments: dict[str, Environment] = {}

    def execute(self, request: _Request) -> _Result:
        """Do one thing; whatever goes wrong is the result."""
        try:
            return self._execute(request)
        except Exception as error:  # An environment may raise anything; it must fail its own episode and no other.
            return EnvironmentFailure(slot=request.slot, text=f"{type(error).__name__}: {error}")

    def close(self) -> None:
        """Close all that is open."""
        for slot in list(self._environments):
            self.execute(_Request("close", slot))

    def _execute(self, request: _Request) -> _Result:
        if request.verb == "close":
            if (environment := self._environments.pop(request.slot, None)) is not None:
                environment.close()
            return None
        if request.verb == "reset":
            if request.slot not in self._environments:
                self._environments[request.slot] = self._make()
            return self._environments[request.slot].reset(cast(Spec, request.argument))
        if request.slot not in self._environments:
            return EnvironmentFailure(slot=request.slot, text=_NOT_STARTED)
        return self._environments[request.slot].step(cast(str, request.argument))


def _serve(connection: Connection, make: Callable[[], Environment]) -> None:
    """The life of a worker process: answer requests in order until the parent goes away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it ends the workers.
    host = _Host(make)
    try:
        while True:
            requests: Iterable[_Request] = connection.recv()
            for request in requests:
                connection.send(host.execute(request))
    except (EOFError, OSError):
        host.close()
