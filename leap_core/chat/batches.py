"""The Batch API: requests handed in together, answered within a day at half the price.

What was handed in is written into the journal first, so that a run that was cut off collects the same batch instead of
paying for another one.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from leap_core.canonical import sha256_text
from leap_core.chat.endpoint import Endpoint, read_reply
from leap_core.chat.faults import Fault, FaultKind
from leap_core.chat.journal import Journal, PendingBatch
from leap_core.chat.messages import ChatReply, ChatRequest
from leap_core.errors import LeapError

MOST_IN_A_BATCH = 50_000
"""What OpenAI takes in one batch."""
_QUIET_S = 0.5
_ENDED = {"completed", "expired", "cancelled", "failed"}
_LABEL = "leap_label"


class BatchQueue:
    """Gathers requests until no more come, hands them in, and waits. One object serves one event loop."""

    def __init__(
        self, endpoint: Endpoint, journal: Journal, scope: str, poll_s: float, say: Callable[[str], None]
    ) -> None:
        self._endpoint, self._journal, self._scope, self._poll_s, self._say = endpoint, journal, scope, poll_s, say
        self._gathered: dict[str, ChatRequest] = {}
        self._waiting: dict[str, tuple[ChatRequest, asyncio.Future[ChatReply]]] = {}
        self._handed_in: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._gathering: asyncio.Task[None] | None = None
        self._handing_in = asyncio.Lock()
        self._resuming, self._is_resumed = asyncio.Lock(), False

    async def send(self, key: str, request: ChatRequest) -> ChatReply:
        """Put a request into the next batch and wait for its reply, which is in the journal by then.

        Raises:
            Fault: the batch, or this request in it, failed.
        """
        async with self._resuming:  # nothing is handed in before it is known what an earlier run has
            if not self._is_resumed:
                await self._resume()
                self._is_resumed = True
        future: asyncio.Future[ChatReply] = asyncio.get_running_loop().create_future()
        self._waiting[key] = (request, future)
        if key not in self._handed_in:
            self._gathered[key] = request
            if self._gathering is not None:
                self._gathering.cancel()
            self._gathering = self._start(self._hand_in_when_quiet())
        return await future

    async def close(self) -> None:
        """Stop waiting; a batch that is being handed in is handed in first."""
        async with self._handing_in:
            for task in self._tasks:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _resume(self) -> None:
        """Wait for the batches of earlier runs; one that was never handed in is forgotten."""
        for batch in self._journal.pending_batches(self._endpoint.address, self._scope):
            batch_id = batch.id or await self._find(batch.label)
            if batch_id is None:
                self._journal.end_batch(batch.label)
                continue
            self._journal.name_batch(batch.label, batch_id)
            self._say(f"waiting for batch {batch_id} of an earlier run, {len(batch.keys)} requests")
            self._handed_in.update(batch.keys)
            self._start(self._collect(batch.model_copy(update={"id": batch_id})))

    async def _find(self, label: str) -> str | None:
        """The endpoint's name for a batch that was handed in just before a crash."""
        try:
            async for batch in self._endpoint.openai.batches.list():
                if (batch.metadata or {}).get(_LABEL) == label:
                    return str(batch.id)
        except Exception as error:
            fault = self._fault(error)
        else:
            return None
        raise fault

    async def _hand_in_when_quiet(self) -> None:
        await asyncio.sleep(_QUIET_S)
        self._gathering = None
        while self._gathered:
            chosen = dict(list(self._gathered.items())[:MOST_IN_A_BATCH])
            self._gathered = {key: request for key, request in self._gathered.items() if key not in chosen}
            try:
                async with self._handing_in:
                    batch = await asyncio.shield(self._start_batch(chosen))
            except LeapError as error:  # the journal cannot be written
                self._fail(list(chosen), error)
                continue
            if batch is not None:
                self._start(self._collect(batch))

    async def _start_batch(self, requests: dict[str, ChatRequest]) -> PendingBatch | None:
        """Hand requests in, each under its key; None where that failed, which those who wait are told."""
        label = sha256_text(" ".join(requests))
        model = next(iter(requests.values())).model
        self._journal.intend_batch(label, self._endpoint.address, self._scope, model, list(requests))
        lines = "".join(f"{json.dumps(self._line(key, request))}\n" for key, request in requests.items())
        try:
            files, batches = self._endpoint.openai.files, self._endpoint.openai.batches
            file = await files.create(file=("requests.jsonl", lines.encode()), purpose="batch")
            batch = await batches.create(
                input_file_id=file.id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
                metadata={_LABEL: label},
            )
        except Exception as error:
            self._journal.end_batch(label)
            self._fail(list(requests), self._fault(error))
            return None
        self._journal.name_batch(label, batch.id)
        self._handed_in.update(requests)
        self._say(f"handed in batch {batch.id}, {len(requests)} requests")
        return PendingBatch(label=label, model=model, id=batch.id, keys=tuple(requests))

    def _line(self, key: str, request: ChatRequest) -> dict[str, Any]:
        return {"custom_id": key, "method": "POST", "url": "/v1/chat/completions", "body": self._endpoint.body(request)}

    async def _collect(self, pending: PendingBatch) -> None:
        """Wait until a batch has ended, keep its replies, and tell those who wait."""
        try:
            batch = await self._wait_until_ended(str(pending.id))
            for file in (batch.output_file_id, batch.error_file_id):
                if file:
                    content = await self._endpoint.openai.files.content(file)
                    for line in content.text.splitlines():
                        await self._read_line(pending, line)
            self._journal.end_batch(pending.label)
            self._fail(pending.keys, self._cause(batch))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._fail(pending.keys, error if isinstance(error, LeapError) else self._fault(error))

    async def _wait_until_ended(self, batch_id: str) -> Any:
        while True:
            with suppress(_ConnectionTrouble):
                batch = await self._look(batch_id)
                if batch.status in _ENDED:
                    return batch
            await asyncio.sleep(self._poll_s)

    async def _look(self, batch_id: str) -> Any:
        try:
            return await self._endpoint.openai.batches.retrieve(batch_id)
        except Exception as error:
            fault = self._fault(error)
        if fault.kind in (FaultKind.REFUSED, FaultKind.BAD_REQUEST):
            raise fault
        raise _ConnectionTrouble

    async def _read_line(self, pending: PendingBatch, line: str) -> None:
        try:
            value = json.loads(line)
            key, response, error = value["custom_id"], value.get("response") or {}, value.get("error")
        except (ValueError, KeyError, TypeError):
            self._say("a line of a batch's results cannot be read; its request is asked again")
            return
        request, _ = self._waiting.get(key, (None, None))
        status, body = int(response.get("status_code") or 0), response.get("body")
        try:
            if status != 200 or body is None:
                content = json.dumps(body if body is not None else {"error": error or {}}).encode()
                raise self._endpoint.judge(status or 500, {}, content, request)
            num_characters = request.num_characters if request else 0
            reply = read_reply(json.dumps(body).encode(), pending.model, num_characters)
        except Fault as fault:
            learnt = self._endpoint.learn(fault)
            self._fail([key], Fault(FaultKind.SERVER, str(fault)) if learnt else fault)
            return
        reply = reply.model_copy(update={"tariff": "batch"})
        await self._journal.keep(key, self._scope, pending.model, reply)
        self._handed_in.discard(key)
        _, future = self._waiting.pop(key, (None, None))
        if future is not None and not future.done():
            future.set_result(reply)

    def _fail(self, keys: Any, error: Exception) -> None:
        for key in keys:
            self._handed_in.discard(key)
            _, future = self._waiting.pop(key, (None, None))
            if future is not None and not future.done():
                future.set_exception(error)

    def _cause(self, batch: Any) -> Fault:
        """Why a batch ended without an answer to some of its requests."""
        errors = getattr(batch.errors, "data", None) or []
        said = self._endpoint.show("; ".join(str(error.message) for error in errors))
        kind = FaultKind.BAD_REQUEST if batch.status == "failed" else FaultKind.SERVER
        return Fault(kind, f"batch {batch.id} {batch.status}{': ' + said if said else ', without this request'}")

    def _fault(self, error: Exception) -> Fault:
        """What the package raised, without the request that it holds."""
        if isinstance(error, Fault):
            return error
        status = getattr(error, "status_code", None)
        if status is not None:
            response = error.response  # type: ignore[attr-defined]
            return self._endpoint.judge(status, response.headers, response.content)
        return self._endpoint.fault_of(error)


class _ConnectionTrouble(Exception):  # noqa: N818 - only says that one look at a batch came to nothing
    pass
