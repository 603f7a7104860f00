"""One worker at a time, across processes: a lock on a file, which the kernel releases when its holder dies."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from leap_core.disk.files import open_regular
from leap_core.errors import ArtifactError


@contextmanager
def file_lock(path: Path, on_wait: Callable[[str], object] | None = None) -> Iterator[bool]:
    """Hold the lock for the length of the `with` block; wait for it as long as it takes.

    It is advisory and tied to the open file: `kill -9` of the holder releases it. The file stays behind and means
    nothing by itself. For local disks.

    Args:
        path: created if it does not exist; its directory must.
        on_wait: called once, with a sentence, before a wait begins.

    Yields:
        Whether it had to wait; if so, the work may have been done meanwhile: check again before doing it.
    """
    with _open(path) as file:
        waited = not _take(file)
        if waited:
            if on_wait is not None:
                on_wait(f"Waiting for {_holder(file)}, which holds {path}.")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        file.flush()
        yield waited


def is_locked(path: Path) -> bool:
    """Whether the lock is held at this moment."""
    if not path.exists():
        return False
    with _open(path) as file:
        return not _take(file)


def _open(path: Path) -> BinaryIO:
    try:
        return os.fdopen(open_regular(path, os.O_RDWR | os.O_CREAT | os.O_APPEND), "a+b")
    except OSError as error:
        text = f"Cannot lock {path}: {error.strerror}. Remove what is there, or make it writable."
        raise ArtifactError(text, item=str(path)) from error


def _take(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(file: BinaryIO) -> str:
    file.seek(0)
    pid = file.read(20).decode(errors="replace")
    return f"process {pid}" if pid else "another process"
