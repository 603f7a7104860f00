"""Deleting what no experiment needs any more."""

from collections.abc import Iterator
from pathlib import Path

from flows.opening import artifacts_of, experiment_directory
from flows.summary import SUMMARY, read_summary
from leap_core.artifacts import ArtifactStore
from leap_core.lineage import gc


def collect_garbage(home: Path, *, delete: bool) -> Iterator[str]:
    """Say what no experiment's last run used, and delete it if asked to."""
    store = ArtifactStore(artifacts_of(home))
    names = [path.parent.name for path in experiment_directory(home, "").glob(f"*/{SUMMARY}")]
    used = {stage.artifact for name in names for stage in read_summary(home, name).stages}
    keep = [record.ref for record in store.records() if record.ref.id in used]
    removed = gc(store, keep, dry_run=not delete)
    for item in removed:
        yield f"{'deleted' if delete else 'unused'}  {item.size / 1e6:8.1f} MB  {item.path}"
    total = sum(item.size for item in removed) / 1e6
    yield f"{total:.1f} MB in {len(removed)} places" + ("" if delete or not removed else "; --delete removes them.")
