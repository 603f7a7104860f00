"""The content-addressed store: what stages have published, found again by key and verified whenever it is read.

    <home>/<stage>/<name>-<key8>/       one artifact: its files, and record.json, written last
    <home>/<stage>/.work-<key16>/       work in progress: output/ (to be published), scratch/ (shards, checkpoints)
    <home>/.locks  .verified  .damaged  locks, signatures of verified files, what was found broken

An artifact appears by one rename of its finished directory, so a crash leaves either all of it or none. Its record is
in records.py; history, differences and cleaning up are in lineage.py.
"""

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

from pydantic import JsonValue

from leap_core.disk.files import disk_errors, fsync, write_json
from leap_core.disk.locks import file_lock, is_locked
from leap_core.errors import ArtifactError
from leap_core.store.cards import write_card
from leap_core.store.names import find_named
from leap_core.store.provenance import git_revision, machine_kind, package_versions
from leap_core.store.records import ArtifactRecord, digest_of, load_record, seal
from leap_core.store.verification import RECORD, find_problem
from leap_core.types import ArtifactRef, Record, Usage

_SUFFIX_LENGTHS = (8, 12, 16, 24, 64)
"""Hex digits of the key in a directory's name: the first that no other key has taken."""

_log = logging.getLogger(__name__)


class Lookup(Record):
    """What was found under a key: a whole artifact, or what is wrong with a damaged one, or neither."""

    ref: ArtifactRef | None = None
    problem: str | None = None


class Problem(Record):
    """A directory of the store that is not a whole artifact, and why."""

    path: Path
    why: str


class ArtifactStore:
    """Artifacts below one directory, the home. Safe for several processes at once on a local disk."""

    def __init__(self, home: Path, make: bool = True) -> None:
        """Open the store. A home that does not exist is made, or with `make` false treated as empty.

        Raises:
            ArtifactError: the home cannot be made or written.
        """
        self.home = Path(home).expanduser().absolute()
        if self.home.exists() and not self.home.is_dir():
            raise ArtifactError(f"The artifact home {self.home} is a file. Choose a directory.", item=str(self.home))
        if not make and not self.home.exists():
            return _check_may_be_made(self.home)
        with disk_errors(self.home):
            for name in (".locks", ".verified"):
                (self.home / name).mkdir(parents=True, exist_ok=True)
            probe = self.home / ".locks" / "writable"
            probe.write_bytes(b"")

    def lookup(self, stage: str, key: str) -> ArtifactRef | None:
        """Return the whole, verified artifact of a key, or None where it must be made (again). See `inspect`."""
        return self.inspect(stage, key).ref

    def inspect(self, stage: str, key: str) -> Lookup:
        """Look for the artifact of a key and verify it; where it is damaged, say how."""
        problem = None
        for directory in self._candidates(stage, key):
            record, why = self._read(directory)
            if record is not None and record.key != key:
                continue
            if record is not None and why is None:
                return Lookup(ref=record.ref)
            problem = f"{stage}/{directory.name}: {why}"
        return Lookup(problem=problem)

    def verify(self, ref: ArtifactRef, deep: bool = False) -> str | None:
        """Return what is wrong with an artifact, or None where all is right. `deep` hashes every file."""
        try:
            directory = self.path(ref)
        except ArtifactError as error:
            return str(error)
        record, why = self._read(directory, deep=deep)
        if why is None and record is not None and record.digest != ref.digest:
            return f"{ref.id} was published again with other bytes: digest {record.digest[:8]}, not {ref.digest[:8]}"
        return why

    def path(self, ref: ArtifactRef) -> Path:
        """Return the directory of an artifact.

        Raises:
            ArtifactError: it is not in this store.
        """
        for directory in self._candidates(ref.stage, ref.key):
            record = load_record(directory)
            if isinstance(record, ArtifactRecord) and record.key == ref.key:
                return directory
        advice = "Run the flow that makes it, or name another home."
        raise ArtifactError(f"{ref.id} is not in {self.home}. {advice}", item=ref.id)

    def record(self, ref: ArtifactRef) -> ArtifactRecord:
        """Return the record of an artifact, without verifying its files.

        Raises:
            ArtifactError: it is not in this store, or its record cannot be read.
        """
        record = load_record(self.path(ref))
        if isinstance(record, str):
            raise ArtifactError(f"{ref.id}: {record}. Run the flow that makes it again.", item=ref.id)
        return record

    def workspace(self, stage: str, key: str) -> Path:
        """Return the directory to work in; to be called once in each attempt.

        `output/` is emptied: leftovers of a crashed attempt must not be published. `scratch/` is kept for resuming.

        Raises:
            ArtifactError: the disk is full or not writable.
        """
        work = self._workspace_path(stage, key)
        with disk_errors(work):
            shutil.rmtree(work / "output", ignore_errors=True)
            (work / "output").mkdir(parents=True)
            (work / "scratch").mkdir(exist_ok=True)
        return work

    def publish(
        self,
        stage: str,
        key: str,
        name: str,
        *,
        version: int,
        config: Mapping[str, JsonValue],
        inputs: Mapping[str, ArtifactRef],
        experiment: str,
        iteration: int | None = None,
        counts: Mapping[str, int] | None = None,
        metrics: Mapping[str, JsonValue] | None = None,
        seconds: float = 0.0,
        resumed: bool = False,
        usage: Usage | None = None,
    ) -> ArtifactRef:
        """Publish the workspace's `output/` as an artifact, in one step, and delete the workspace.

        The caller holds the lock of the key: its workspace is for one process at a time.
        If a whole artifact of this key exists already, it stays and is returned: others may refer to it.
        A damaged one is moved to `.damaged/`.

        Raises:
            ArtifactError: the disk is full or not writable, or `output/` is missing, empty or holds a symbolic link.
                Nothing half-written is ever found under the key; the workspace is kept.
        """
        work = self._workspace_path(stage, key)
        with disk_errors(work / "output"):
            files = seal(work / "output")
            record = ArtifactRecord(
                stage=stage,
                version=version,
                name=name,
                key=key,
                digest=digest_of(files),
                config=dict(config),
                inputs=dict(inputs),
                files=files,
                counts=dict(counts or {}),
                metrics=dict(metrics or {}),
                seconds=round(seconds, 3),
                resumed=resumed,
                machine=machine_kind(),
                usage=usage or Usage(),
                created_at=datetime.now(UTC).isoformat(timespec="seconds"),
                packages=package_versions(),
                git_revision=git_revision(),
                experiment=experiment,
                iteration=iteration,
            )
            write_card(work / "output")
            write_json(work / "output" / RECORD, record.model_dump(mode="json"))
            return self._install(record, work)

    def lock(
        self, stage: str, key: str, on_wait: Callable[[str], object] | None = None
    ) -> AbstractContextManager[bool]:
        """Lock a key while its artifact is made; yields whether another process held it before."""
        return file_lock(self._lock_path(stage, key), on_wait)

    def resolve(self, name: str) -> ArtifactRef:
        """Find the artifact that a person names: `<stage>/<name>-<key8>`, its directory, or a unique part of either.

        A part is `<name>-<key8>`, the start of either form, `<name>`, or the start of the key (4 digits or more).

        Raises:
            ArtifactError: none, with the nearest names; or several, with all of them.
        """
        return find_named(name, (record.ref for record in self._all_records()), self.home)

    def find(self, stage: str, name: str) -> ArtifactRef:
        """Find the artifact of one stage that a person names, as in `resolve`, and verify it.

        Raises:
            ArtifactError: none, several, or one that is damaged.
        """
        refs = [record.ref for record in self._all_records() if record.stage == stage]
        ref = find_named(name, refs, self.home, stage)
        why = self.verify(ref)
        if why is not None:
            advice = "Run the experiment that made it: it is then made again."
            raise ArtifactError(f"{ref.id} is damaged: {why}. {advice}", item=ref.id)
        return ref

    def records(self, stage: str | None = None) -> Iterator[ArtifactRecord]:
        """Yield the records of all whole artifacts, by stage and directory; `problems` has the damaged ones."""
        for directory in self.directories(stage):
            record, why = self._read(directory)
            if record is not None and why is None:
                yield record

    def problems(self) -> list[Problem]:
        """Return the directories of this store that are not whole artifacts."""
        checked = [(directory, self._read(directory)[1]) for directory in self.directories()]
        return [Problem(path=directory, why=why) for directory, why in checked if why is not None]

    def directories(self, stage: str | None = None) -> list[Path]:
        """Return the directories of all artifacts, or of one stage's, whole or not."""
        return self._below_stages(stage, hidden=False)

    def workspaces(self) -> list[Path]:
        """Return the directories of work in progress and of interrupted work."""
        return self._below_stages(None, hidden=True)

    def is_locked(self, stage: str, key: str) -> bool:
        """Tell whether the artifact of a key (its first 16 digits are enough) is being made at this moment."""
        return is_locked(self._lock_path(stage, key))

    @property
    def damaged(self) -> Path:
        """Where a damaged artifact is moved when it is made again."""
        return self.home / ".damaged"

    def set_aside(self, directory: Path) -> Path:
        """Move a directory out of the store in one step, so that it is never seen half removed; return its new path."""
        if directory.parent == self.damaged:
            return directory
        self.damaged.mkdir(exist_ok=True)
        self._sidecar(directory).unlink(missing_ok=True)
        return directory.rename(self.damaged / f"{directory.parent.name}-{directory.name}-{time.time_ns()}")

    def _install(self, record: ArtifactRecord, work: Path) -> ArtifactRef:
        ref = self.lookup(record.stage, record.key)
        if ref is None:
            for directory in self._candidates(record.stage, record.key):
                found, problem = self._read(directory)
                if problem is not None and (found is None or found.key == record.key):
                    self.set_aside(directory)
            ref, target = record.ref, self._free_directory(record)
            (work / "output").rename(target)
            fsync(target.parent)
        elif ref.digest != record.digest:
            _log.warning("%s exists with other bytes and is kept: this stage is not deterministic.", ref.id)
        shutil.rmtree(work, ignore_errors=True)
        return ref

    def _free_directory(self, record: ArtifactRecord) -> Path:
        for length in _SUFFIX_LENGTHS:
            directory = self.home / record.stage / f"{record.name}-{record.key[:length]}"
            if not directory.exists():
                return directory
        raise FileExistsError(f"{record.stage}/{record.name}-{record.key}")

    def _read(self, directory: Path, deep: bool = False) -> tuple[ArtifactRecord | None, str | None]:
        """Return the record, if it is readable, and what is wrong with the artifact, if anything."""
        record = load_record(directory)
        if isinstance(record, str):
            return None, record
        if record.digest != digest_of(record.files):
            return record, f"{RECORD} was altered: its digest is not that of its files"
        return record, find_problem(directory, record.files, self._sidecar(directory), deep=deep)

    def _candidates(self, stage: str, key: str) -> list[Path]:
        return sorted(
            directory
            for directory in (self.home / stage).glob(f"*-{key[:8]}*")
            if key.startswith(directory.name.rpartition("-")[2]) and not directory.name.startswith(".")
        )

    def _all_records(self) -> Iterator[ArtifactRecord]:
        """Yield every readable record, without verifying its files."""
        for directory in self.directories():
            record = load_record(directory)
            if isinstance(record, ArtifactRecord):
                yield record

    def _below_stages(self, stage: str | None, hidden: bool) -> list[Path]:
        stages = [self.home / stage] if stage is not None else self.home.glob("*")
        parents = [path for path in stages if path.is_dir() and not path.name.startswith(".")]
        found = [directory for parent in parents for directory in _folders_in(parent)]
        return sorted(directory for directory in found if directory.name.startswith(".work-") == hidden)

    def _sidecar(self, directory: Path) -> Path:
        return self.home / ".verified" / directory.parent.name / f"{directory.name}.json"

    def _workspace_path(self, stage: str, key: str) -> Path:
        return self.home / stage / f".work-{key[:16]}"

    def _lock_path(self, stage: str, key: str) -> Path:
        return self.home / ".locks" / f"{stage}-{key[:16]}.lock"


def _folders_in(parent: Path) -> list[Path]:
    try:
        return [directory for directory in parent.iterdir() if directory.is_dir()]
    except OSError as error:
        advice = "Give this user permission to read it."
        raise ArtifactError(f"Cannot list {parent}: {error.strerror}. {advice}", item=str(parent)) from error


def _check_may_be_made(home: Path) -> None:
    parent = next(path for path in home.parents if path.exists())
    if not parent.is_dir():
        text = f"The artifact home {home} is below {parent}, which is a file. Choose another directory."
        raise ArtifactError(text, item=str(home))
