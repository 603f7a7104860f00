"""The Batch API: requests handed in together, answered within a day at half the price.

What was handed in is written into the journal first, so that a run that was cut off, or another one, collects the same
batch instead of paying for a second one.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from leap_core.canonical import sha256_text
from leap_core.chat.claims import Claims
from leap_core.chat.endpoint import Endpoint, read_reply
from leap_core.chat.faults import Fault, FaultKind
from leap_core.chat.journal import Journal, PendingBatch
from leap_core.chat.messages import ChatReply, ChatRequest
from leap_core.chat.outage import Outage
from leap_core.errors import LeapError

MOST_IN_A_BATCH = 50_000
"""What OpenAI takes in one batch."""
_QUIET_S = 0.5
_ENDED = {"completed", "expired", "cancelled", "failed"}
_MAYBE_TAKEN = {FaultKind.CONNECTION, FaultKind.TIMEOUT, FaultKind.SERVER, FaultKind.BROKEN}
"""Faults after which a batch may have been taken nevertheless."""
_LABEL = "leap_label"


class BatchQueue:
    """Gathers requests until no more come, hands them in, and waits. One object serves one event loop."""

    def __init__(
        self,
        endpoint: Endpoint,
        journal: Journal,
        claims: Claims,
        outage: Outage,
        scope: str,
        poll_s: float,
        say: Callable[[str], None],
    ) -> None:
        self._endpoint, self._journal, self._claims, self._outage = endpoint, journal, claims, outage
        self._scope, self._poll_s, self._say = scope, poll_s, say
        self._gathered: dict[str, ChatRequest] = {}
        self._waiting: dict[str, tuple[ChatRequest, asyncio.Future[ChatReply]]] = {}
        self._collecting: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._gathering: asyncio.Task[None] | None = None
        self._handing_in = asyncio.Lock()

    async def send(self, key: str, request: ChatRequest) -> ChatReply:
        """Put a request into the next batch and wait for its reply, which is in the journal by then.

        Raises:
            Fault: the batch, or this request in it, failed.
        """
        future: asyncio.Future[ChatReply] = asyncio.get_running_loop().create_future()
        self._waiting[key] = (request, future)
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

    async def _collect_what_is_handed_in(self) -> None:
        """Wait for the batches that hold gathered requests; one that was meant and never handed in is forgotten."""
        for batch in self._journal.pending_batches(self._endpoint.address):
            # Whoever hands in holds the claim, as this does: one without a name was cut off just then.
            batch_id = batch.id or await self._find(batch.label)
            if batch_id is None:
                self._journal.end_batch(batch.label)
                continue
            self._journal.name_batch(batch.label, batch_id)
            ours = [key for key in batch.keys if self._gathered.pop(key, None) is not None]
            if ours and batch.label not in self._collecting:
                self._say(f"waiting for batch {batch_id}, handed in before, with {len(ours)} of these requests")
                self._start_collecting(batch.model_copy(update={"id": batch_id}))

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
        async with self._handing_in:
            await asyncio.shield(self._hand_in())

    async def _hand_in(self) -> None:
        """Hand in what was gathered, but for what is in a batch already, or answered, on behalf of whatever run."""
        try:
            async with self._claims.hold(sha256_text(self._endpoint.address)):
                await self._collect_what_is_handed_in()
                self._take_what_is_answered()
                while self._gathered:
                    chosen = dict(list(self._gathered.items())[:MOST_IN_A_BATCH])
                    for key in chosen:
                        del self._gathered[key]
                    await self._start_batch(chosen)
        except (LeapError, Fault) as error:
            self._fail(list(self._gathered), error)
            self._gathered.clear()

    def _take_what_is_answered(self) -> None:
        """Give out what came in a batch of another run since these requests were looked up."""
        for key in list(self._gathered):
            reply = self._journal.find(key)
            if reply is not None:
                del self._gathered[key]
                self._give_out(key, reply)

    async def _start_batch(self, requests: dict[str, ChatRequest]) -> None:
        """Hand requests in, each under its key. Where that fails, those who wait are told."""
        label = sha256_text(" ".join(requests))
        model = next(iter(requests.values())).model
        try:
            self._journal.intend_batch(label, self._endpoint.address, self._scope, model, list(requests))
            batch_id = await self._upload(label, requests)
            self._journal.name_batch(label, batch_id)
        except LeapError as error:  # the journal cannot be written
            self._fail(list(requests), error)
            return
        except Exception as error:
            fault = self._fault(error)
            if fault.kind not in _MAYBE_TAKEN:  # else the next try looks whether it was
                self._journal.end_batch(label)
            self._fail(list(requests), fault)
            return
        self._say(f"handed in batch {batch_id}, {len(requests)} requests")
        self._start_collecting(
            PendingBatch(label=label, scope=self._scope, model=model, id=batch_id, keys=tuple(requests))
        )

    async def _upload(self, label: str, requests: dict[str, ChatRequest]) -> str:
        """The endpoint's name for a new batch of these requests."""
        lines = b"".join(self._line(key, request) for key, request in requests.items())
        file = await self._endpoint.openai.files.create(file=("requests.jsonl", lines), purpose="batch")
        batch = await self._endpoint.openai.batches.create(
            input_file_id=file.id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
            metadata={_LABEL: label},
        )
        return str(batch.id)

    def _line(self, key: str, request: ChatRequest) -> bytes:
        head = {"custom_id": key, "method": "POST", "url": "/v1/chat/completions"}
        return json.dumps(head).encode()[:-1] + b', "body": ' + self._endpoint.body(request) + b"}\n"

    def _start_collecting(self, batch: PendingBatch) -> None:
        self._collecting.add(batch.label)
        self._start(self._collect(batch)).add_done_callback(lambda _: self._collecting.discard(batch.label))

    async def _collect(self, pending: PendingBatch) -> None:
        """Wait until a batch has ended, keep its replies, and tell those who wait."""
        try:
            batch, replies = await self._wait_until_ended(str(pending.id)), dict[str, ChatReply]()
            for file in (batch.output_file_id, batch.error_file_id):
                if file:
                    content = await self._endpoint.openai.files.content(file)
                    for line in content.text.splitlines():
                        replies |= self._read_line(pending, line)
            await self._journal.settle()
            self._journal.end_batch(pending.label)
            for key, reply in replies.items():
                self._give_out(key, reply)
            self._fail(pending.keys, self._cause(batch))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._fail(pending.keys, error if isinstance(error, LeapError) else self._fault(error))

    async def _wait_until_ended(self, batch_id: str) -> Any:
        while True:
            wait_s = self._poll_s
            try:
                batch = await self._look(batch_id)
                self._outage.answered()
                if batch.status in _ENDED:
                    return batch
            except Fault as fault:
                if fault.kind in (FaultKind.REFUSED, FaultKind.BAD_REQUEST):
                    raise
                if fault.kind is FaultKind.UNREACHABLE:
                    wait_s = max(wait_s, self._outage.wait_s(fault))
            await asyncio.sleep(wait_s)

    async def _look(self, batch_id: str) -> Any:
        try:
            return await self._endpoint.openai.batches.retrieve(batch_id)
        except Exception as error:
            fault = self._fault(error)
        raise fault

    def _read_line(self, pending: PendingBatch, line: str) -> dict[str, ChatReply]:
        """Keep the reply in a line of a batch's results; returns it by its key, nothing where there is none."""
        try:
            value = json.loads(line)
            key, response, error = value["custom_id"], value.get("response") or {}, value.get("error")
        except (ValueError, KeyError, TypeError):
            self._say("a line of a batch's results cannot be read; its request is asked again")
            return {}
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
            return {}
        reply = reply.model_copy(update={"tariff": "batch"})
        self._journal.keep(key, pending.scope, pending.model, reply)
        return {key: reply}

    def _give_out(self, key: str, reply: ChatReply) -> None:
        _, future = self._waiting.pop(key, (None, None))
        if future is not None and not future.done():
            future.set_result(reply)

    def _fail(self, keys: Any, error: Exception) -> None:
        for key in keys:
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
