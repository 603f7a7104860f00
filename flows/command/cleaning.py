"""Deleting what no experiment needs any more."""

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from flows.presets import artifacts_of, experiment_directory
from flows.results.summary import SUMMARY, read_summary
from leap_core.store.artifacts import ArtifactStore
from leap_core.store.lineage import WORKSPACE_AGE_S, gc, left_alone, lineage
from leap_core.store.records import ArtifactRecord
from leap_core.types import ArtifactRef
from tasks import STAGES
from tasks.base_student import BASE
from tasks.evaluation import EVALUATION


def collect_garbage(home: Path, *, delete: bool) -> Iterator[str]:
    """Say what no experiment's last run used, and delete it if asked to.

    What was made since then, by a run that goes on or broke off, stays for a week. Evaluations of models that stay, or
    were never trained here, stay with them: they are results, and small.
    """
    store = ArtifactStore(artifacts_of(home), make=False)
    ended = {path.parent.name: path.stat().st_mtime for path in experiment_directory(home, "").glob(f"*/{SUMMARY}")}
    used = {stage.artifact for name in ended for stage in read_summary(home, name).stages}
    keep = [
        record.ref
        for record in store.records()
        if record.ref.id in used or _is_unfinished(record, ended.get(record.experiment, 0.0))
    ]
    removed = gc(store, [*keep, *_judgements(store, keep)], dry_run=not delete, stages=STAGES)
    for item in removed:
        yield f"{'deleted' if delete else 'unused'}  {item.size / 1e6:8.1f} MB  {item.path}"
    for stranger in left_alone(store, STAGES):
        yield f"left alone         {stranger.path}: it {stranger.why}"
    total = sum(item.size for item in removed) / 1e6
    yield f"{total:.1f} MB in {len(removed)} place{'' if len(removed) == 1 else 's'}" + (
        "" if delete or not removed else "; --delete removes them."
    )


def _judgements(store: ArtifactStore, keep: list[ArtifactRef]) -> Iterator[ArtifactRef]:
    """Evaluations that `leap eval` may have made, of models that are not going to be deleted."""
    kept = {ancestor.key for ref in keep for ancestor in [ref, *lineage(store, ref)]}
    for record in store.records(EVALUATION.name):
        model = record.inputs.get("model")
        if model is None or model.stage == BASE.name or model.key in kept:
            yield record.ref


def _is_unfinished(record: ArtifactRecord, ended_at: float) -> bool:
    """Whether an artifact is younger than the end of its experiment's last whole run, and may be waited for."""
    made_at = datetime.fromisoformat(record.created_at).timestamp()
    return made_at > max(ended_at, time.time() - WORKSPACE_AGE_S)
