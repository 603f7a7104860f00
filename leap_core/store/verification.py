"""Are an artifact's files the ones that were published? Exact, yet quick where nothing has moved.

Hashing gigabytes at each look-up would be too slow, and trusting names too bold. So the stat signature of each file
that was hashed and found right is kept in a sidecar; a file is hashed again when its signature is new. The signature
holds the change time, which no copy and no `touch` can bring back.
"""

import errno
import json
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from leap_core.disk.files import read_small, sha256_file, write_json
from leap_core.errors import ArtifactError
from leap_core.types import Count, Record

_CLOCK_TICK_NS = 50_000_000
"""A file that changed this shortly before it was hashed could change again within the same tick of the file system's
clock, and so without a new time: it is not remembered."""

LEFT_BY_SYSTEMS = {".DS_Store", "Thumbs.db", "desktop.ini", ".directory"}
"""What file managers put into any folder they show; nothing here ever opens them."""

RECORD = "record.json"
CARD = "README.md"
"""Written beside tables for `datasets` (cards.py), derived from them alone, and never read here: not in the record."""
Signature = list[int]


class FileEntry(Record):
    """One file of an artifact; `size` in bytes."""

    sha256: str
    size: Count


def find_problem(directory: Path, files: Mapping[str, FileEntry], sidecar: Path, *, deep: bool = False) -> str | None:
    """Return what is wrong with the files of an artifact, or None where all is right.

    Args:
        directory: the artifact's.
        files: relative path -> what was published.
        sidecar: remembers the signatures of verified files; made and updated here where that is possible.
        deep: hash every file, whatever the sidecar says.
    """
    try:
        stranger = find_unlisted(directory, files)
    except OSError as error:
        return f"{error.filename} cannot be listed: {error.strerror}"
    if stranger is not None:
        return f"{stranger} is not in the record: if it is yours, move it elsewhere"
    known = {} if deep else _load(sidecar)
    verified: dict[str, Signature] = {}
    for name, entry in files.items():
        problem, signature = _check(directory / name, entry, known.get(name))
        if problem is not None:
            with suppress(OSError):  # the store is read-only, or something else is in its place
                sidecar.unlink(missing_ok=True)  # what a deep check found must not be hidden by the next quick one
            return f"{name} {problem}"
        if signature is not None:
            verified[name] = signature
    if verified != known:
        with suppress(ArtifactError, OSError):  # a full or read-only disk costs speed here, nothing else
            write_json(sidecar, verified)
    return None


def find_unlisted(directory: Path, files: Mapping[str, FileEntry]) -> str | None:
    """Return the first file, link or folder in an artifact that its record does not list, or None.

    What lies beside a model decides how it is loaded, so it is as much damage as an altered file.

    Raises:
        OSError: a folder cannot be listed.
    """
    folders = {str(parent) for name in files for parent in Path(name).parents}
    for name, is_folder in _entries(directory, ""):
        if name not in (folders if is_folder else files):
            return name
    return None


def _entries(directory: Path, prefix: str) -> Iterator[tuple[str, bool]]:
    with os.scandir(directory) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            name, is_folder = prefix + entry.name, entry.is_dir(follow_symlinks=False)
            is_passed_over = name in (RECORD, CARD) or entry.name in LEFT_BY_SYSTEMS
            if is_passed_over and entry.is_file(follow_symlinks=False):
                continue
            yield name, is_folder
            if is_folder:
                yield from _entries(Path(entry.path), f"{name}/")


def _check(path: Path, entry: FileEntry, known: Signature | None) -> tuple[str | None, Signature | None]:
    """Return what is wrong with a file, if anything, and the signature to remember it by, if it may be."""
    try:
        signature = _signature(path)
        if signature[0] != entry.size:
            return f"has {signature[0]} bytes instead of {entry.size}", None
        if signature == known:
            return None, signature
        if sha256_file(path) != entry.sha256:
            return "was altered: its bytes are not the published ones", None
    except FileNotFoundError:
        return "is missing", None
    except OSError as error:
        return f"cannot be read: {error.strerror}", None
    settled = time.time_ns() - max(signature[1], signature[2]) > _CLOCK_TICK_NS
    return None, signature if settled else None


def _signature(path: Path) -> Signature:
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _load(sidecar: Path) -> dict[str, Signature]:
    try:
        return dict(json.loads(read_small(sidecar)))
    except (OSError, ValueError, TypeError, RecursionError):
        return {}  # without a sidecar, or with a torn one, every file is hashed
