"""Watching a sandboxed program from outside: its output, its time, its memory, and that nothing of it is left."""

import contextlib
import os
import select
import subprocess
import time
from collections.abc import Collection
from dataclasses import dataclass, field

from leap_core.envs.intercode_bash.sandbox.backends import CommandResult, KeptOutput, Stopped
from leap_core.envs.intercode_bash.sandbox.memory import MemoryLimits, MemoryWatch
from leap_core.errors import EnvironmentCrashError

_CHUNK_BYTES = 1 << 16
_MEMORY_CHECK_S = 0.02
"""What `MAX_CPUS` can fill in that time is how far a command may go beyond its limit: some 0.2 GB."""
MAX_CPUS = 4
_END_TIMEOUT_S = 10.0
"""The kernel needs milliseconds to end all processes of a namespace. Longer means that something is badly wrong."""


@dataclass(kw_only=True)
class Watch:
    """Reads the output of a running program until it ends or must be ended.

    Args:
        process: its stdout is a pipe; killing it must end all others that belong to it.
        first_pid: the process that all the others descend from, as this process sees it.
        limits: what its processes may hold together.
    """

    process: subprocess.Popen[bytes]
    first_pid: int
    limits: MemoryLimits
    _kept: KeptOutput = field(default_factory=KeptOutput)

    def wait(self, timeout_s: float) -> CommandResult:
        """Wait for the end, at most `timeout_s`; return when no process is left.

        Raises:
            EnvironmentCrashError: its processes outlived being killed.
        """
        end = time.monotonic() + timeout_s
        leader, first = os.pidfd_open(self.process.pid), _open_pid(self.first_pid)
        try:
            stopped = self._read_until_end(leader, end)
            if stopped is not None:
                self.process.kill()
            status = self.process.wait()
            self._await_last(first)
            assert self.process.stdout is not None
            while self._take(self.process.stdout.fileno()):  # nobody is left to write to it
                pass
        finally:
            os.close(leader)
            if first is not None:
                os.close(first)
        return self._kept.result(None if stopped else (status if status >= 0 else 128 - status), stopped)

    def _read_until_end(self, leader: int, end: float) -> Stopped | None:
        """Read until the leading process ends; why it has to be stopped, if it has to."""
        output = self.process.stdout
        assert output is not None
        poll = select.poll()
        poll.register(leader, select.POLLIN)
        poll.register(output, select.POLLIN | select.POLLHUP)
        memory = MemoryWatch(self.first_pid, self.limits)
        memory_check = time.monotonic() + _MEMORY_CHECK_S
        while True:
            now = time.monotonic()
            if now >= end:
                return Stopped.TIMEOUT
            if now >= memory_check:
                if memory.is_exceeded():
                    return Stopped.MEMORY
                memory_check = time.monotonic() + _MEMORY_CHECK_S
            ready = {descriptor for descriptor, _ in poll.poll(1000 * max(0.0, min(end, memory_check) - now))}
            if output.fileno() in ready and not self._take(output.fileno()):
                poll.unregister(output)
            if leader in ready:
                return None

    def _await_last(self, first: int | None) -> None:
        """Wait until the first process of the namespace is gone: the kernel ends all others before it."""
        if first is None:
            return
        poll = select.poll()
        poll.register(first, select.POLLIN)
        if not poll.poll(1000 * _END_TIMEOUT_S):
            raise EnvironmentCrashError(
                f"Processes of a sandbox are alive {_END_TIMEOUT_S:g} s after they were killed (first process "
                f"{self.first_pid}). Look at them with `ps`; the kernel may be out of memory."
            )

    def _take(self, descriptor: int) -> bool:
        """Read one chunk; False at the end."""
        chunk = os.read(descriptor, _CHUNK_BYTES)
        self._kept.add(chunk)
        return bool(chunk)


def choose_cpus(allowed: Collection[int], pid: int) -> set[int]:
    """The processors that a command may use, of those that this process may; others for the next command."""
    cpus = sorted(allowed)
    start = pid * MAX_CPUS % len(cpus)
    return set((cpus[start:] + cpus[:start])[:MAX_CPUS])


def confine(pid: int) -> None:
    """Keep a process, and what it starts from now on, to some processors; no command can undo that."""
    with contextlib.suppress(ProcessLookupError):  # it is over already
        os.sched_setaffinity(pid, choose_cpus(os.sched_getaffinity(0), pid))


def _open_pid(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:  # it is over already, and with it all that it was the first of
        return None
