"""The whole loop: what a run prints, what a second one makes again, and that nothing but its settings decides."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from leap_command import QUIET, copy_home, digests, last_json, leap, leap_here, shared_server, states

from flows.leap import leap as leap_flow
from leap_core.errors import ArtifactError
from leap_core.method.tables import read_trajectories
from leap_core.store.artifacts import ArtifactStore

pytestmark = pytest.mark.slow

SETTINGS = ["execution.num_threads=1", "execution.env_workers=0"]
STAGES = [
    ("specs", None), ("privileged", None), ("base", None), ("demonstrations", 0), ("dataset", 0), ("training", 0),
    ("specs", None), ("evaluation", 0),
    ("rollout", 1), ("correction", 1), ("dataset", 1), ("training", 1), ("evaluation", 1),
    ("specs", None), ("evaluation", 0),
]  # fmt: skip


@pytest.fixture
def copied(undisturbed, tmp_path):
    """A home of the test's own that holds what an undisturbed run has made."""
    return copy_home(undisturbed.home, tmp_path / "home")


def run(home, *overrides):
    return leap_flow("smoke", [*SETTINGS, *overrides], str(home))


def computed(summary):
    return {artifact for artifact, state in states(summary).items() if state != "cached"}


def stages_of(artifacts):
    return sorted(artifact.partition("/")[0] for artifact in artifacts)


def test_the_last_line_is_one_json_object(undisturbed):
    summary = last_json(undisturbed.done)
    assert (summary["experiment"], summary["home"]) == ("smoke", str(undisturbed.home))
    assert [(stage["stage"], stage["iteration"]) for stage in summary["stages"]] == STAGES
    for stage in summary["stages"]:
        assert stage["state"] == "computed"
        assert stage["seconds"] >= 0
        assert len(stage["key"]) == 64
    assert [(one["iteration"], one["split"]) for one in summary["iterations"]] == [(0, "dev"), (1, "dev")]
    for result in (*summary["iterations"], summary["test"]):
        assert 0 <= result["interval"]["low"] <= result["success"] <= result["interval"]["high"] <= 1
        assert result["figure"] == "success"
        assert 0 <= result["score_interval"]["low"] <= result["mean_score"] <= result["score_interval"]["high"] <= 1
        assert result["num_episodes"] == 6
        assert 1 <= result["mean_actions"] <= 12
    assert summary["best_iteration"] in (0, 1)
    assert (summary["test"]["iteration"], summary["test"]["split"]) == (summary["best_iteration"], "test")
    assert "smoke" in Path(summary["report"]).read_text()


def test_no_process_of_a_run_leaves_the_machine(undisturbed):
    lines = undisturbed.network_log.splitlines()
    assert [line for line in lines if not line.startswith("watched ")] == []
    watched = "\n".join(lines)
    assert "-m flows run smoke" in watched
    assert "-m flows.prefect_side.server" in watched
    assert watched.count("spawn_main") >= 2  # the environments' workers


def test_a_second_run_makes_nothing_again_and_loads_no_model_library(undisturbed):
    before = digests(undisturbed.home)
    at_exit = "atexit.register(lambda: print({'torch', 'transformers'} & set(sys.modules)))"
    code = f"import atexit, sys; {at_exit}; from flows.command.main import main; main()"
    run = ("run", "smoke", "--home", undisturbed.home, *QUIET)
    done = leap(*run, command=(sys.executable, "-c", code), **shared_server())
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "set()"
    assert done.stderr.count(" cached ") == len(STAGES)
    assert " computed " not in done.stderr
    assert digests(undisturbed.home) == before


def test_another_home_and_no_worker_process_give_the_same_bytes(undisturbed, tmp_path):
    run(tmp_path / "elsewhere")
    assert digests(tmp_path / "elsewhere") == digests(undisturbed.home)


def test_the_report_of_a_copied_home_is_written_into_the_copy(undisturbed, tmp_path):
    original = undisturbed.home / "experiments" / "smoke" / "report.html"
    before = original.stat().st_mtime_ns
    shutil.copytree(undisturbed.home / "artifacts", tmp_path / "artifacts")
    shutil.copytree(original.parent, tmp_path / "experiments" / "smoke")
    written = tmp_path / "experiments" / "smoke" / "report.html"
    written.unlink()
    done = leap_here("report", "smoke", "--home", tmp_path)
    assert done.stdout.strip() == str(written)
    assert "smoke" in written.read_text()
    assert original.stat().st_mtime_ns == before


def test_a_plan_names_what_a_changed_setting_costs_and_the_run_agrees(copied):
    change = ["training.learning_rate=0.001", "training.bootstrap_learning_rate=0.003"]
    options = [part for override in change for part in ("--set", override)]
    plan = last_json(leap_here("plan", "smoke", "--home", copied, "--json", *options))["stages"]
    to_run = {stage["stage"]: stage["why"] for stage in plan if stage["state"] == "run"}
    assert to_run == {
        "training-i1": "training.learning_rate 0.003 -> 0.001",
        "evaluation-i1-dev": "waits for model",
        "evaluation-i1-test": "waits for model",
    }
    summary = run(copied, *change)
    assert stages_of(computed(summary)) in (["evaluation", "training"], ["evaluation", "evaluation", "training"])
    assert {artifact.partition("/")[0] for artifact in states(summary) if "i0" in artifact} >= {"training", "dataset"}
    assert not any("i0-dev" in artifact or "rollout" in artifact for artifact in computed(summary))
    again = last_json(leap_here("plan", "smoke", "--home", copied, "--json", *options))["stages"]
    assert {stage["state"] for stage in again} == {"cached"}


def test_without_a_rate_of_its_own_iteration_0_runs_again_too(copied):
    plan = last_json(leap_here("plan", "smoke", "--home", copied, "--json", "--set", "training.learning_rate=0.001"))
    states = {stage["stage"]: stage["state"] for stage in plan["stages"]}
    assert [name for name, state in states.items() if state == "cached"] == [
        *("specs-train", "privileged", "base", "demonstrations-i0", "dataset-i0", "specs-dev", "specs-test")
    ]


def test_corrections_of_another_experiment_serve_without_a_rollout(copied):
    correction = next(ArtifactStore(copied / "artifacts").records("correction")).ref
    given = f"dataset.corrections={json.dumps([correction.id])}"
    summary = run(copied, "experiment=other", "demonstrations.num_episodes=12", given)
    assert "rollout" not in stages_of(states(summary))
    assert "correction" not in stages_of(states(summary))
    assert summary["artifacts"][1]["correction"]["digest"] == correction.digest
    by_name = run(copied, "experiment=other", "demonstrations.num_episodes=12", 'dataset.corrections=["smoke-i1"]')
    assert computed(by_name) == set()


def test_damaged_corrections_of_another_experiment_are_refused(copied):
    store = ArtifactStore(copied / "artifacts")
    ref = next(store.records("correction")).ref
    flip_a_byte(next(store.path(ref).glob("rows*.parquet")))
    with pytest.raises(ArtifactError, match=rf"{ref.id}.*rows\.parquet"):
        run(copied, "experiment=other", f"dataset.corrections={json.dumps([ref.id])}")
    assert not list(store.records("training"))[2:]


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_damaged_artifacts_are_said_and_made_again_to_the_same_bytes(copied, capsys):
    before, store = digests(copied), ArtifactStore(copied / "artifacts")
    rollout = next(store.records("rollout")).ref
    model = next(record.ref for record in store.records("training") if record.iteration == 1)
    flip_a_byte(next(store.path(rollout).glob("steps*.parquet")))
    (store.path(model) / "config.json").unlink()
    summary = run(copied)
    said = capsys.readouterr().err
    assert re.search(r"^rollout-i1: .*steps\.parquet", said, re.MULTILINE)
    assert re.search(r"^training-i1: .*config\.json", said, re.MULTILINE)
    assert computed(summary) == {rollout.id, model.id}
    assert digests(copied) == before


def test_two_iterations_of_adapters(copied):
    lora = ["training.method=lora", "training.lora.rank=4", "training.lora.alpha=8", "num_iterations=2"]
    summary = run(copied, "experiment=lora", *lora)
    assert [one["iteration"] for one in summary["iterations"]] == [0, 1, 2]
    assert all(one["num_errors"] == 0 for one in summary["iterations"])
    store = ArtifactStore(copied / "artifacts")
    models = [record for record in store.records("training") if record.experiment == "lora"]
    assert [record.iteration for record in models] == [0, 1, 2]
    assert all("adapter_config.json" in record.files for record in models)
    assert len({record.files["adapter_model.safetensors"].sha256 for record in models}) == 3


def test_a_student_with_nothing_left_to_learn_ends_the_iterations_well(tmp_path):
    """One game, learned by heart: no episode of the rollout fails."""
    by_heart = [
        *(
            "environment.num_train=1",
            "environment.num_dev=1",
            "environment.num_test=1",
            "demonstrations.num_episodes=1",
        ),
        *("rollout.num_episodes=1", "dataset.validation_fraction=0", "training.epochs=150", "training.warmup_steps=5"),
        *("student.temperature=0", "num_iterations=3"),
    ]
    done = leap_here("run", "smoke", "--json", "--home", tmp_path, settings=(*SETTINGS, *by_heart))
    summary = last_json(done)
    assert re.search("^Iteration 1: .*iteration 0", done.stderr, re.MULTILINE)
    assert [one["iteration"] for one in summary["iterations"]] == [0]
    assert summary["best_iteration"] == 0
    assert summary["stages"][-1]["stage"] == "evaluation"
    assert Path(summary["report"]).is_file()


def test_rollouts_begin_with_the_games_that_have_no_demonstration(copied):
    run(copied, "experiment=apart", "demonstrations.num_episodes=12")
    store = ArtifactStore(copied / "artifacts")
    demonstrated, played = (
        {episode.spec.id for episode in read_trajectories(store.path(store.resolve(name)))}
        for name in ("demonstrations/apart-i0", "rollout/apart-i1")
    )
    assert (len(demonstrated), len(played)) == (12, 12)
    assert demonstrated.isdisjoint(played)
