"""The Batch API: requests handed in together, answered within a day at half the price.

What was handed in is written into the journal first, so that a run that was cut off, or another one, collects the same
batch instead of paying for a second one.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any

from pydantic import JsonValue

from leap_core.chat.claims import Claims
from leap_core.chat.endpoint import Endpoint
from leap_core.chat.faults import Fault, FaultKind, presentable
from leap_core.chat.journal import Journal, PendingBatch
from leap_core.chat.limits import Outage
from leap_core.chat.messages import ChatReply, ChatRequest
from leap_core.chat.reading import words_of
from leap_core.disk.canonical import sha256_text
from leap_core.errors import LeapError
from leap_core.text.outside import read_json
from leap_core.types import Record

MOST_IN_A_BATCH = 50_000
"""What OpenAI takes in one batch."""
_QUIET_S = 0.5
_MAYBE_TAKEN = {FaultKind.CONNECTION, FaultKind.TIMEOUT, FaultKind.SERVER, FaultKind.BROKEN}
"""Faults after which a batch may have been taken nevertheless."""
_LABEL = "leap_label"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}")
"""Of a file or a batch at an endpoint: it becomes part of an address."""
_ENDED = {"completed", "expired", "cancelled", "failed"}
"""Statuses of a batch for which no more replies will come."""
_MAX_PAGES = 1000


class Batch(Record):
    """A batch as the endpoint describes it. `files` hold results and errors; `why` it failed, not fit to be shown."""

    id: str
    status: str
    label: str
    files: tuple[str, ...]
    why: str


class BatchApi:
    """Files and batches of one endpoint. Everything raises Fault where the endpoint does not do its part."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._files = endpoint.api.files.with_raw_response
        self._batches = endpoint.api.batches.with_raw_response

    async def hand_in(self, lines: bytes, label: str, requests: Sequence[ChatRequest]) -> Batch:
        """Make a batch of the lines of a file; `label` is what it can be found by, `requests` what it may quote."""
        upload = self._files.create(file=("requests.jsonl", lines), purpose="batch")
        file = _name_in(await self._value(upload, requests))
        batch = self._batches.create(
            input_file_id=file,
            endpoint="/v1/chat/completions",
            completion_window="24h",
            metadata={_LABEL: label},
        )
        return _batch_of(await self._value(batch, requests))

    async def find(self, label: str) -> Batch | None:
        """The batch of this label, whoever handed it in."""
        from openai import omit

        after, seen = "", set[str]()
        for _ in range(_MAX_PAGES):
            page = await self._value(self._batches.list(limit=100, after=after or omit))
            rows = page.get("data")
            batches = [_batch_of(row) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
            found = next((batch for batch in batches if batch.label == label), None)
            if found or not page.get("has_more") or not batches or batches[-1].id in seen:
                return found
            after = batches[-1].id
            seen.add(after)
        return None

    async def look(self, batch_id: str) -> Batch:
        """How far a batch is."""
        return _batch_of(await self._value(self._batches.retrieve(batch_id)))

    async def results(self, batch: Batch) -> list[bytes]:
        """The lines of all results and errors of a batch that has ended."""
        contents = [await self._endpoint.content_of(self._files.content(file)) for file in batch.files]
        return [line for content in contents for line in content.split(b"\n") if line.strip()]

    async def _value(self, call: Awaitable[Any], requests: Sequence[ChatRequest] = ()) -> dict[str, JsonValue]:
        content = await self._endpoint.content_of(call, requests)
        try:
            value = read_json(content)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise Fault(FaultKind.BROKEN, f"{len(content)} bytes that are no file or batch")
        return value


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
        log: Callable[[str], None],
    ) -> None:
        self._endpoint, self._journal, self._claims, self._outage = endpoint, journal, claims, outage
        self._api = BatchApi(endpoint)
        self._scope, self._poll_s, self._log = scope, poll_s, log
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

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):  # a defect: nobody may wait for what does not come
            self._answer(list(self._waiting), error)

    async def _collect_what_is_handed_in(self) -> None:
        """Wait for the batches that hold gathered requests; one that was meant and never handed in is forgotten."""
        for batch in self._journal.pending_batches(self._endpoint.address):
            # Whoever hands in holds the claim, as this does: one without a name was cut off just then.
            found = None if batch.id else await self._api.find(batch.label)
            batch_id = batch.id or (found.id if found else None)
            if batch_id is None:
                self._journal.end_batch(batch.label)
                continue
            self._journal.name_batch(batch.label, batch_id)
            ours = [key for key in batch.keys if self._gathered.pop(key, None) is not None]
            if ours and batch.label not in self._collecting:
                self._log(f"waiting for batch {batch_id}, handed in before, with {len(ours)} of these requests")
                self._start_collecting(batch.with_(id=batch_id))

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
            self._answer(list(self._gathered), error)
            self._gathered.clear()

    def _take_what_is_answered(self) -> None:
        """Give out what came in a batch of another run since these requests were looked up."""
        for key in list(self._gathered):
            reply = self._journal.find(key, self._gathered[key].num_characters)
            if reply is not None:
                del self._gathered[key]
                self._answer([key], reply)

    async def _start_batch(self, requests: dict[str, ChatRequest]) -> None:
        """Hand requests in, each under its key. Where that fails, whoever waits gets the error."""
        label = sha256_text(" ".join(requests))
        model = next(iter(requests.values())).model
        try:
            self._journal.intend_batch(label, self._endpoint.address, self._scope, model, list(requests))
            lines = b"".join(self._line(key, request) for key, request in requests.items())
            batch_id = (await self._api.hand_in(lines, label, list(requests.values()))).id
            self._journal.name_batch(label, batch_id)
        except (LeapError, Fault) as error:  # LeapError: the journal cannot be written
            if isinstance(error, Fault) and error.kind not in _MAYBE_TAKEN:  # else the next try looks whether it was
                self._journal.end_batch(label)
            self._answer(list(requests), error)
            return
        self._log(f"handed in batch {batch_id}, {len(requests)} requests")
        self._start_collecting(
            PendingBatch(label=label, scope=self._scope, model=model, id=batch_id, keys=tuple(requests))
        )

    def _line(self, key: str, request: ChatRequest) -> bytes:
        body = self._endpoint.body(request)
        line = {"custom_id": key, "method": "POST", "url": "/v1/chat/completions", "body": body}
        return json.dumps(line).encode() + b"\n"

    def _start_collecting(self, batch: PendingBatch) -> None:
        self._collecting.add(batch.label)
        self._start(self._collect(batch)).add_done_callback(lambda _: self._collecting.discard(batch.label))

    async def _collect(self, pending: PendingBatch) -> None:
        """Wait until a batch has ended, keep its replies, and hand them to whoever waits."""
        try:
            batch, replies = await self._wait_until_ended(str(pending.id)), dict[str, ChatReply]()
            keys = frozenset(pending.keys)
            for line in await self._api.results(batch):
                for key, reply in self._read_line(pending, keys, line).items():
                    replies.setdefault(key, reply)  # as the journal does
            await self._journal.settle()
            self._journal.end_batch(pending.label)
        except (LeapError, Fault) as error:
            self._answer(pending.keys, error)
            return
        for key, reply in replies.items():
            self._answer([key], reply)
        unanswered = [self._waiting[key][0] for key in pending.keys if key in self._waiting]
        self._answer(pending.keys, cause_of(batch, unanswered))

    async def _wait_until_ended(self, batch_id: str) -> Batch:
        while True:
            wait_s = self._poll_s
            try:
                batch = await self._api.look(batch_id)
                self._outage.answered()
                if batch.status in _ENDED:
                    return batch
            except Fault as fault:
                if fault.kind in (FaultKind.REFUSED, FaultKind.BAD_REQUEST):
                    raise
                wait_s = max(wait_s, self._outage.wait_s(fault), fault.wait_s or 0.0)
            await asyncio.sleep(wait_s)

    def _read_line(self, pending: PendingBatch, keys: frozenset[str], line: bytes) -> dict[str, ChatReply]:
        """Keep the reply in a line of a batch's results; returns it by its key, nothing where there is none."""
        try:
            key, status, body = _result_of(read_json(line))
        except ValueError:
            self._log("a line of a batch's results cannot be read; its request is sent again")
            return {}
        if key not in keys:
            self._log("a line of a batch's results is for a request that is not in it; it is left out")
            return {}
        request, _ = self._waiting.get(key, (None, None))
        try:
            if status != 200:
                raise self._endpoint.judge(status, {}, body, [request] if request else [])
            reply = self._endpoint.read(body, request)
        except Fault as fault:
            learnt = self._endpoint.learn(fault)
            self._answer([key], Fault(FaultKind.SERVER, str(fault)) if learnt else fault)
            return {}
        reply = reply.with_(tariff="batch")
        self._journal.keep(key, pending.scope, pending.model, reply)
        return {key: reply}

    def _answer(self, keys: Iterable[str], outcome: ChatReply | Exception) -> None:
        """End the wait for these keys, where anyone waits."""
        for key in keys:
            _, future = self._waiting.pop(key, (None, None))
            if future is None or future.done():
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)


def _result_of(value: JsonValue) -> tuple[str, int, bytes]:
    """The key, the status and the content of one result; raises ValueError where it is none."""
    if not isinstance(value, dict) or not isinstance(value.get("custom_id"), str):
        raise ValueError("no result")
    response = value.get("response")
    fields = response if isinstance(response, dict) else {}
    status, body = fields.get("status_code"), fields.get("body")
    if not isinstance(status, int) or not 400 <= status < 600:
        status = 500 if status != 200 or body is None else 200
    if body is None:
        body = {"error": value.get("error") or {}}
    return str(value["custom_id"]), status, json.dumps(body).encode()


def cause_of(batch: Batch, requests: Sequence[ChatRequest]) -> Fault:
    """Why a batch ended without an answer to some of its requests."""
    why = presentable(batch.why, requests)
    kind = FaultKind.BAD_REQUEST if batch.status == "failed" else FaultKind.SERVER
    return Fault(kind, f"batch {batch.id} {batch.status}{': ' + why if why else ', without this request'}")


def _batch_of(value: dict[str, JsonValue]) -> Batch:
    metadata, errors = value.get("metadata"), value.get("errors")
    rows = errors.get("data") if isinstance(errors, dict) else None
    files = (value.get("output_file_id"), value.get("error_file_id"))
    status = value.get("status")
    return Batch(
        id=_name_in(value),
        status=status if isinstance(status, str) and _NAME.fullmatch(status) else "unknown",
        label=str(metadata.get(_LABEL) or "") if isinstance(metadata, dict) else "",
        files=tuple(_name_in({"id": file}) for file in files if file),
        why="; ".join(words_of(json.dumps(row).encode())[0] for row in rows) if isinstance(rows, list) else "",
    )


def _name_in(value: dict[str, JsonValue]) -> str:
    """The endpoint's name for a file or a batch."""
    name = value.get("id")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Fault(FaultKind.BROKEN, "the endpoint gives no usable name for a file or a batch")
    return name
