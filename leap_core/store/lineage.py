"""Over many artifacts at once: where one comes from, how two differ, and what nothing needs any more."""

import re
import shutil
import time
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

from leap_core.disk.canonical import diff_configs
from leap_core.disk.files import disk_errors
from leap_core.errors import ArtifactError
from leap_core.store.artifacts import ArtifactStore, Problem
from leap_core.store.records import ArtifactRecord, load_record, read_record
from leap_core.store.verification import find_unlisted
from leap_core.text.shown import shown
from leap_core.types import ArtifactRef, Record

WORKSPACE_AGE_S = 7 * 24 * 3600.0
"""Work that nobody has touched for this long is not going to be resumed."""

_ARTIFACT = re.compile(r".+-[0-9a-f]{8,64}")
_WORKSPACE = re.compile(r"\.work-[0-9a-f]{16}")
_SET_ASIDE = re.compile(r".+-[0-9]{16,20}")
_WORKED_IN = ("output", "scratch")


class Removal(Record):
    """Something that `gc` removes; `size` in bytes."""

    path: Path
    size: int
    why: str


def lineage(store: ArtifactStore, ref: ArtifactRef) -> list[ArtifactRef]:
    """Return all artifacts that `ref` was made from, each after its own inputs.

    One that is not in the store any more is listed, but not what it was made from.
    """
    ordered: dict[str, ArtifactRef] = {}
    seen: set[str] = set()  # an altered record may name itself, or one that was made from it
    pending = [(ref, False)]
    while pending:
        current, inputs_done = pending.pop()
        if inputs_done:
            ordered[current.key] = current
            continue
        if current.key in seen:
            continue
        seen.add(current.key)
        pending.append((current, True))
        pending += [(parent, False) for parent in reversed(_inputs(store, current))]
    del ordered[ref.key]
    return list(ordered.values())


def diff(store: ArtifactStore, first: ArtifactRef, second: ArtifactRef) -> list[str]:
    """Return one line for each difference in what two artifacts were made from, and by which code.

    `training.learning_rate 0.003 -> 0.001`, `input specs ab12cd34 -> 9f8e7d6c`, `package torch 2.12.0 -> 2.13.0`.

    Raises:
        ArtifactError: one of them is not in the store, or they are of two stages.
    """
    if first.stage != second.stage:
        raise ArtifactError(
            f"{first.id} and {second.id} are of different stages and cannot be compared. Name two of one stage: "
            "`leap artifacts list` shows them.",
            item=second.id,
        )
    old, new = store.record(first), store.record(second)
    lines = diff_configs(_identity(old), _identity(new)) + diff_configs(old.config, new.config)
    for role in sorted(old.inputs.keys() | new.inputs.keys()):
        before, after = old.inputs.get(role), new.inputs.get(role)
        if before is None or after is None or before.digest != after.digest:
            lines.append(f"input {role} {_short(before)} -> {_short(after)}")
    return lines + [f"package {line}" for line in diff_configs(old.packages, new.packages)]


def gc(store: ArtifactStore, keep: Iterable[ArtifactRef], *, dry_run: bool, stages: Container[str]) -> list[Removal]:
    """Remove what is neither in `keep` nor an ancestor of it, and leftovers of crashed or damaged work.

    Work in progress stays while its lock is held, and, if it can still be resumed, for a week after its last change.
    Only the store's own folders are removed: those of `stages` whose record lists everything in them, and work in
    progress. All else stays, and `left_alone` says so; links are not followed.
    Not for use while a flow runs in the same home: what it has just found in the store could be removed.

    Returns:
        What was removed, or with `dry_run` what would be.

    Raises:
        ArtifactError: something cannot be removed; what came before it has been.
    """
    needed = {ancestor.key for ref in keep for ancestor in [ref, *lineage(store, ref)]}
    removals = [*_unneeded(store, needed, stages), *_abandoned(store, stages), *_damaged(store)]
    if not dry_run:
        for removal in removals:
            with disk_errors(removal.path):
                shutil.rmtree(store.set_aside(removal.path))
    return removals


def left_alone(store: ArtifactStore, stages: Container[str]) -> list[Problem]:
    """What is in the store but not the store's own, so that `gc` never removes it, and why."""
    ours = [directory for directory in store.directories() if directory.parent.name in stages]
    looked_at = [
        *((directory, "is of no stage") for directory in store.directories() if directory.parent.name not in stages),
        *((directory, _why_not_ours(directory, _ARTIFACT, load_record(directory))) for directory in ours),
        *((workspace, _why_not_work(store, workspace, stages)) for workspace in store.workspaces()),
        *(
            (directory, _why_not_ours(directory, _SET_ASIDE, read_record(directory)))
            for directory in sorted(store.damaged.glob("*"))
        ),
    ]
    return [Problem(path=path, why=why) for path, why in looked_at if why is not None]


def _unneeded(store: ArtifactStore, needed: set[str], stages: Container[str]) -> Iterator[Removal]:
    for directory in store.directories():
        record = load_record(directory)
        is_ours = directory.parent.name in stages and _why_not_ours(directory, _ARTIFACT, record) is None
        if is_ours and isinstance(record, ArtifactRecord) and record.key not in needed:
            yield _removal(directory, "nothing that is kept was made from it")


def _abandoned(store: ArtifactStore, stages: Container[str]) -> Iterator[Removal]:
    for workspace in store.workspaces():
        if _why_not_work(store, workspace, stages) is not None:
            continue
        stage, key_start = workspace.parent.name, workspace.name.rpartition("-")[2]
        if store.is_locked(stage, key_start):
            continue
        if any(record.key.startswith(key_start) for record in store.records(stage)):
            yield _removal(workspace, "its artifact has been published")
        elif time.time() - _last_change(workspace) > WORKSPACE_AGE_S:
            yield _removal(workspace, "nobody has worked on it for a week")


def _damaged(store: ArtifactStore) -> Iterator[Removal]:
    for directory in sorted(store.damaged.glob("*")):
        if _why_not_ours(directory, _SET_ASIDE, read_record(directory)) is None:
            yield _removal(directory, "it was set aside as damaged")


def _why_not_ours(directory: Path, form: re.Pattern[str], record: ArtifactRecord | str) -> str | None:
    """Why a directory is not purely an artifact of this store; None if it is. `form` is the pattern of its name."""
    if _is_linked(directory):
        return "is a link"
    if not directory.is_dir() or not form.fullmatch(directory.name):
        return "is not named as artifacts are"
    if isinstance(record, str):
        return f"may be yours: {record}"
    try:
        stranger = find_unlisted(directory, record.files)
    except OSError as error:
        return f"cannot be listed: {error.strerror}"
    return None if stranger is None else f"holds {shown(stranger)}, which is not in its record"


def _why_not_work(store: ArtifactStore, workspace: Path, stages: Container[str]) -> str | None:
    """Why a directory is not purely work in progress; None if it is."""
    if _is_linked(workspace):
        return "is a link"
    if workspace.parent.name not in stages or not _WORKSPACE.fullmatch(workspace.name):
        return "is not named as work in progress is"
    stranger = next((path.name for path in workspace.iterdir() if path.name not in _WORKED_IN), None)
    if stranger is not None:
        return f"holds {shown(stranger)}, which no stage put there"
    try:
        store.is_locked(workspace.parent.name, workspace.name.rpartition("-")[2])
    except ArtifactError as error:
        return str(error)
    return None


def _is_linked(directory: Path) -> bool:
    return directory.is_symlink() or directory.parent.is_symlink()


def _removal(path: Path, why: str) -> Removal:
    size = sum(file.lstat().st_size for file in path.rglob("*") if file.is_file())
    return Removal(path=path, size=size, why=why)


def _last_change(directory: Path) -> float:
    return max(path.lstat().st_mtime for path in [directory, *directory.rglob("*")])


def _inputs(store: ArtifactStore, ref: ArtifactRef) -> list[ArtifactRef]:
    try:
        return list(store.record(ref).inputs.values())
    except ArtifactError:
        return []


def _identity(record: ArtifactRecord) -> dict[str, str | int | None]:
    return {"stage": record.stage, "stage_version": record.version, "git_revision": record.git_revision}


def _short(ref: ArtifactRef | None) -> str:
    return "(absent)" if ref is None else ref.key[:8]
