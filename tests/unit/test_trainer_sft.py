"""Fine-tuning: it learns, it resumes to the same weights, and its output is the same bytes everywhere."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from families import make_family
from safetensors.torch import load_file, save_file
from student_models import answer, conversation, make_bpe_tokenizer, make_model, make_small_tiny, write_rows

from leap_core.config import ExecutionConfig, StudentConfig, TrainingConfig
from leap_core.errors import ArtifactError, StageFailedError, StudentError
from leap_core.students.base import ActRequest
from leap_core.students.encoding import load_tokenizer
from leap_core.students.hf import HfStudent
from leap_core.students.loading import wrapping_in_adapter
from leap_core.trainers.base import TrainingJob, count_updates
from leap_core.trainers.export import export_adapter
from leap_core.trainers.rows import read_rows
from leap_core.trainers.sft import SftTrainer

pytestmark = pytest.mark.filterwarnings("error:.*is_gradient_checkpointing:FutureWarning")
APART = {"pack_episodes": False}
LORA = {"method": "lora", "lora": {"rank": 4, "alpha": 8, "dropout": 0.1}}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return make_small_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("rows") / "rows.parquet", episodes=6, steps=3)


def make_job(start, rows, folder, save_every_steps=1000, validation_rows=None, micro_batch_size=8, **settings):
    settings = {"method": "full", "precision": "fp32", "learning_rate": 3e-3, "epochs": 2, "batch_size": 6, **settings}
    return TrainingJob(
        rows=rows,
        validation_rows=validation_rows,
        start=start,
        output=folder / "output",
        checkpoints=folder / "checkpoints",
        config=TrainingConfig(**settings),
        execution=ExecutionConfig(
            device="cpu", save_every_steps=save_every_steps, num_threads=1, micro_batch_size=micro_batch_size
        ),
        seed=3,
    )


def digests(folder):
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def play(model, episode, turn):
    student = HfStudent(model, StudentConfig(max_new_tokens=40), ExecutionConfig(device="cpu"), temperature=0)
    asked = ActRequest(slot="e", messages=conversation(episode, turn), admissible=None, seed=0)
    return student.act([asked])[0].text


def test_a_student_learns_to_say_what_it_was_taught_and_to_stop(tiny, rows, tmp_path):
    result = SftTrainer().train(make_job(tiny, rows, tmp_path, epochs=60, learning_rate=1e-2, validation_rows=rows))
    assert result.num_rows == 18
    assert result.num_steps == 180
    assert result.final_loss < 0.05
    assert result.validation_loss < 0.05
    assert result.log[-1]["step"] == 180
    assert [entry["step"] for entry in result.log] == sorted(entry["step"] for entry in result.log)
    for episode, turn in ((0, 0), (2, 1), (3, 2)):
        assert play(tmp_path / "output", episode, turn) == answer(episode, turn)


@pytest.mark.slow
def test_packing_and_the_size_of_micro_batches_leave_the_loss_as_it_is(tiny, rows, tmp_path):
    """All six episodes in one update: the mean over all answer tokens, however they are laid out."""
    settings = {"epochs": 1, "warmup_steps": 0}
    losses = [
        SftTrainer().train(make_job(tiny, rows, tmp_path / name, **settings, **more)).final_loss
        for name, more in {
            "packed": {"batch_size": 18, "micro_batch_size": 18},
            "packed_by_two": {"batch_size": 18, "micro_batch_size": 2},
            "apart": {"batch_size": 18, "params": APART, "micro_batch_size": 18},
            "apart_by_three": {"batch_size": 18, "params": APART, "micro_batch_size": 3},
        }.items()
    ]
    assert losses == pytest.approx([losses[0]] * 4, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, LORA], ids=["full", "lora"])
def test_the_same_job_gives_the_same_bytes_wherever_it_runs(settings, tiny, rows, tmp_path):
    for name in ("first", "a/second"):
        start = tmp_path / name / "start"
        shutil.copytree(tiny, start)
        SftTrainer().train(make_job(start, rows, tmp_path / name, **settings))
    first, second = tmp_path / "first" / "output", tmp_path / "a" / "second" / "output"
    assert digests(first) == digests(second)
    for path in first.rglob("*"):
        if path.is_file():
            assert str(tmp_path).encode() not in path.read_bytes(), path
    allowed = {".json", ".safetensors", ".jinja"}
    assert {path.suffix for path in first.rglob("*") if path.is_file()} <= allowed


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"micro_batch_size": 2}], ids=["full", "in_chunks"])
def test_a_run_goes_on_from_its_last_whole_checkpoint_to_the_same_weights(settings, tiny, rows, tmp_path):
    whole = SftTrainer().train(make_job(tiny, rows, tmp_path / "whole", **settings))
    job = make_job(tiny, rows, tmp_path / "cut", save_every_steps=2, **settings)
    SftTrainer().train(job)
    torn = job.checkpoints / "checkpoint-6"
    (torn / "whole").unlink()
    (torn / "trainer_state.json").write_text("{")
    shutil.rmtree(job.output)
    resumed = SftTrainer().train(job)
    assert resumed.resumed_from_step == 4
    assert digests(job.output) == digests(tmp_path / "whole" / "output")
    assert resumed.log == whole.log
    assert resumed.num_steps == whole.num_steps == 6


def train_briefly(start, rows, folder, **settings):
    """Four updates of all rows each; the weights' hash."""
    job = make_job(start, rows, folder, warmup_steps=1, batch_size=18, micro_batch_size=18, epochs=4, **settings)
    SftTrainer().train(job)
    return sha256((job.output / "model.safetensors").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def briefly_trained(tiny, rows, tmp_path_factory):
    return train_briefly(tiny, rows, tmp_path_factory.mktemp("briefly"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"weight_decay": 0.5},
        {"max_grad_norm": 1e-3},
        {"lr_scheduler": "constant"},
        {"lr_scheduler": "linear"},
        {"warmup_share": 0.9},
        {"precision": "bf16"},
        {"params": APART},
    ],
    ids=str,
)
def test_each_setting_reaches_the_weights(settings, briefly_trained, tiny, rows, tmp_path):
    assert train_briefly(tiny, rows, tmp_path, **settings) != briefly_trained


@pytest.mark.slow
def test_another_seed_trains_in_another_order(tiny, rows, tmp_path):
    jobs = [replace(make_job(tiny, rows, tmp_path / str(seed), epochs=1, batch_size=2), seed=seed) for seed in (3, 4)]
    for job in jobs:
        SftTrainer().train(job)
    assert digests(jobs[0].output)["model.safetensors"] != digests(jobs[1].output)["model.safetensors"]


def test_a_finished_run_only_writes_its_output_again(tiny, rows, tmp_path):
    job = make_job(tiny, rows, tmp_path, save_every_steps=2)
    first = SftTrainer().train(job)
    before = digests(job.output)
    shutil.rmtree(job.output)
    again = SftTrainer().train(job)
    assert digests(job.output) == before
    assert again.final_loss == first.final_loss


@pytest.mark.slow
def test_checkpoints_of_another_job_are_not_continued(tiny, rows, tmp_path):
    SftTrainer().train(make_job(tiny, rows, tmp_path, save_every_steps=2))
    result = SftTrainer().train(make_job(tiny, rows, tmp_path, save_every_steps=2, learning_rate=1e-3))
    assert result.resumed_from_step is None


@pytest.mark.slow
def test_a_killed_run_ends_at_the_same_weights(tiny, rows, tmp_path):
    script = tmp_path / "job.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        f"sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1])]!r}\n"
        "from test_trainer_sft import SftTrainer, make_job\n"
        f"job = make_job(Path({str(tiny)!r}), Path({str(rows)!r}), Path(sys.argv[1]), 5, epochs=30)\n"
        "SftTrainer().train(job)\n"
    )
    subprocess.run([sys.executable, script, tmp_path / "whole"], check=True)
    process = subprocess.Popen([sys.executable, script, tmp_path / "cut"])
    deadline = time.monotonic() + 120
    while not (tmp_path / "cut" / "checkpoints" / "checkpoint-20" / "whole").exists():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "cut" / "output").exists()
    subprocess.run([sys.executable, script, tmp_path / "cut"], check=True)
    assert digests(tmp_path / "cut" / "output") == digests(tmp_path / "whole" / "output")


@pytest.mark.slow
def test_an_adapter_is_trained_on_and_its_base_goes_with_it(tiny, rows, tmp_path):
    first = make_job(tiny, rows, tmp_path / "first", **LORA)
    SftTrainer().train(first)
    second = make_job(first.output, rows, tmp_path / "second", **LORA)
    SftTrainer().train(second)
    settings = json.loads((second.output / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == "base"
    assert settings["target_modules"] == sorted(settings["target_modules"])
    base, carried = (tiny / "model.safetensors"), second.output / "base" / "model.safetensors"
    assert carried.read_bytes() == base.read_bytes()
    assert not carried.samefile(base)
    assert carried.samefile(first.output / "base" / "model.safetensors")
    adapters = [job.output / "adapter_model.safetensors" for job in (first, second)]
    assert adapters[0].read_bytes() != adapters[1].read_bytes()
    assert adapters[0].stat().st_size == adapters[1].stat().st_size
    moved = tmp_path / "elsewhere"
    shutil.copytree(second.output, moved)
    shutil.rmtree(tmp_path / "first")
    assert play(moved, 0, 1) == play(second.output, 0, 1) != play(tiny, 0, 1)


def test_only_the_trained_adapter_is_written(tiny, tmp_path):
    """A trainer may put a frozen copy beside it, as its reference."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    config = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    with wrapping_in_adapter():
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny), config)
        model.add_adapter("ref", config)
    export_adapter(model, load_tokenizer(tiny), tmp_path / "output", tiny)
    assert [path.name for path in (tmp_path / "output").iterdir() if path.is_dir()] == ["base"]


@pytest.mark.slow
def test_all_weights_can_be_trained_from_an_adapter(tiny, rows, tmp_path):
    first = make_job(tiny, rows, tmp_path / "first", **LORA)
    SftTrainer().train(first)
    SftTrainer().train(make_job(first.output, rows, tmp_path / "second"))
    assert not (tmp_path / "second" / "output" / "adapter_config.json").exists()
    assert play(tmp_path / "second" / "output", 0, 1)


@pytest.mark.slow
def test_rows_that_are_too_long_are_left_out_and_counted(tiny, tmp_path):
    long = write_rows(
        tmp_path / "rows.parquet", 4, 2, lambda episode, step: answer(episode, step) + " x" * 600 * (episode == 1)
    )
    for name, packed in (("packed", True), ("apart", False)):
        said = []
        job = make_job(
            tiny, long, tmp_path / name, max_length=500, params={"pack_episodes": packed}, max_truncated_share=0.25
        )
        result = SftTrainer().train(replace(job, log=said.append))
        assert (result.num_rows, result.num_truncated) == (6, 2)
        assert "2 of 8 rows (25%)" in said[0]


def test_more_rows_left_out_than_are_allowed_end_the_training_before_it_begins(tiny, rows, tmp_path):
    lengths = [row.length for row in read_rows(rows, load_tokenizer(tiny), 10_000).rows]
    job = make_job(tiny, rows, tmp_path, max_length=sorted(lengths)[8])
    with pytest.raises(StageFailedError, match=r"max_length.*max_truncated_share"):
        SftTrainer().train(job)
    assert not job.checkpoints.exists()


def test_nothing_to_train_on_is_an_error(tiny, rows, tmp_path):
    with pytest.raises(StageFailedError, match="max_length"):
        SftTrainer().train(make_job(tiny, rows, tmp_path, max_length=16, max_truncated_share=1.0))


def test_a_training_that_diverges_names_its_step_and_writes_nothing(tiny, rows, tmp_path):
    start = shutil.copytree(tiny, tmp_path / "start")
    weights = load_file(start / "model.safetensors")
    save_file({name: weight * 1e30 for name, weight in weights.items()}, start / "model.safetensors", {"format": "pt"})
    job = make_job(start, rows, tmp_path)
    with pytest.raises(StageFailedError, match=r"diverged at step 1 of 6.*learning_rate"):
        SftTrainer().train(job)
    assert not job.output.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "learning_rate"), [("float32", 1e38), ("float16", 1e5)], ids=["in_training", "as_it_is_stored"]
)
def test_a_last_step_that_diverges_publishes_nothing(dtype, learning_rate, rows, tmp_path):
    """The loss of a step is that before its update, so no loss tells of the last one."""
    import torch

    model, _ = make_family("llama3", tmp_path / "start")
    model.to(getattr(torch, dtype)).save_pretrained(tmp_path / "start")
    job = make_job(tmp_path / "start", rows, tmp_path, warmup_steps=0, epochs=1, batch_size=18)
    # Beyond what settings allow: so large a step is the quickest way to weights that are no numbers.
    job = replace(job, config=TrainingConfig.model_construct(**dict(job.config) | {"learning_rate": learning_rate}))
    with pytest.raises(StageFailedError, match=f"diverged at its last step.*{dtype}"):
        SftTrainer().train(job)
    assert not job.output.exists()


def test_rows_that_the_model_cannot_read_are_named_before_training(rows, tmp_path):
    make_family("gpt2", tmp_path / "short", n_positions=88)
    with pytest.raises(StudentError, match=r"training\.max_length=88"):
        SftTrainer().train(make_job(tmp_path / "short", rows, tmp_path))
    make_family("llama3", tmp_path / "narrow", vocab_size=300)
    with pytest.raises(StudentError, match="rows for 300 tokens only"):
        SftTrainer().train(make_job(tmp_path / "narrow", rows, tmp_path))


@pytest.mark.slow
def test_two_limits_that_share_a_key_train_alike(tiny, rows, tmp_path):
    """Of a batch of 8, limits of 4 and 5 both make micro batches of 4, however few sequences there are."""
    jobs = [
        make_job(tiny, rows, tmp_path / str(limit), batch_size=8, micro_batch_size=limit, max_length=1024)
        for limit in (4, 5)
    ]
    five = write_rows(tmp_path / "five.parquet", episodes=5, steps=1)
    for job in jobs:
        SftTrainer().train(replace(job, rows=five))
    assert digests(jobs[0].output) == digests(jobs[1].output)


@pytest.mark.slow
@pytest.mark.parametrize("packed", [True, False])
def test_a_batch_counts_rows_whatever_the_packing(packed, tiny, rows, tmp_path):
    """18 rows in batches of 4: four of 4 and one of 2, in each pass."""
    for micro in (1, 2, 4):
        job = make_job(
            tiny,
            rows,
            tmp_path / str(micro),
            batch_size=4,
            micro_batch_size=micro,
            params={"pack_episodes": packed},
            epochs=3,
        )
        assert SftTrainer().train(job).num_steps == 15 == count_updates(18, job.config)


@pytest.mark.slow
def test_which_rows_are_in_a_batch_hangs_on_its_size_alone(tiny, tmp_path):
    """20 rows in batches of 6, two passes: each update has the same loss, whatever is on the device at once."""
    rows = write_rows(
        tmp_path / "rows.parquet", 10, 2, lambda episode, step: answer(episode, step) + " x" * 9 * episode
    )
    told = {}
    for micro in (1, 2, 3, 6):
        lines = told.setdefault(micro, [])

        def tell(line, *, done, left, lines=lines):
            lines.append(line)

        job = make_job(tiny, rows, tmp_path / str(micro), micro_batch_size=micro, learning_rate=1e-4)
        assert SftTrainer().train(replace(job, progress=tell)).num_steps == 8
    losses = {micro: [float(line.rpartition(" ")[2]) for line in lines] for micro, lines in told.items()}
    for micro in (1, 2, 3):
        assert losses[micro] == pytest.approx(losses[6], abs=0.002)
    assert max(losses[6][:4]) - min(losses[6][:4]) > 0.01, "updates differ, so that another order would be seen"
    assert losses[6][:3] != pytest.approx(losses[6][4:7], abs=0.002), "each pass has an order of its own"


@pytest.mark.slow
def test_the_validation_loss_counts_tokens_whatever_the_micro_batch(tiny, rows, tmp_path):
    """Answers of very different lengths: a mean over batches would hang on who is in one."""
    uneven = write_rows(
        tmp_path / "uneven.parquet", 5, 1, lambda episode, step: answer(episode, step) + " x" * 40 * episode
    )
    losses = [
        SftTrainer()
        .train(
            make_job(
                tiny,
                rows,
                tmp_path / f"{micro}-{packed}",
                validation_rows=uneven,
                epochs=1,
                # Far too small to move anything: micro batches round sums of training, too.
                learning_rate=1e-9,
                micro_batch_size=micro,
                params={"pack_episodes": packed},
            )
        )
        .validation_loss
        for micro, packed in ((1, True), (3, True), (6, True), (2, False))
    ]
    assert losses == pytest.approx([losses[0]] * 4, rel=1e-5)


@pytest.mark.slow
def test_the_validation_loss_of_the_rows_trained_on_is_the_training_loss(tiny, rows, tmp_path):
    settings = {"batch_size": 18, "epochs": 1, "learning_rate": 1e-9}
    result = SftTrainer().train(make_job(tiny, rows, tmp_path, validation_rows=rows, **settings))
    assert result.validation_loss == pytest.approx(result.final_loss, rel=1e-4)


@pytest.mark.slow
def test_the_validation_loss_is_measured_without_dropout(tiny, rows, tmp_path):
    """Weights that do not move have one loss, whichever of them dropout would leave out."""
    first = make_job(tiny, rows, tmp_path / "first", **LORA, epochs=10, learning_rate=3e-2)
    SftTrainer().train(first)
    settings = {**LORA, "validation_rows": rows, "epochs": 1, "learning_rate": 1e-9}
    losses = [
        SftTrainer().train(replace(make_job(first.output, rows, tmp_path / str(seed), **settings), seed=seed))
        for seed in (1, 2)
    ]
    assert losses[0].validation_loss == pytest.approx(losses[1].validation_loss, rel=1e-5)


@pytest.mark.slow
def test_the_weights_are_kept_where_the_validation_loss_was_lowest(tiny, rows, tmp_path):
    """Taught one answer, validated on others: from some update on it only gets worse."""
    other = write_rows(tmp_path / "other.parquet", 6, 3, lambda episode, step: "REASON: no.\nACTION: look")
    settings = {"epochs": 20, "warmup_steps": 0, "validation_rows": rows, "keep_best_every": 5}
    first = make_job(tiny, rows, tmp_path / "first", epochs=20, learning_rate=1e-2)
    SftTrainer().train(first)
    best = SftTrainer().train(make_job(first.output, other, tmp_path / "best", **settings))
    last = SftTrainer().train(
        make_job(first.output, other, tmp_path / "last", **(settings | {"keep_best_every": None}))
    )
    assert (best.kept_step, best.num_steps) == (5, 60)
    assert last.kept_step == last.num_steps == 60
    assert best.validation_loss < last.validation_loss


@pytest.mark.slow
def test_a_run_that_keeps_the_best_goes_on_to_the_same_weights(tiny, rows, tmp_path):
    settings = {"validation_rows": rows, "keep_best_every": 2}
    whole = SftTrainer().train(make_job(tiny, rows, tmp_path / "whole", **settings))
    job = make_job(tiny, rows, tmp_path / "cut", **settings)
    SftTrainer().train(job)
    (job.checkpoints / "checkpoint-6" / "whole").unlink()
    shutil.rmtree(job.output)
    resumed = SftTrainer().train(job)
    assert resumed.resumed_from_step == 4
    assert (resumed.kept_step, resumed.validation_loss) == (whole.kept_step, whole.validation_loss)
    assert digests(job.output) == digests(tmp_path / "whole" / "output")


def test_keeping_the_best_without_validation_rows_is_an_error(tiny, rows, tmp_path):
    with pytest.raises(StageFailedError, match=r"keep_best_every.*validation_fraction"):
        SftTrainer().train(make_job(tiny, rows, tmp_path, keep_best_every=2))


@pytest.mark.slow
def test_a_training_that_ends_within_its_warm_up_says_so(tiny, rows, tmp_path):
    said = []
    short = SftTrainer().train(replace(make_job(tiny, rows, tmp_path / "short"), log=said.append))
    assert (short.num_steps, short.num_warmup) == (6, 10)
    assert short.peak_learning_rate == pytest.approx(3e-3 * 5 / 10)
    assert "6 updates ends within its warm-up of 10" in said[0]
    said.clear()
    share = replace(make_job(tiny, rows, tmp_path / "share", warmup_share=0.2), log=said.append)
    result = SftTrainer().train(share)
    assert (result.num_warmup, said) == (2, [])
    assert result.peak_learning_rate == pytest.approx(3e-3)


def test_a_model_whose_advice_on_sampling_cannot_be_saved_is_trained_all_the_same(tiny, rows, tmp_path):
    start = shutil.copytree(tiny, tmp_path / "start")
    (start / "generation_config.json").write_text(json.dumps({"do_sample": False, "temperature": 0.9}))
    job = make_job(start, rows, tmp_path, save_every_steps=2)
    SftTrainer().train(job)
    assert "temperature" not in json.loads((job.output / "generation_config.json").read_text())


def test_a_model_that_rotates_by_the_longest_row_is_not_trained_beyond_its_first_length(rows, tmp_path):
    make_family("phi3-long", tmp_path / "start")
    with pytest.raises(StudentError, match=r"training\.max_length=130"):
        SftTrainer().train(make_job(tmp_path / "start", rows, tmp_path, max_length=1000))


@pytest.mark.slow
def test_another_micro_batch_does_not_go_on_from_a_checkpoint(tiny, rows, tmp_path):
    job = make_job(tiny, rows, tmp_path, save_every_steps=2, batch_size=4, micro_batch_size=4)
    SftTrainer().train(job)
    other = replace(job, execution=job.execution.with_(micro_batch_size=2))
    assert SftTrainer().train(other).resumed_from_step is None
    assert SftTrainer().train(other).resumed_from_step is not None


def test_rows_that_cannot_be_read_are_an_error(tiny, tmp_path):
    with pytest.raises(ArtifactError, match="missing"):
        SftTrainer().train(make_job(tiny, tmp_path / "missing.parquet", tmp_path))


def test_a_missing_start_is_an_error(rows, tmp_path):
    with pytest.raises(StudentError):
        SftTrainer().train(make_job(tmp_path / "nothing", rows, tmp_path))


@pytest.mark.slow
def test_a_model_with_sliding_windows_is_trained_on_separate_rows(rows, tmp_path):
    """Packing is asked for, but cannot be: the updates are the same, and the model still learns."""
    tokenizer = make_bpe_tokenizer()
    start = tmp_path / "start"
    make_model("mistral", len(tokenizer), sliding_window=16, initializer_range=0.02).save_pretrained(start)
    tokenizer.save_pretrained(start)
    result = SftTrainer().train(make_job(start, rows, tmp_path, epochs=8))
    assert result.num_steps == 24
    assert result.log[-1]["loss"] < result.log[0]["loss"]


@pytest.mark.slow
def test_a_mixture_of_experts_plays_without_the_router_outputs_of_its_training(rows, tmp_path):
    make_family("qwen3-moe", tmp_path / "start")
    SftTrainer().train(make_job(tmp_path / "start", rows, tmp_path, epochs=1))
    before, after = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("start", "output"))
    assert after["output_router_logits"] == before["output_router_logits"] is False


def test_half_precision_weights_stay_what_they_were_stored_as(rows, tmp_path):
    import torch
    from safetensors.torch import load_file

    tokenizer = make_bpe_tokenizer()
    start = tmp_path / "start"
    make_model("llama", len(tokenizer)).to(torch.bfloat16).save_pretrained(start)
    tokenizer.save_pretrained(start)
    SftTrainer().train(make_job(start, rows, tmp_path, precision="bf16"))
    kinds = {tensor.dtype for tensor in load_file(tmp_path / "output" / "model.safetensors").values()}
    assert kinds == {torch.bfloat16}
    assert json.loads((tmp_path / "output" / "config.json").read_text())["dtype"] == "bfloat16"
