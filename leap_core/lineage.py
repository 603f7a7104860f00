"""Over many artifacts at once: where one comes from, in what two differ, and what nobody needs any more."""

import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from leap_core.artifacts import ArtifactRecord, ArtifactStore, load_record
from leap_core.canonical import diff_configs
from leap_core.errors import ArtifactError
from leap_core.files import directory_size, disk_errors
from leap_core.types import ArtifactRef, Record

WORKSPACE_AGE_S = 7 * 24 * 3600.0
"""Work that nobody has touched for so long is not going to be resumed."""


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
    pending = [(ref, False)]
    while pending:
        current, inputs_done = pending.pop()
        if current.key in ordered:
            continue
        if inputs_done:
            ordered[current.key] = current
            continue
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
            f"{first.id} and {second.id} are of two stages, so nothing in them compares. Name two of one stage: "
            "`leap artifacts list` has them."
        )
    old, new = store.record(first), store.record(second)
    lines = diff_configs(_identity(old), _identity(new)) + diff_configs(old.config, new.config)
    for role in sorted(old.inputs.keys() | new.inputs.keys()):
        before, after = old.inputs.get(role), new.inputs.get(role)
        if before is None or after is None or before.digest != after.digest:
            lines.append(f"input {role} {_short(before)} -> {_short(after)}")
    return lines + [f"package {line}" for line in diff_configs(old.packages, new.packages)]


def gc(store: ArtifactStore, keep: Iterable[ArtifactRef], *, dry_run: bool) -> list[Removal]:
    """Remove what is neither in `keep` nor an ancestor of it, and leftovers of crashed or damaged work.

    Work in progress stays while its lock is held, and, if it can still be resumed, for a week after its last change.
    Not for use while a flow runs in the same home: what it has just found in the store could go.

    Returns:
        What was removed, or with `dry_run` what would be.

    Raises:
        ArtifactError: something cannot be removed; what came before it is gone.
    """
    needed = {ancestor.key for ref in keep for ancestor in [ref, *lineage(store, ref)]}
    removals = [*_unneeded(store, needed), *_abandoned(store), *_damaged(store)]
    if not dry_run:
        for removal in removals:
            with disk_errors(removal.path):
                shutil.rmtree(store.set_aside(removal.path))
    return removals


def _unneeded(store: ArtifactStore, needed: set[str]) -> Iterator[Removal]:
    for directory in store.directories():
        record = load_record(directory)
        if isinstance(record, str):
            yield _removal(directory, record)
        elif record.key not in needed:
            yield _removal(directory, "nothing that is kept was made from it")


def _abandoned(store: ArtifactStore) -> Iterator[Removal]:
    for workspace in store.workspaces():
        stage, key_start = workspace.parent.name, workspace.name.rpartition("-")[2]
        if store.is_locked(stage, key_start):
            continue
        if any(record.key.startswith(key_start) for record in store.records(stage)):
            yield _removal(workspace, "its artifact has been published")
        elif time.time() - _last_change(workspace) > WORKSPACE_AGE_S:
            yield _removal(workspace, "nobody has worked on it for a week")


def _damaged(store: ArtifactStore) -> Iterator[Removal]:
    for directory in sorted(store.damaged.glob("*")):
        yield _removal(directory, "it was set aside as damaged")


def _removal(path: Path, why: str) -> Removal:
    return Removal(path=path, size=directory_size(path), why=why)


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
