"""Conversations with a teacher in a process of their own: prompts, readings and the gate, but no endpoint and no key.

Rendering, parsing and judging take more processor time than sending. Beside them, in one process, answers would wait to
be read and the endpoint would stand idle; so they are done next door, and whoever talks to the endpoint is free.

Frames go both ways through the standard streams: a kind, the number of the conversation, and JSON.
"""

import asyncio
import gc
import os
import struct
import sys
import traceback
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pydantic import TypeAdapter

import leap_core
from leap_core.chat.journal import request_key
from leap_core.chat.messages import ChatReply, ChatRequest
from leap_core.errors import ContextLengthError, LeapError
from leap_core.teachers.conversation import Asker, Conversation, Corrector, OpenAITeacherParams
from leap_core.teachers.privilege import PrivilegedEpisode
from leap_core.teachers.prompts import load_teacher_prompts
from leap_core.types import Level, Record, StepCorrection

_HEAD = struct.Struct("!cQI")
_BEHIND = 5
"""Where processors are few, whoever talks to the endpoint goes first."""
_SIGNIFICANT_FRAMES = 3
"""Of a traceback: the last ones, without their values, which may be privileged."""


class DeskSetup(Record):
    """What conversations are led with. `address` is the endpoint's: requests have their journal keys made here."""

    environment: str
    params: OpenAITeacherParams
    level: Level
    address: str
    check_leaks: bool = True


class _Kind(Enum):
    """What a frame holds."""

    SETUP = b"s"
    """To the desk, once and first: a DeskSetup."""
    BEGIN = b"b"
    """To the desk: a PrivilegedEpisode."""
    ANSWER = b"a"
    """To the desk: a ChatReply."""
    TOO_LONG = b"l"
    """To the desk, in place of a reply: why."""
    DROP = b"d"
    """To the desk: nothing more comes."""
    ASK = b"q"
    """From the desk: the journal key, 64 characters, and the ChatRequest."""
    DONE = b"c"
    """From the desk: the step corrections, as a list."""
    FAILED = b"f"
    """From the desk: where in the code."""


class Asked(NamedTuple):
    """A request to send, and its journal key."""

    request: ChatRequest
    key: str


_EPISODE, _STEPS = TypeAdapter(PrivilegedEpisode), TypeAdapter(tuple[StepCorrection, ...])
_DESK_HAS_ENDED = (
    "The process that writes prompts and reads replies has ended{how}. If memory ran out, correct fewer episodes at a "
    "time (execution.teacher.max_concurrency). Run the same command again: what was paid for is kept."
)


@dataclass(kw_only=True)
class Talk:
    """One conversation: `asked` is the request to send next; None once all is said, and `steps` are there."""

    desk: "Desk"
    number: int
    asked: Asked | None = None
    steps: tuple[StepCorrection, ...] = ()

    async def answer(self, reply: ChatReply) -> None:
        """Go on with the reply to what was asked."""
        await self._go_on(_Kind.ANSWER, reply.model_dump_json().encode())

    async def is_too_long(self, why: str) -> None:
        """Go on without: the endpoint says that the prompt is too long."""
        await self._go_on(_Kind.TOO_LONG, why.encode())

    def drop(self) -> None:
        """Give the conversation up, if it has not ended."""
        if self.asked is not None:
            self.desk.send(_Kind.DROP, self.number)

    async def _go_on(self, kind: _Kind, content: bytes) -> None:
        kind, said = await self.desk.ask(kind, self.number, content)
        if kind is _Kind.ASK:
            self.asked = Asked(ChatRequest.model_validate_json(said[64:]), said[:64].decode())
        else:
            self.asked, self.steps = None, _STEPS.validate_json(said)


class Desk:
    """The process and the talks in it. One object serves one event loop."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Take over a process that was started by `open`."""
        self._process, self._num_talks = process, 0
        self._waiting: dict[int, asyncio.Future[tuple[_Kind, bytes]]] = {}
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def open(cls, setup: DeskSetup, without: Collection[str]) -> "Desk":
        """Start the process, without the environment variables `without`, which hold keys."""
        environ = {name: value for name, value in os.environ.items() if name not in without}
        environ["PYTHONPATH"] = str(Path(leap_core.__file__).parents[1])
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "leap_core.teachers.desk"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environ,
            start_new_session=True,  # Ctrl-C is for those who talk to the endpoint; this one ends when they do
        )
        desk = cls(process)
        desk.send(_Kind.SETUP, 0, setup.model_dump_json().encode())
        return desk

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    async def begin(self, episode: PrivilegedEpisode) -> Talk:
        """Begin to correct an episode.

        Raises:
            LeapError: the process has ended, or failed at this.
        """
        self._num_talks += 1
        talk = Talk(desk=self, number=self._num_talks)
        await talk._go_on(_Kind.BEGIN, _EPISODE.dump_json(episode))
        return talk

    async def ask(self, kind: _Kind, number: int, content: bytes) -> tuple[_Kind, bytes]:
        """Send a frame and wait for the one that answers it."""
        if self._listening.done():
            raise self._ended()
        done: asyncio.Future[tuple[_Kind, bytes]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = done
        self.send(kind, number, content)
        return await done

    def send(self, kind: _Kind, number: int, content: bytes = b"") -> None:
        """Send a frame that nothing answers."""
        assert self._process.stdin is not None
        self._process.stdin.write(_HEAD.pack(kind.value, number, len(content)) + content)

    async def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._listening
        await self._process.wait()

    async def _listen(self) -> None:
        """Hand each frame to whoever waits for it, until no more come."""
        assert self._process.stdout is not None
        try:
            while True:
                kind, number, length = _HEAD.unpack(await self._process.stdout.readexactly(_HEAD.size))
                content = await self._process.stdout.readexactly(length)
                waiting = self._waiting.pop(number)
                if waiting.done():  # whoever asked has gone
                    continue
                if kind == _Kind.FAILED.value:
                    waiting.set_exception(LeapError(content.decode()))
                else:
                    waiting.set_result((_Kind(kind), content))
        except asyncio.IncompleteReadError:
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(self._ended())

    def _ended(self) -> LeapError:
        status = self._process.returncode
        return LeapError(_DESK_HAS_ENDED.format(how=f" with status {status}" if status is not None else ""))


class _Clerk:
    """Leads the conversations on the other side."""

    def __init__(self, setup: DeskSetup) -> None:
        prompts = load_teacher_prompts(setup.environment, setup.params.prompt)
        self._asker = Asker(params=setup.params, prompts=prompts, level=setup.level)
        self._address, self._check_leaks = setup.address, setup.check_leaks
        self._conversations: dict[int, Conversation] = {}

    def take(self, kind: _Kind, number: int, content: bytes) -> tuple[_Kind, bytes] | None:
        """Take a frame; returns the one that answers it."""
        if kind is _Kind.DROP:
            self._conversations.pop(number, None)
            return None
        try:
            return self._go_on(kind, number, content)
        except StopIteration as stop:
            del self._conversations[number]
            return _Kind.DONE, _STEPS.dump_json(stop.value)
        except Exception as error:  # of whatever kind: who asked waits next door, and has to be told to raise it there
            self._conversations.pop(number, None)
            return _Kind.FAILED, _where(error).encode()

    def _go_on(self, kind: _Kind, number: int, content: bytes) -> tuple[_Kind, bytes]:
        if kind is _Kind.BEGIN:
            episode = _EPISODE.validate_json(content)
            corrector = Corrector(asker=self._asker, episode=episode, check_leaks=self._check_leaks)
            self._conversations[number] = corrector.converse()
            request = next(self._conversations[number])
        elif kind is _Kind.ANSWER:
            request = self._conversations[number].send(ChatReply.model_validate_json(content))
        else:
            request = self._conversations[number].throw(ContextLengthError(content.decode()))
        return _Kind.ASK, request_key(self._address, request).encode() + request.model_dump_json().encode()


def _where(error: Exception) -> str:
    """What happened and where, without any words of the error's, which may quote what is privileged."""
    frames = traceback.extract_tb(error.__traceback__)[-_SIGNIFICANT_FRAMES:]
    places = ", called from ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
    return f"A correction failed with {type(error).__name__} at {places}. This is a defect of the program."


def serve(inbox: BinaryIO, outbox: BinaryIO) -> None:
    """Answer frames until no more come."""
    clerk: _Clerk | None = None
    while head := inbox.read(_HEAD.size):
        kind, number, length = _HEAD.unpack(head)
        content = inbox.read(length)
        if clerk is None:
            clerk = _Clerk(DeskSetup.model_validate_json(content))
        elif (said := clerk.take(_Kind(kind), number, content)) is not None:
            outbox.write(_HEAD.pack(said[0].value, number, len(said[1])) + said[1])
            outbox.flush()


def main() -> None:
    """Serve the standard streams; what anything else prints goes to the error stream."""
    inbox, outbox = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    os.nice(_BEHIND)
    gc.freeze()  # what was imported stays
    serve(inbox, outbox)


if __name__ == "__main__":
    main()
