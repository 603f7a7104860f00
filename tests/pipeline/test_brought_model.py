"""A model that somebody brings is looked at before anything is made, started or paid for; what is published opens."""

import re
import shutil

import pytest
from brought_models import edit_json, edit_weights, write_adapter, write_brought
from leap_command import SMALL, leap_here

from leap_core.store.artifacts import ArtifactStore
from leap_core.trainers import TRAINERS
from leap_core.trainers.base import TrainingResult

SETTINGS = (*SMALL, "student.params={}", "student.max_new_tokens=8", "training.max_length=512", "num_iterations=0")
UP = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_brought(tmp_path_factory.mktemp("brought") / "whole", max_position_embeddings=4096)


@pytest.fixture
def broken(whole, tmp_path):
    model = edit_weights(shutil.copytree(whole, tmp_path / "broken"), lambda weights: weights.pop(UP))
    return edit_json(model, "config.json", attn_implementation="flash_attention_2")


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("run", "smoke"), marks=pytest.mark.slow),
        ("plan", "smoke"),
        pytest.param(("eval", "base", "--preset", "smoke"), marks=pytest.mark.slow),
        ("eval", "base", "--preset", "smoke", "--plan"),
    ],
)
def test_all_that_is_wrong_is_told_before_anything_is_made(broken, tmp_path, command):
    home = tmp_path / "home"
    done = leap_here(*command, "--home", home, settings=(*SETTINGS, f"student.model={broken}"))
    assert done.returncode == 1
    told = done.stderr[done.stderr.index("error: ") :].splitlines()
    assert str(broken) in told[0]
    assert [line.partition(":")[0] for line in told[1:]] == ["  config", "  weights"]
    assert "Traceback" not in done.stderr
    assert list(ArtifactStore(home / "artifacts").records()) == []


@pytest.mark.slow
def test_training_as_it_is_set_is_looked_at_too(whole, tmp_path):
    settings = (*SETTINGS, f"student.model={whole}", "training.method=lora", 'training.lora.target_modules=["q_prj"]')
    done = leap_here("run", "smoke", "--home", tmp_path, settings=settings)
    assert done.returncode == 1
    assert re.search(r"training\.lora\.target_modules.*q_prj.*'q_proj'", done.stderr)
    assert (
        leap_here("eval", "base", "--preset", "smoke", "--plan", "--home", tmp_path, settings=settings).returncode == 0
    )


@pytest.mark.parametrize("model", ["tiny", "bundled"])
def test_our_own_students_are_looked_at_only_for_modules_that_somebody_named(tmp_path, model):
    settings = (*SMALL, "student.params={}", f"student.model={model}", "training.method=lora")
    named = leap_here(
        *("plan", "smoke", "--home", tmp_path), settings=(*settings, 'training.lora.target_modules=["embed_tokens"]')
    )
    assert named.returncode == 1
    assert re.search(r"training\.lora\.target_modules.*model\.embed_tokens", named.stderr)
    assert leap_here("plan", "smoke", "--home", tmp_path, settings=settings).returncode == 0


def test_what_no_run_fails_for_is_noted(whole, tmp_path):
    settings = (*SETTINGS, f"student.model={whole}", "training.max_length=8192")
    done = leap_here("plan", "smoke", "--no-measure", "--home", tmp_path, settings=settings)
    (note,) = (line for line in done.stdout.splitlines() if line.startswith(f"note: {whole}: "))
    assert done.returncode == 0
    assert all(part in note for part in ("training.max_length", "8,192", "4,096"))


def test_a_judgement_of_a_model_at_an_endpoint_needs_no_weights(tmp_path):
    settings = (*SMALL, "student.params={}", "student.kind=openai", "student.model=gpt-4o")
    done = leap_here("eval", "base", "--preset", "smoke", "--plan", "--home", tmp_path, settings=settings)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_whole_model_is_trained_and_played(whole, tmp_path, method):
    settings = (*SETTINGS, f"student.model={whole}", f"training.method={method}", "training.max_length=4096")
    done = leap_here("run", "smoke", "--home", tmp_path, settings=settings)
    assert done.returncode == 0, done.stderr
    store = ArtifactStore(tmp_path / "artifacts")
    (trained,) = store.records("training")
    looked = leap_here("doctor", "model", store.path(trained.ref))
    assert looked.returncode == 0, looked.stdout


class ForgetfulTrainer:
    """Writes a model that lacks a weight."""

    name = "forgetful"

    @classmethod
    def check(cls, config):
        """Every setting will do."""

    def train(self, job):
        shutil.copytree(job.start, job.output, dirs_exist_ok=True)
        edit_weights(job.output, lambda weights: weights.pop(UP))
        return TrainingResult(
            num_rows=1,
            num_steps=1,
            num_warmup=0,
            kept_step=1,
            peak_learning_rate=0.0,
            num_truncated=0,
            final_loss=0.0,
            validation_loss=None,
            resumed_from_step=None,
        )


@pytest.mark.slow
def test_a_training_publishes_nothing_that_does_not_open(whole, tmp_path, monkeypatch):
    monkeypatch.setitem(TRAINERS, "forgetful", f"{__name__}:ForgetfulTrainer")
    settings = (*SETTINGS, f"student.model={whole}", "training.trainer=forgetful")
    done = leap_here("run", "smoke", "--home", tmp_path, settings=settings)
    assert done.returncode == 1
    assert UP in done.stderr
    assert "training" not in {record.stage for record in ArtifactStore(tmp_path / "artifacts").records()}


def test_doctor_tells_what_a_model_is(whole):
    done = leap_here("doctor", "model", whole)
    lines = {line[5:19].strip(): line for line in done.stdout.splitlines()}
    assert (done.returncode, lines["model"]) == (0, f"ok   model          {whole}: can be played and trained")
    assert "llama, 2 layers" in lines["family"]
    assert "4,096 tokens" in lines["context"]
    assert "F32" in lines["weights"]


def test_doctor_tells_all_that_is_wrong_with_a_model(broken):
    done = leap_here("doctor", "model", broken)
    assert done.returncode == 1
    bad = [line[5:19].strip() for line in done.stdout.splitlines() if line.startswith("BAD")]
    assert bad == ["model", "config", "weights"]


def test_doctor_tells_what_can_only_be_played(whole, tmp_path):
    from peft import IA3Config

    config = IA3Config(task_type="CAUSAL_LM", target_modules=["q_proj"], feedforward_modules=[])
    done = leap_here("doctor", "model", write_adapter(tmp_path / "adapter", whole, config))
    assert done.returncode == 0, done.stdout
    assert any(line.startswith("note adapter") and "'IA3'" in line for line in done.stdout.splitlines())


@pytest.mark.parametrize("arguments", [("model",), ("alfworld", "/models/x"), ("model", "/no/such")])
def test_doctor_wants_one_model(arguments):
    done = leap_here("doctor", *arguments)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert ("error: " in done.stderr) == (arguments != ("model", "/no/such"))
