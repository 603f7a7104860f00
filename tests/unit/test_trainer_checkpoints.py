"""Which checkpoints a training goes on from: those of the same job alone, and whole ones alone."""

from dataclasses import replace

import pytest

from leap_core.config import ExecutionConfig, TrainingConfig
from leap_core.trainers.base import TrainingJob
from leap_core.trainers.checkpoints import job_identity, mark_whole, open_checkpoints, step_of


@pytest.fixture
def job(tmp_path):
    (tmp_path / "rows").write_text("rows")
    return TrainingJob(
        rows=tmp_path / "rows",
        validation_rows=None,
        start="org/model",
        output=tmp_path / "output",
        checkpoints=tmp_path / "checkpoints",
        config=TrainingConfig(batch_size=8),
        execution=ExecutionConfig(),
        seed=0,
    )


def change(job, what):
    if what == "micro batch":
        return replace(job, execution=ExecutionConfig(micro_batch_size=2))
    if what == "params":
        return replace(job, config=TrainingConfig(batch_size=8, params={"beta": 0.1}))
    return replace(job, **{"seed": {"seed": 1}, "start": {"start": "org/other"}}[what])


@pytest.mark.parametrize("what", ["micro batch", "params", "seed", "start"])
def test_what_decides_the_weights_makes_another_job(what, job):
    assert job_identity(change(job, what), 9) != job_identity(job, 9)


def test_rows_are_known_by_what_they_hold(job):
    identity = job_identity(job, 9)
    assert job_identity(replace(job, rows=job.rows.rename(job.rows.with_name("moved"))), 9) == identity
    job.rows.write_text("other rows")
    assert job_identity(job, 9) != identity


def test_where_and_how_fast_it_runs_makes_no_other_job(job, tmp_path):
    elsewhere = replace(
        job,
        output=tmp_path / "a",
        checkpoints=tmp_path / "b",
        execution=ExecutionConfig(save_every_steps=1, num_threads=1, micro_batch_size=15),
        config=TrainingConfig(batch_size=8, max_truncated_share=0.5),
    )
    assert job_identity(elsewhere, 9) == job_identity(job, 9)


def write_checkpoint(folder, step, whole=True):
    (folder / f"checkpoint-{step}").mkdir(parents=True)
    if whole:
        mark_whole(folder, step)


def test_the_newest_whole_checkpoint_is_found_and_torn_ones_are_removed(tmp_path):
    assert open_checkpoints(tmp_path, "job") is None
    for step in (9, 10, 100):
        write_checkpoint(tmp_path, step, whole=step < 100)
    found = open_checkpoints(tmp_path, "job")
    assert step_of(found) == 10
    assert not (tmp_path / "checkpoint-100").exists()


def test_another_job_begins_anew(tmp_path):
    open_checkpoints(tmp_path, "job")
    write_checkpoint(tmp_path, 5)
    assert open_checkpoints(tmp_path, "another") is None
    assert open_checkpoints(tmp_path, "job") is None
