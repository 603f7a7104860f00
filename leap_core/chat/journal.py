"""Every reply, on disk before anyone uses it, so that none is paid for twice: SQLite in WAL mode.

A reply is found again by a hash of the endpoint's address and the exact request. The request itself is not stored, nor
is any key: the file holds replies, their tokens, and for whom they were paid.
"""

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from leap_core.chat.keys import without_keys
from leap_core.chat.messages import ChatReply, ChatRequest
from leap_core.chat.reading import recounted
from leap_core.disk.canonical import canonical_json, sha256_text
from leap_core.disk.files import disk_errors, fsync
from leap_core.errors import ArtifactError
from leap_core.text.outside import read_json
from leap_core.types import Record

JOURNAL = ".journal/replies.sqlite"
"""Where the journal is, below the home of the artifacts."""
_VERSION = 2
_WAIT_S = 60.0
_GATHER_S = 0.02
"""Between two trips to the disk: replies that come meanwhile go together."""
_TABLES = """
CREATE TABLE IF NOT EXISTS replies (
    number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, scope TEXT NOT NULL, model TEXT NOT NULL,
    reply TEXT NOT NULL, created_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS replies_by_scope ON replies (scope, number);
CREATE TABLE IF NOT EXISTS batches (
    label TEXT PRIMARY KEY, endpoint TEXT NOT NULL, scope TEXT NOT NULL, model TEXT NOT NULL, id TEXT,
    keys TEXT NOT NULL
) WITHOUT ROWID;
"""


def request_key(endpoint: str, request: ChatRequest) -> str:
    """The hash under which a reply is kept: 64 hex digits of the endpoint's address and the request."""
    return sha256_text(canonical_json({"endpoint": endpoint, "request": request}))


class PaidReply(Record):
    """One reply of a scope, with the model that was requested. Later replies have higher numbers."""

    number: int
    model: str
    reply: ChatReply


class PendingBatch(Record):
    """A batch that was handed in and whose replies are not all here. `id` is None where only the intent is known."""

    label: str
    scope: str
    model: str
    id: str | None
    keys: tuple[str, ...]


class Journal:
    """Replies by key. One object serves one event loop; several processes may share the file."""

    def __init__(self, path: Path) -> None:
        """Open the file; it is made where it does not exist.

        Raises:
            ArtifactError: it cannot be made or written, or is no journal of this version.
        """
        self._path = path
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with self._errors():
            self._reader = _connect(path)
            self._writer = _connect(path)
            _set_up(self._writer)
        self._next_sync: asyncio.Task[None] | None = None
        self._syncing = asyncio.Lock()
        self._unreadable: set[str] = set()

    def find(self, key: str, num_characters: int = 0) -> ChatReply | None:
        """Return the reply of a request that was answered before, by any run or experiment.

        A row that cannot be read counts as none. `num_characters` is the prompt's length, to mend impossible counts.
        """
        rows = self._read("SELECT reply FROM replies WHERE key = ?", key)
        reply = _parse(rows[0][0], num_characters) if rows else None
        if rows and reply is None:
            self._unreadable.add(key)
        return reply

    def keep(self, key: str, scope: str, model: str, reply: ChatReply) -> None:
        """Write a reply: from now on it outlives this process. It may be used after `settle`.

        Raises:
            ArtifactError: there is no room, or the file cannot be written. The reply must not be used then.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        verb = "REPLACE" if key in self._unreadable else "IGNORE"
        # Not in a thread: without waiting for the disk it takes less than a change of threads.
        insert = f"INSERT OR {verb} INTO replies (key, scope, model, reply, created_at) VALUES (?, ?, ?, ?, ?)"
        self._write(insert, key, scope, model, reply.model_dump_json(), now)

    async def settle(self) -> None:
        """Return when all that was kept is on the disk, and outlives a power cut. Those who wait together sync once.

        Raises:
            ArtifactError: the disk is full or failed.
        """
        if self._next_sync is None:
            self._next_sync = asyncio.create_task(self._sync_soon())
        await asyncio.shield(self._next_sync)

    def paid(self, scope: str, after: int = 0) -> Iterator[PaidReply]:
        """Every reply that was paid for on behalf of `scope`, by any process, with a number above `after`, in order.

        Rows that cannot be read are left out: what they cost is not known.
        """
        select = "SELECT number, model, reply FROM replies WHERE scope = ? AND number > ? ORDER BY number"
        return (
            PaidReply(number=number, model=str(model), reply=reply)
            for number, model, text in self._read(select, scope, after)
            if (reply := _parse(text)) is not None
        )

    def newest(self) -> int:
        """The number of the reply that was kept last, on whosever behalf; 0 where there is none."""
        ((number,),) = self._read("SELECT coalesce(max(number), 0) FROM replies")
        return int(number)

    def intend_batch(self, label: str, endpoint: str, scope: str, model: str, keys: Sequence[str]) -> None:
        """Write down that a batch is about to be handed in, so that a crash in between is noticed."""
        insert = "INSERT OR REPLACE INTO batches VALUES (?, ?, ?, ?, NULL, ?)"
        self._write(insert, label, endpoint, scope, model, " ".join(keys))

    def name_batch(self, label: str, batch_id: str) -> None:
        """Write down the endpoint's name for a batch that was handed in."""
        self._write("UPDATE batches SET id = ? WHERE label = ?", batch_id, label)

    def end_batch(self, label: str) -> None:
        """Forget a batch: its replies are in the journal, or it came to nothing."""
        self._write("DELETE FROM batches WHERE label = ?", label)

    def pending_batches(self, endpoint: str) -> list[PendingBatch]:
        """The batches that anyone handed in to an endpoint, or meant to, and that have not ended."""
        rows = self._read(
            "SELECT label, scope, model, id, keys FROM batches WHERE endpoint = ? ORDER BY label", endpoint
        )
        return [
            PendingBatch(label=label, scope=scope, model=model, id=id, keys=keys.split())
            for label, scope, model, id, keys in rows
            if all(isinstance(value, str) for value in (label, scope, model, keys, id or ""))
        ]

    def close(self) -> None:
        """Close the file. What was kept is in it."""
        self._reader.close()
        self._writer.close()

    async def _sync_soon(self) -> None:
        await asyncio.sleep(_GATHER_S)
        async with self._syncing:
            self._next_sync = None  # what is kept from here on goes to the disk with the next one
            with disk_errors(self._path):
                await asyncio.to_thread(fsync, self._path.with_name(f"{self._path.name}-wal"))

    def _read(self, select: str, *values: str | int) -> list[Any]:
        with self._errors():
            return self._reader.execute(select, values).fetchall()

    def _write(self, statement: str, *values: str) -> None:
        with self._errors(), self._writer:
            self._writer.execute(statement, values)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            text = str(error)
            if "full" in text or "readonly" in text or "unable to open" in text or "I/O" in text:
                raise ArtifactError(
                    f"Cannot write the journal of replies {self._path}: {text}. Make room, or a place that this user "
                    "may write to; replies that are in it stay paid for."
                ) from error
            if "locked" in text:
                raise ArtifactError(
                    f"The journal of replies {self._path} is held by another program for more than {_WAIT_S:.0f} s. "
                    "End that program, then run the same command again."
                ) from error
            raise ArtifactError(
                f"The journal of replies {self._path} is damaged or of another version: {text}. Restore it from a "
                "copy, or move it away; then replies are paid for again."
            ) from error


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_WAIT_S, check_same_thread=False)
    connection.text_factory = lambda content: content.decode("utf-8", "replace")
    return connection


def _parse(text: object, num_characters: int = 0) -> ChatReply | None:
    """A reply as it can be used, whatever wrote it; None where it cannot be read.

    Earlier versions trusted endpoints more: they kept keys in other spellings, and impossible counts. A field that this
    version does not have is ignored: what was paid for is not paid for again.
    """
    if not isinstance(text, str):
        return None
    try:
        content = read_json(text)
        values = content if isinstance(content, dict) else {}
        known = {name: value for name, value in values.items() if name in ChatReply.model_fields}
        texts = {name: without_keys(value) for name, value in known.items() if isinstance(value, str)}
        return recounted(ChatReply.model_validate(known | texts), num_characters)
    except (ValueError, OverflowError):
        return None


def _set_up(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")  # a commit outlives the process; `settle` sees to the rest
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in (0, _VERSION):
        raise sqlite3.DatabaseError(f"version {version}, expected {_VERSION}")
    with connection:
        connection.executescript(_TABLES)
        connection.execute(f"PRAGMA user_version = {_VERSION}")
