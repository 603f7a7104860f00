"""An OpenAI-compatible server of the tests' own: real HTTP on this machine, replies and faults by script.

It runs in a thread, counts what reaches it, and keeps every request: a test can say what was sent and how often.
"""

import asyncio
import json
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

MODEL = "gpt-4o-mini"


@dataclass(kw_only=True)
class Answer:
    """What the server does with one request. `cut` sends so many bytes of the content, then resets the connection;
    -1 not even the head. `drip_s` is the time between two bytes of the content, which come one by one."""

    status: int = 200
    content: bytes = b"{}"
    headers: dict = field(default_factory=dict)
    delay_s: float = 0.0
    cut: int | None = None
    stall_s: float = 0.0
    drip_s: float = 0.0


@dataclass(kw_only=True)
class Received:
    """One request as it came; `path` with its query."""

    path: str
    headers: dict
    body: dict
    at: float


def completion(text, finish="stop", prompt_tokens=100, completion_tokens=20, **message):
    """The value of a chat completion."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [
            {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
        ],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    }


def reply(text="Hello.", delay_s=0.0, **fields):
    """An answer with a chat completion."""
    return Answer(content=json.dumps(completion(text, **fields)).encode(), delay_s=delay_s)


def error(status, message="no", code=None, type=None, param=None, **headers):
    """An answer that is an error, as OpenAI words them."""
    value = {"error": {"message": message, "code": code, "type": type, "param": param}}
    named = {name.replace("_", "-"): str(value) for name, value in headers.items()}
    return Answer(status=status, content=json.dumps(value).encode(), headers=named)


class ChatServer:
    """Answers `POST .../chat/completions` by `answer(body, n)`, n counting from 0; files and batches as OpenAI does.

    A batch is done after `batch_looks` looks at it; its requests are answered by the same function.
    `port` 0 is any that is free; `tls` is an SSL context, None for plain HTTP. The answers to the first
    `loses_answers_to_batches` batches are reset on their way.
    """

    def __init__(self, answer=lambda body, n: reply(), batch_looks=1, port=0, tls=None):
        self.answer, self.batch_looks = answer, batch_looks
        self.received, self.num_active, self.most_active = [], 0, 0
        self.files, self.batches, self._writers = {}, {}, set()
        self.loses_answers_to_batches, self._tls = 0, tls
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started, port), daemon=True)
        self._thread.start()
        started.wait()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def num_requests(self):
        """Chat completions that were asked for."""
        return len(self.received)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._end)
        self._thread.join()

    def _end(self):
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.call_later(0.02, self._loop.stop)  # when all of them have ended

    def _run(self, started, port):
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(
            asyncio.start_server(
                self._serve, "localhost" if self._tls else "127.0.0.1", port, backlog=512, ssl=self._tls
            )
        )
        self.port = self._server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()

    async def _serve(self, reader, writer):
        self._writers.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                method, path, _ = head[0].split(" ")
                headers = {
                    name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
                }
                content = await reader.readexactly(int(headers.get("content-length", 0)))
                answer = await self._answer(method, path, headers, content)
                if not await self._write(writer, answer):
                    return

    async def _answer(self, method, path, headers, content):
        if path.partition("?")[0].endswith("/chat/completions"):
            body = json.loads(content)
            self.received.append(Received(path=path, headers=headers, body=body, at=time.monotonic()))
            self.num_active += 1
            self.most_active = max(self.most_active, self.num_active)
            answer = self.answer(body, len(self.received) - 1)
            await asyncio.sleep(answer.delay_s)
            self.num_active -= 1
            return answer
        return self._files_and_batches(method, path.partition("?")[0].removeprefix("/v1/").split("/"), content)

    async def _write(self, writer, answer):
        size = len(answer.content)
        named = {"content-type": "application/json", "content-length": size, **answer.headers}
        lines = [f"HTTP/1.1 {answer.status} X", *(f"{name}: {value}" for name, value in named.items())]
        sent = answer.content if answer.cut is None else answer.content[: answer.cut]
        if answer.cut != -1:
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if answer.drip_s else sent))
            await writer.drain()
        for byte in sent if answer.drip_s else b"":
            writer.write(bytes([byte]))
            await asyncio.sleep(answer.drip_s)
        if answer.stall_s:
            await asyncio.sleep(answer.stall_s)
        if answer.cut is not None:
            writer.transport.abort()
            return False
        return True

    def _files_and_batches(self, method, parts, content):
        if parts == ["files"]:
            name = f"file-{len(self.files)}"
            start = content.index(b"\r\n\r\n", content.index(b'filename="')) + 4
            self.files[name] = content[start : content.index(b"\r\n--", start)].decode()
            return _json({"id": name, "object": "file"})
        if parts[0] == "files":
            return Answer(content=self.files[parts[1]].encode())
        if parts == ["batches"] and method == "POST":
            asked = json.loads(content)
            batch = {"id": f"batch-{len(self.batches)}", "object": "batch", "status": "in_progress", **asked}
            self.batches[batch["id"]] = batch | {"looks": 0}
            is_lost = len(self.batches) <= self.loses_answers_to_batches
            return Answer(content=json.dumps(batch).encode(), cut=0 if is_lost else None)
        if parts == ["batches"]:
            return _json({"object": "list", "data": list(self.batches.values()), "has_more": False})
        return _json(self._look(self.batches[parts[1]]))

    def _look(self, batch):
        batch["looks"] += 1
        if batch["looks"] >= self.batch_looks and batch["status"] == "in_progress":
            lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
            results = []
            for n, line in enumerate(lines):
                answer = self.answer(line["body"], n)
                response = {"status_code": answer.status, "body": json.loads(answer.content)}
                results.append(json.dumps({"custom_id": line["custom_id"], "response": response, "error": None}))
            name = f"file-{len(self.files)}"
            self.files[name] = "\n".join(results)
            batch.update(status="completed", output_file_id=name)
        return batch


def _json(value):
    return Answer(content=json.dumps(value).encode())
