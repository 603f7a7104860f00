"""What sandboxed programs hold of the machine's memory: their own pages, and what the kernel keeps for them."""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAX_MAPPINGS = 400_000
"""What all processes of a command may have mapped; the kernel keeps some 250 bytes for each, in no one's pages."""
_MAPPINGS_FROM_BYTES = 1 << 30
"""Fewer addresses than this cannot be cut into so many mappings, so they need not be counted."""
_LEAST_SYSTEM_S = 0.05
"""Making the kernel allocate a gigabyte takes longer. A process that used less kernel time is not to blame."""
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_FIELD = re.compile(rb"^(VmSize|VmRSS|VmPTE|VmSwap):\s*(\d+) kB$", re.MULTILINE)
_NOT_THE_KERNELS = ("MemFree", "Buffers", "Cached", "SwapCached", "AnonPages", "SReclaimable")


@dataclass(frozen=True, kw_only=True)
class MemoryLimits:
    """What a command may hold.

    Args:
        own: bytes of all its processes together, page tables and what was swapped out included.
        kernel: bytes that the kernel of this machine may hold for itself, for whomever: what it holds before the
            command is started, and some more. The last resort against ways to hold memory that nobody has thought of.
    """

    own: int
    kernel: int


@dataclass(frozen=True)
class MemoryWatch:
    """Looks at the memory of a process and its descendants."""

    first_pid: int
    limits: MemoryLimits

    def is_exceeded(self) -> bool:
        """Whether they hold more than they may."""
        sizes = {pid: _sizes(pid) for pid in _descendants(self.first_pid)}
        if sum(held for held, _ in sizes.values()) > self.limits.own:
            return True
        if sum(addresses for _, addresses in sizes.values()) > _MAPPINGS_FROM_BYTES and _too_many_mappings(sizes):
            return True
        return kernel_bytes() > self.limits.kernel and sum(map(_system_s, sizes)) >= _LEAST_SYSTEM_S


def kernel_bytes() -> int:
    """What the kernel holds for itself on this machine: neither free, nor pages of programs, nor kept for later."""
    with open("/proc/meminfo", encoding="ascii") as file:  # noqa: PTH123 - looked at often
        sizes = {name: int(rest.split()[0]) << 10 for name, _, rest in (line.partition(":") for line in file)}
    return sizes["MemTotal"] - sum(sizes[name] for name in _NOT_THE_KERNELS)


def _too_many_mappings(pids: Iterable[int]) -> bool:
    num_mappings = 0
    for pid in pids:
        for chunk in _chunks(f"/proc/{pid}/maps"):
            num_mappings += chunk.count(b"\n")
            if num_mappings > MAX_MAPPINGS:
                return True
    return False


def _sizes(pid: int) -> tuple[int, int]:
    """Bytes that a process holds, and bytes that it has addresses for."""
    fields = {name: int(size) << 10 for name, size in _FIELD.findall(b"".join(_chunks(f"/proc/{pid}/status")))}
    addresses = fields.pop(b"VmSize", 0)
    return sum(fields.values()), addresses


def _system_s(pid: int) -> float:
    """Seconds that the kernel has worked for a process and for its children that ended."""
    fields = b"".join(_chunks(f"/proc/{pid}/stat")).rpartition(b")")[2].split()
    return (int(fields[12]) + int(fields[14])) / _TICKS_PER_S if fields else 0.0


def _descendants(pid: int) -> Iterator[int]:
    """A process and all that descend from it; some may be gone by the time they are looked at."""
    waiting = [pid]
    while waiting:
        current = waiting.pop()
        yield current
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for thread in os.listdir(f"/proc/{current}/task"):  # noqa: PTH208 - names alone are wanted, and fast
                waiting += map(int, b"".join(_chunks(f"/proc/{current}/task/{thread}/children")).split())


def _chunks(path: str) -> Iterator[bytes]:
    """What a file of a process holds; it ends where the process does."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(path, "rb", buffering=0) as file:  # noqa: PTH123
        while chunk := file.read(1 << 16):
            yield chunk
