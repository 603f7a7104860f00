"""Training checkpoints that a killed run can be continued from.

A checkpoint counts only with its marker, which is written after everything else in it. Checkpoints of another job
(other rows, start or settings) are removed, never continued from.
"""

import re
import shutil
from pathlib import Path

from leap_core.disk.canonical import canonical_json, sha256_text
from leap_core.disk.files import sha256_file
from leap_core.trainers.base import TrainingJob, micro_batch_size

_MARKER = "whole"
_JOB = "job.txt"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


def job_identity(job: TrainingJob, num_rows: int) -> str:
    """A hash over what decides the weights: the rows, the settings and the seed, and which directory is the start."""
    facts = {
        "rows": sha256_file(job.rows),
        "num_rows": num_rows,
        "start": str(job.start),
        "config": job.config.model_dump(mode="json", exclude={"max_truncated_share"}),
        "micro_batch_size": micro_batch_size(job.config.batch_size, job.execution.micro_batch_size),
        "seed": job.seed,
    }
    return sha256_text(canonical_json(facts))


def open_checkpoints(directory: Path, identity: str) -> Path | None:
    """Make `directory` ready for this job; return its newest whole checkpoint, if there is one."""
    directory.mkdir(parents=True, exist_ok=True)
    job_file = directory / _JOB
    if not job_file.is_file() or job_file.read_text() != identity:
        for path in _checkpoints(directory):
            shutil.rmtree(path)
        job_file.write_text(identity)
    for path in _checkpoints(directory):
        if not (path / _MARKER).is_file():
            shutil.rmtree(path)
    return next(iter(_checkpoints(directory)), None)


def mark_whole(directory: Path, step: int) -> None:
    """Mark the checkpoint of `step` as written to its end."""
    (directory / f"checkpoint-{step}" / _MARKER).touch()


def step_of(checkpoint: Path) -> int:
    """The optimizer step after which it was written."""
    match = _CHECKPOINT.fullmatch(checkpoint.name)
    return int(match.group(1)) if match else 0


def _checkpoints(directory: Path) -> list[Path]:
    """All checkpoints, newest first."""
    found = [path for path in directory.iterdir() if _CHECKPOINT.fullmatch(path.name)]
    return sorted(found, key=step_of, reverse=True)
