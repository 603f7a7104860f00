"""The record of an artifact, `record.json`: writing it down, reading it, and refusing one that cannot be true."""

import unicodedata
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path

from pydantic import Field, JsonValue, ValidationError

from leap_core.disk.canonical import files_digest
from leap_core.disk.files import fsync, read_small, sha256_file
from leap_core.errors import ArtifactError
from leap_core.store.verification import RECORD, FileEntry
from leap_core.text.shown import shown
from leap_core.types import SCHEMA_VERSION, ArtifactRef, Count, Record, Usage


class ArtifactRecord(Record):
    """All that is known about one artifact.

    `created_at` is in UTC; `seconds` is the duration of the last attempt, on a `machine` of this kind. Where that
    `resumed` an earlier one, the whole work took longer.
    """

    schema_version: int = SCHEMA_VERSION
    stage: str
    version: int
    name: str
    key: str
    digest: str
    config: dict[str, JsonValue]
    inputs: dict[str, ArtifactRef]
    files: dict[str, FileEntry]
    counts: dict[str, Count] = Field(default_factory=dict)
    metrics: dict[str, JsonValue] = Field(default_factory=dict)
    seconds: float = 0.0
    resumed: bool = False
    machine: str = ""
    usage: Usage = Usage()
    created_at: str
    packages: dict[str, str] = Field(default_factory=dict)
    git_revision: str | None = None
    experiment: str
    iteration: int | None = None

    @property
    def ref(self) -> ArtifactRef:
        """The reference by which other stages name this artifact."""
        return ArtifactRef(stage=self.stage, name=self.name, key=self.key, digest=self.digest)


def load_record(directory: Path) -> ArtifactRecord | str:
    """Return the record in an artifact's directory, or why it cannot be used; the files are not verified."""
    record = read_record(directory)
    why = None if isinstance(record, str) else _find_untruth(record, directory)
    return record if why is None else f"{RECORD} is damaged: {why}"


def read_record(directory: Path) -> ArtifactRecord | str:
    """Return the record in a directory, whatever artifact it belongs to, or why it cannot be used."""
    try:
        record = ArtifactRecord.model_validate_json(read_small(directory / RECORD))
    except FileNotFoundError:
        return f"{RECORD} is missing"
    except OSError as error:
        return f"{RECORD} cannot be read: {error.strerror}"
    except ValidationError as error:
        return f"{RECORD} is damaged or of another version: {error.errors()[0]['msg']}"
    why = _find_strange_name(record.files)
    return record if why is None else f"{RECORD} is damaged: {why}"


def _find_untruth(record: ArtifactRecord, directory: Path) -> str | None:
    """Return what in a record cannot be true: it belongs elsewhere, or its time is none."""
    if shown(record.name) != record.name:
        return f"its name, {shown(record.name)}, is not printable"
    own = directory.name.removeprefix(f"{record.name}-")
    if record.stage != directory.parent.name or own == directory.name or not (own and record.key.startswith(own)):
        return f"it belongs to {shown(record.ref.id)}"
    try:
        datetime.fromisoformat(record.created_at).timestamp()
    except (ValueError, OverflowError):
        return f"created_at is {shown(record.created_at)!r}, which is not a time"
    return None


def _find_strange_name(files: Collection[str]) -> str | None:
    for name in files:
        if name == RECORD or "\0" in name or {"", ".", ".."}.intersection(name.split("/")):
            return f"it lists {shown(name)!r}, which is not a file of the artifact"
    if len({unicodedata.normalize("NFC", name).casefold() for name in files}) != len(files):
        return "it lists two files whose names differ only in case or in Unicode spelling"
    return None


def seal(output: Path) -> dict[str, FileEntry]:
    """Hash the files of `output`, by relative path, and bring them to the disk."""
    files = {}
    for path in sorted(output.rglob("*"), reverse=True):  # what a folder holds before the folder
        if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
            path.rmdir()  # a record cannot list it
    for path in sorted(output.rglob("*")):
        if path.is_symlink():
            advice = "an artifact must hold its bytes. Copy the file instead."
            raise ArtifactError(f"{path} is a symbolic link: {advice}", item=str(path))
        if not path.is_file() and not path.is_dir():
            advice = "so it cannot be published. The stage must not leave it there."
            raise ArtifactError(f"{path} is not a regular file, {advice}", item=str(path))
        if path.is_file() and path != output / RECORD:
            fsync(path)
            name = path.relative_to(output).as_posix()
            files[name] = FileEntry(sha256=sha256_file(path), size=path.stat().st_size)
    if not files:
        raise ArtifactError(f"Nothing to publish: {output} has no files. The stage must write there.", item=str(output))
    why = _find_strange_name(files)
    if why is not None:
        advice = "The stage must name them otherwise."
        raise ArtifactError(f"{output} cannot be published: for its record, {why}. {advice}", item=str(output))
    return files


def digest_of(files: Mapping[str, FileEntry]) -> str:
    """Return the digest of an artifact with these files, by relative path."""
    return files_digest({path: entry.sha256 for path, entry in files.items()})
