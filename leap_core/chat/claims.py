"""Which process is about to pay for a reply: a claim is a lock on one byte of a file, at an offset made from a key.

The kernel gives a lock back when its holder ends, however it ends: no claim is left over after a crash. Two keys that
share a byte, which is next to impossible, would wait for each other and no more.
"""

import asyncio
import fcntl
import os
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from leap_core.disk.files import disk_errors

_OFFSET_DIGITS = 15
"""Of a key in hex: 60 bits, as many as fit into an offset."""
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.02, 0.5


class Claims:
    """Claims of one client. Any number of clients, in any number of processes, may share the file."""

    def __init__(self, path: Path) -> None:
        """Open the file, which stays empty; it is made where it does not exist.

        Raises:
            ArtifactError: it cannot be made.
        """
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab")

    @asynccontextmanager
    async def hold(self, key: str, on_wait: Callable[[], object] = lambda: None) -> AsyncIterator[None]:
        """Hold the claim on a key (hex digits) for the length of the `with` block; wait while another client has it.

        `on_wait` is called once, before a wait begins. What was claimed may have been done meanwhile: look again.
        """
        offset, wait_s = int(key[:_OFFSET_DIGITS], 16), _FIRST_WAIT_S
        while not self._lock(offset, fcntl.F_WRLCK):
            if wait_s == _FIRST_WAIT_S:
                on_wait()
            await asyncio.sleep(wait_s)
            wait_s = min(1.5 * wait_s, _LONGEST_WAIT_S)
        try:
            yield
        finally:
            self._lock(offset, fcntl.F_UNLCK)

    def close(self) -> None:
        """Give everything back."""
        self._file.close()

    def _lock(self, offset: int, kind: int) -> bool:
        # Locks of the open file, not of the process: two clients of one process hold each other off, too.
        request = struct.pack("hhqqi0q", kind, os.SEEK_SET, offset, 1, 0)
        try:
            fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, request)
        except BlockingIOError:
            return False
        return True
