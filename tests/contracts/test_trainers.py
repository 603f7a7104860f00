"""What every kind of trainer must do, each on the smallest of students. A new kind is covered once it is in TRAINERS.

Not covered: how well a trained student plays, and training on a GPU.
"""

import shutil
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256

import pytest
from student_models import conversation, make_small_tiny, write_rows

from leap_core.config import ExecutionConfig, StudentConfig, TrainingConfig
from leap_core.errors import UnknownNameError
from leap_core.registry import load_kind
from leap_core.students.base import ActRequest
from leap_core.students.hf import HfStudent
from leap_core.trainers import TRAINERS
from leap_core.trainers.base import TrainingJob

EXECUTION = ExecutionConfig(device="cpu", save_every_steps=2, num_threads=1)


@pytest.fixture(scope="module", params=sorted(TRAINERS))
def trainer(request):
    return load_kind("trainer", request.param, TRAINERS)()


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    return make_small_tiny(tmp_path_factory.mktemp("start"))


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("rows") / "rows.parquet", episodes=6, steps=2)


def make_job(trainer, start, rows, folder, **settings):
    settings = {"method": "full", "precision": "fp32", "learning_rate": 1e-3, "epochs": 3, "batch_size": 3, **settings}
    return TrainingJob(
        rows=rows,
        validation_rows=rows,
        start=start,
        output=folder / "output",
        checkpoints=folder / "checkpoints",
        config=TrainingConfig(trainer=trainer.name, **settings),
        execution=EXECUTION,
        seed=1,
    )


def digests(folder):
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_its_default_settings_are_fine_and_unknown_ones_an_error(trainer):
    trainer.check(TrainingConfig(trainer=trainer.name))
    with pytest.raises(UnknownNameError, match=r"training\.params\.betta"):
        trainer.check(TrainingConfig(trainer=trainer.name, params={"betta": 0.1}))


def test_checking_its_settings_imports_nothing_heavy(trainer):
    """Every command checks them, and TRL alone takes seconds."""
    code = (
        "import sys; from leap_core.config import TrainingConfig; from leap_core.registry import load_kind; "
        "from leap_core.trainers import TRAINERS; "
        f"load_kind('trainer', {trainer.name!r}, TRAINERS).check(TrainingConfig()); "
        "print(*{'torch', 'transformers', 'trl', 'peft', 'datasets'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


def test_what_it_writes_is_a_student_that_has_changed(trainer, start, rows, tmp_path):
    before = digests(start)
    job = make_job(trainer, start, rows, tmp_path)
    trainer.train(job)
    assert digests(start) == before
    assert digests(job.output)["model.safetensors"] != before["model.safetensors"]
    student = HfStudent(job.output, StudentConfig(max_new_tokens=8), EXECUTION, temperature=0)
    asked = ActRequest(slot="e", messages=conversation(0, 1), admissible=None, seed=0)
    assert student.act([asked])[0].error is None


def test_it_accounts_for_what_it_did(trainer, start, rows, tmp_path):
    result = trainer.train(make_job(trainer, start, rows, tmp_path))
    assert result.num_rows + result.num_truncated == 12
    assert result.num_steps == result.log[-1]["step"] == result.kept_step == 12
    assert result.final_loss == result.log[-1]["loss"]
    assert result.validation_loss > 0
    assert result.resumed_from_step is None


def test_it_tells_how_far_it_is(trainer, start, rows, tmp_path):
    told = []
    job = make_job(trainer, start, rows, tmp_path)
    trainer.train(replace(job, progress=lambda line, *, done, left: told.append((line.partition(",")[0], done, left))))
    assert told == [(f"step {step} of 12", step, 12 - step) for step in range(1, 13)]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["full", "lora"])
def test_an_interrupted_run_ends_in_the_same_bytes(method, trainer, start, rows, tmp_path):
    whole, cut = (make_job(trainer, start, rows, tmp_path / name, method=method) for name in ("whole", "cut"))
    result = trainer.train(whole)
    trainer.train(cut)
    shutil.rmtree(cut.output)
    shutil.rmtree(max(cut.checkpoints.glob("checkpoint-*")))
    resumed = trainer.train(cut)
    assert 0 < resumed.resumed_from_step < result.num_steps
    assert digests(cut.output) == digests(whole.output)
    assert resumed.log == result.log


@pytest.mark.slow
def test_it_goes_on_training_its_own_adapter(trainer, start, rows, tmp_path):
    """As the next iteration does: the output is one adapter, beside the base that was there."""
    first, second = tmp_path / "first", tmp_path / "second"
    trainer.train(make_job(trainer, start, rows, first, method="lora"))
    trainer.train(make_job(trainer, first / "output", rows, second, method="lora"))
    before, after = digests(first / "output"), digests(second / "output")
    assert set(after) == set(before)
    assert [path.name for path in (second / "output").iterdir() if path.is_dir()] == ["base"]
    assert {name for name in after if after[name] != before[name]} == {"adapter_model.safetensors"}
