"""Writing files so that a crash, a full disk or a second writer never leaves a half-written one behind."""

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from leap_core.errors import ArtifactError

TEMPORARY_SUFFIX = ".tmp"
SMALL_FILE = 64 * 2**20
"""Bytes. Records, summaries and the like are much smaller."""
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_UNWRITABLE = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ENOENT, errno.EEXIST}


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a temporary file beside `path`, flush it to the disk, and rename it to `path`.

    The temporary file's name is unique, so two writers of the same path do not disturb each other.

    Raises:
        ArtifactError: the disk is full or the place is not writable; `path` is then unchanged.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}{TEMPORARY_SUFFIX}")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            fsync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON: sorted keys, two spaces, one final newline. Equal values give equal bytes.

    Raises:
        ArtifactError: the disk is full or not writable.
        ValueError: it holds NaN or infinity.
    """
    text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(path, lambda file: file.write(text.encode("utf-8") + b"\n"))


def read_small(path: Path) -> bytes:
    """Return the bytes of a file that should be small, without waiting for a pipe or reading an endless one.

    Raises:
        OSError: it cannot be read, is not a regular file, or is larger than SMALL_FILE.
    """
    with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
        content = file.read(SMALL_FILE + 1)
    if len(content) > SMALL_FILE:
        raise OSError(errno.EINVAL, f"larger than {SMALL_FILE >> 20} MiB", str(path))
    return content


def open_regular(path: Path, flags: int) -> int:
    """Open a file without blocking; return its descriptor.

    Raises:
        OSError: it cannot be opened, or is a directory, a pipe or a device.
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK, 0o666)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "not a regular file", str(path))


def sha256_file(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fsync(path: Path) -> None:
    """Flush a file, or a directory's entries after a rename in it, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full or read-only disk into an ArtifactError that names `path` and says what to do."""
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise ArtifactError(
                f"No room to write {path}: {error.strerror} ({_free_space(path)}). Free some space, for example "
                "with `leap artifacts gc`, or choose another artifact home; what was finished before is kept.",
                item=str(path),
            ) from error
        if error.errno in _UNWRITABLE:
            raise ArtifactError(
                f"Cannot write {path}: {error.strerror}. Give this user permission to write there, or choose another "
                "artifact home.",
                item=str(path),
            ) from error
        raise


def is_full(error: BaseException) -> bool:
    """Whether `error` says that a disk, or a user's share of it, is full."""
    return isinstance(error, OSError) and error.errno in _FULL


def _free_space(path: Path) -> str:
    existing = next((parent for parent in [path, *path.parents] if parent.exists()), None)
    if existing is None:
        return "free space unknown"
    return f"{shutil.disk_usage(existing).free / 1e6:.1f} MB free"
