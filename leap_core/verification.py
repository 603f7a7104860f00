"""Are an artifact's files the ones that were published? Exact, yet quick where nothing has moved.

Hashing gigabytes at each look-up would be too slow, and trusting names too bold. So the stat signature of each file
that was hashed and found right is kept in a sidecar; a file is hashed again when its signature is new. The signature
holds the change time, which no copy and no `touch` can bring back.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path

from leap_core.errors import ArtifactError
from leap_core.files import sha256_file, write_json
from leap_core.types import Record

_CLOCK_TICK_NS = 50_000_000
"""A file that changed so shortly before it was hashed could change again without moving its times: not remembered."""

Signature = list[int]


class FileEntry(Record):
    """One file of an artifact; `size` in bytes."""

    sha256: str
    size: int


def find_problem(directory: Path, files: Mapping[str, FileEntry], sidecar: Path, *, deep: bool = False) -> str | None:
    """Return what is wrong with the files of an artifact, or None where all is right.

    Args:
        directory: the artifact's.
        files: relative path -> what was published.
        sidecar: remembers the signatures of verified files; made and updated here where that is possible.
        deep: hash every file, whatever the sidecar says.
    """
    known = {} if deep else _load(sidecar)
    verified: dict[str, Signature] = {}
    for name, entry in files.items():
        problem, signature = _check(directory / name, entry, known.get(name))
        if problem is not None:
            sidecar.unlink(missing_ok=True)  # what a deep look found out, a quick one must not forget
            return f"{name} {problem}"
        if signature is not None:
            verified[name] = signature
    if verified != known:
        _save(sidecar, verified)
    return None


def _check(path: Path, entry: FileEntry, known: Signature | None) -> tuple[str | None, Signature | None]:
    """Return what is wrong with a file, if anything, and the signature to remember it by, if it may be."""
    try:
        signature = _signature(path)
        if signature[0] != entry.size:
            return f"has {signature[0]} bytes in place of {entry.size}", None
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
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _load(sidecar: Path) -> dict[str, Signature]:
    try:
        return dict(json.loads(sidecar.read_bytes()))
    except (OSError, ValueError, TypeError):
        return {}  # without a sidecar, or with a torn one, every file is hashed


def _save(sidecar: Path, verified: dict[str, Signature]) -> None:
    try:
        write_json(sidecar, verified)
    except (ArtifactError, OSError):
        return  # a full or read-only disk costs speed here, nothing else
