"""The small file systems that tasks are set in, and the archives that keep their first state.

An archive is a tar file of what a sandbox starts from: `tree/` (its root directory), `git/` (the repository that later
changes are found with; no command sees it), `etc/` and `shm/`.
"""

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

from leap_core.disk.files import write_atomically

FRESH = 0
"""The time of modification, in seconds since 1970, that stands for "when the copy was made" in an archive.

What a set-up script writes would be minutes old in one run and months old in another, and commands can ask for that.
What it dates on purpose (`touch -t`) keeps its date.
"""

_ETC = {
    "passwd": "root:x:65534:65534:root:/root:/bin/bash\nnobody:x:65533:65533:nobody:/:/usr/sbin/nologin\n",
    "group": "root:x:65534:\nadm:x:4:\nmail:x:8:\nusers:x:100:\nnogroup:x:65533:\n",
    "hosts": "127.0.0.1\tlocalhost intercode\n::1\tlocalhost\n",
    "networks": "default\t0.0.0.0\nloopback\t127.0.0.0\nlink-local\t169.254.0.0\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\nnetworks: files\n",
}
"""The only user has the number of nobody and no rights, but is called root, as in the original's container."""


@dataclass(frozen=True, kw_only=True)
class FileSystem:
    """How a file system is made: the script is put into the root directory under its name, and run there.

    `ignored` is the `.gitignore` of the root directory: changes in what it names do not count.
    """

    name: str
    script_name: str
    script: str
    ignored: str


def write_raw_archive(path: Path, file_system: FileSystem | None) -> None:
    """Write what a set-up script starts from; without a file system, a nearly empty one to try a sandbox with."""
    files = {f"etc/{name}": text for name, text in _ETC.items()}
    if file_system is not None:
        files |= {f"tree/{file_system.script_name}": file_system.script, "tree/.gitignore": file_system.ignored}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for folder in ("etc", "etc/alternatives", "git", "shm", "tree"):
            tar.addfile(_member(folder, tarfile.DIRTYPE, mode=0o755))
        tar.addfile(_member("etc/ld.so.cache"))
        for name, text in files.items():
            content = text.encode()
            mode = 0o755 if text.startswith("#!") else 0o644
            tar.addfile(_member(name, size=len(content), mode=mode), io.BytesIO(content))
    write_atomically(path, lambda file: file.write(buffer.getvalue()))


def write_archive(path: Path, content: bytes, dated_before: int) -> None:
    """Write a tar file anew, in an order and with dates of its own, so that the same content has the same bytes.

    Files that were last changed before `dated_before`, in seconds since 1970, keep their date.
    """
    buffer = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(content)) as source,
        tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as target,
    ):
        for member in sorted(source.getmembers(), key=lambda member: member.name):
            dated = member.mtime < dated_before and member.name.startswith("tree/")
            member.mtime = int(member.mtime) if dated else FRESH
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            target.addfile(member, source.extractfile(member) if member.isreg() else None)
    write_atomically(path, lambda file: file.write(buffer.getvalue()))


def _member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, mode: int = 0o644) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.size, member.mode, member.mtime = kind, size, mode, FRESH
    return member
