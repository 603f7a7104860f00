"""What the environment asks of a sandbox: throw-away copies of a file system in which hostile commands run.

Adding a backend = one module with a `Backend` + one line in `BACKENDS`. None runs commands on the host, and there is no
fallback: where a backend cannot work it says so, and nothing runs.
"""

import os
import select
import shlex
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from pydantic import JsonValue

from leap_core.envs.intercode_bash.sandbox.file_systems import FileSystem
from leap_core.errors import LeapError
from leap_core.registry import load_kind

BACKENDS = {
    "bubblewrap": "leap_core.envs.intercode_bash.sandbox.bubblewrap:BubblewrapBackend",
    "docker": "leap_core.envs.intercode_bash.sandbox.docker:DockerBackend",
}

OUTPUT_LIMIT_BYTES = 1 << 20
"""What is kept of a command's output; the rest is read, counted and dropped."""
_STEERING = (
    r"find / -xdev -regextype posix-extended -regex '/(dev|etc|home|proc|root|run|sys|usr|var)' -prune "
    r"-o -regex '.*/\.git(|ignore|attributes)' \( -type f -exec md5sum {} + -o -printf '%y %l %p\n' \) | LC_ALL=C sort"
)
"""A line of shell that does what `Sandbox.steering` asks, but for folders in which no file system counts changes."""


class SandboxUnavailableError(LeapError, code="sandbox_unavailable"):
    """No sandbox can be made here. Says why, and how to get one."""


class Stopped(StrEnum):
    """Why a command was ended from outside."""

    TIMEOUT = "timeout"
    """It ran longer than it may."""
    MEMORY = "memory"
    """Its processes together held more memory than they may."""


@dataclass(frozen=True, kw_only=True)
class CommandResult:
    """The outcome of a command.

    `output` is stdout and stderr in the order in which they were written; `num_dropped` bytes more were cut off its
    end. `exit_status` is as a shell gives it (128 + signal), None where the command was stopped.
    """

    output: bytes
    num_dropped: int = 0
    exit_status: int | None
    stopped: Stopped | None = None

    @property
    def text(self) -> str:
        """The output, whatever its bytes."""
        return self.output.decode("utf-8", errors="surrogateescape")

    @property
    def answer(self) -> str | None:
        """The output of a command that did what it should, and all of which was kept; else None."""
        return self.text if self.exit_status == 0 and not self.num_dropped else None


class KeptOutput:
    """The beginning of an output: as much as there is room for; what comes after that is counted."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._num_dropped = 0

    def add(self, chunk: bytes) -> None:
        """Take what comes next."""
        room = OUTPUT_LIMIT_BYTES - len(self._kept)
        self._kept += chunk[:room]
        self._num_dropped += max(0, len(chunk) - room)

    def result(self, exit_status: int | None, stopped: Stopped | None) -> CommandResult:
        """What came of the command that wrote it."""
        kept = bytes(self._kept)
        return CommandResult(output=kept, num_dropped=self._num_dropped, exit_status=exit_status, stopped=stopped)


class Sandbox(ABC):
    """One copy of a file system. Commands run one at a time; nothing of them is left running between two."""

    @abstractmethod
    def run(self, argv: Sequence[str], directory: str, timeout_s: float) -> CommandResult:
        """Run a program with its arguments, in a directory of the sandbox, with nothing on its standard input.

        Raises:
            EnvironmentCrashError: the sandbox failed, not the command.
            ValueError: an argument cannot be one: it holds a null character, or is too long for the kernel.
        """

    @abstractmethod
    def look(self, script: str, timeout_s: float) -> CommandResult:
        """Run lines of shell of ours over the tree, as no command of a model runs."""

    @abstractmethod
    def changes(self, timeout_s: float) -> str | None:
        """What `git status --short` says against the first state; None where the tree keeps git from answering."""

    @abstractmethod
    def close(self) -> None:
        """End what runs and forget all files. Safe to call twice."""

    def steering(self, timeout_s: float) -> str | None:
        """What in the tree decides what `changes` sees, a line each with its content; None where there is no end to it.

        That is what git calls .gitignore, .gitattributes and .git. The original obeys them too, wherever a command put
        them, so `changes` has to; but one that did not come from the gold command makes a score suspect.
        """
        return self.look(_STEERING, timeout_s).answer

    def digests(self, paths: Sequence[Sequence[str]], timeout_s: float) -> list[str | None]:
        """What `md5sum` says about each group of paths, errors included; None for all where it does not end in time."""
        script = "; ".join(f"{shlex.join(['md5sum', *group])}; printf '\\0'" for group in paths)
        found = self.look(script, timeout_s).text.split("\0")[:-1]
        return list(found) if len(found) == len(paths) else [None] * len(paths)


class Backend(Protocol):
    """Makes sandboxes."""

    name: str

    def __init__(self, params: Mapping[str, JsonValue]) -> None: ...

    def problem(self) -> str | None:
        """Why no sandbox can be made here, and what to do about it; None where all is well."""
        ...

    def build(self, file_system: FileSystem, archive: Path) -> None:
        """Make the first state of a file system, by running its set-up script in a sandbox; keep it in `archive`.

        Raises:
            SandboxUnavailableError: no sandbox can be made here.
            LeapError: the script failed; carries what it said.
        """
        ...

    def open(self, file_system: str, archive: Path, born: int) -> Sandbox:
        """Make a copy of what `build` has kept.

        `born`, in seconds since 1970, is the date of all files that were not dated on purpose: two copies with the
        same one show the same dates.

        Raises:
            EnvironmentCrashError: the copy could not be made.
        """
        ...


def load_backend(name: str, params: Mapping[str, JsonValue]) -> Backend:
    """Return the backend of this name.

    Raises:
        UnknownNameError: there is none; suggests the nearest.
    """
    backend: Backend = load_kind("sandbox backend", name, BACKENDS)(params)
    return backend


def require(backend: Backend) -> None:
    """Raise SandboxUnavailableError unless the backend works here."""
    problem = backend.problem()
    if problem is not None:
        raise SandboxUnavailableError(
            f"The sandbox backend {backend.name!r} does not work here: {problem} Commands of a model are never run "
            "outside a sandbox. `leap doctor intercode_bash` looks at all backends."
        )


def words(output: bytes) -> str:
    """The end of what a program said, in one line."""
    return " ".join(output.decode("utf-8", errors="replace").split())[-500:]


def await_word(word: str, process: subprocess.Popen[bytes], timeout_s: float) -> str | None:
    """Wait until a process says a word on a line of its own; None, or what it said where it does not in time."""
    output, said, end = process.stdout, b"", time.monotonic() + timeout_s
    assert output is not None
    while f"{word}\n".encode() not in said:  # an engine may have warnings to tell, too
        ready, _, _ = select.select([output], [], [], max(0.0, end - time.monotonic()))
        chunk = os.read(output.fileno(), 4096) if ready else b""
        said += chunk
        if not chunk:
            return words(said)
    return None
