"""The calls of the Batch API: upload a file, make a batch of it, look how far it is, download the results."""

import json
import re
from collections.abc import Awaitable, Sequence
from typing import Any

from pydantic import JsonValue

from leap_core.chat.endpoint import Endpoint
from leap_core.chat.faults import Fault, FaultKind, presentable
from leap_core.chat.messages import ChatRequest
from leap_core.chat.reading import words_of
from leap_core.text.outside import read_json
from leap_core.types import Record

_LABEL = "leap_label"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}")
"""Of a file or a batch at an endpoint: it becomes part of an address."""
_ENDED = {"completed", "expired", "cancelled", "failed"}
_MAX_PAGES = 1000


class Batch(Record):
    """A batch as the endpoint describes it. `files` hold results and errors; `why` it failed, not fit to be shown."""

    id: str
    status: str
    label: str
    files: tuple[str, ...]
    why: str

    @property
    def has_ended(self) -> bool:
        """Whether no more replies will come."""
        return self.status in _ENDED


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
            for batch in batches:
                if batch.label == label:
                    return batch
            if not page.get("has_more") or not batches or batches[-1].id in seen:
                return None
            seen.add(batches[-1].id)
            after = batches[-1].id
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


def cause_of(batch: Batch, requests: Sequence[ChatRequest]) -> Fault:
    """Why a batch ended without an answer to some of its requests."""
    why = presentable(batch.why, requests)
    kind = FaultKind.BAD_REQUEST if batch.status == "failed" else FaultKind.SERVER
    return Fault(kind, f"batch {batch.id} {batch.status}{': ' + why if why else ', without this request'}")


def _batch_of(value: dict[str, JsonValue]) -> Batch:
    metadata, errors = value.get("metadata"), value.get("errors")
    files = (value.get("output_file_id"), value.get("error_file_id"))
    status = value.get("status")
    return Batch(
        id=_name_in(value),
        status=status if isinstance(status, str) and _NAME.fullmatch(status) else "unknown",
        label=str(metadata.get(_LABEL) or "") if isinstance(metadata, dict) else "",
        files=tuple(_name_in({"id": file}) for file in files if file),
        why=_words_of_all(errors.get("data")) if isinstance(errors, dict) else "",
    )


def _words_of_all(errors: JsonValue) -> str:
    rows = errors if isinstance(errors, list) else []
    return "; ".join(words_of(json.dumps(row).encode()).text for row in rows)


def _name_in(value: dict[str, JsonValue]) -> str:
    """The endpoint's name for a file or a batch."""
    name = value.get("id")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Fault(FaultKind.BROKEN, "the endpoint gives no usable name for a file or a batch")
    return name
