"""What goes wrong outside ends in one line that says what to do, exit code 1, and nothing that a later run trusts."""

import errno
import json
import os
import re
import shutil
from collections import namedtuple
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import httpx
import pytest
from leap_command import leap_here

import tasks
from flows.prefect_side import session
from leap_core.config import EnvironmentConfig
from leap_core.envs.alfworld.suite import AlfworldSuite
from leap_core.errors import ArtifactError, LeapError
from leap_core.store.artifacts import ArtifactStore
from tasks.stage import Stage

pytestmark = pytest.mark.slow

SMALL = (
    *("execution.num_threads=1", "execution.env_workers=0", "environment.max_steps=4"),
    *("environment.num_train=3", "environment.num_dev=2", "environment.num_test=2"),
    *("demonstrations.num_episodes=3", "rollout.num_episodes=3"),
)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    output: str
    lines: list[str]


@pytest.fixture
def leap():
    """Run the command in this process; an exception that it lets through fails the test."""

    def leap(*arguments, settings=()):
        done = leap_here(*arguments, settings=settings)
        return Ended(code=done.returncode, output=done.stdout, lines=done.stderr.splitlines())

    return leap


@pytest.fixture
def judge(leap, tmp_path):
    """Judge a student that says the same in every turn: a short run of five stages, without a model."""

    def judge(*settings, reply="REASON: why not\nACTION: look"):
        student = (
            "student.kind=scripted",
            "student.model=bundled",
            f"student.params={json.dumps({'replies': [reply]})}",
        )
        return leap(
            *("eval", "base", "--preset", "smoke", "--split", "dev", "--json", "--home", tmp_path / "home"),
            settings=(*SMALL, *student, *settings),
        )

    return judge


@pytest.fixture
def store(tmp_path):
    return lambda: ArtifactStore(tmp_path / "home" / "artifacts")


def stages(store):
    """The stages that have a whole artifact; nothing else is in the store."""
    assert store.problems() == []
    return [record.stage for record in store.records()]


def states(ended):
    """What happened to each stage, by label."""
    words = (line.split() for line in ended.lines)
    return {label: state for label, state, *_ in words if state in ("computed", "cached", "resumed")}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("run", "smok"), ["'smok'", "'smoke'"]),
        (("plan", "smok"), ["'smok'", "'smoke'"]),
        (("run", "nowhere.toml"), ["nowhere.toml"]),
        (("run", "smoke", "--set", "training.epoch=1"), ["'training.epoch'", "'training.epochs'"]),
        (("run", "smoke", "--set", "environment.name=alfwrld"), ["'alfwrld'", "'alfworld'"]),
        (("run", "intercode", "--set", "correction.level=0"), ["correction.level"]),
        (("run", "intercode", "--set", "demonstrations.level=50"), ["demonstrations.level"]),
        (("run", "smoke", "--set", "environment.params.engine=nativ"), ["environment.params.engine"]),
        (("run", "smoke", "--set", "correction.teacher=oracel"), ["'oracel'", "'oracle'"]),
        (("run", "smoke", "--set", "student.kind=script"), ["'script'", "'scripted'"]),
        (("run", "smoke", "--set", "student.prompt=compat"), ["'compat'", "'compact'", "alfworld"]),
        (("run", "smoke", "--set", "student.model=/no/such"), ["/no/such"]),
        (("run", "smoke", "--set", 'student.params={"layers": 1}'), ["'student.params.layers'"]),
        (("run", "smoke", "--set", "training.trainer=ssft"), ["'ssft'", "'sft'"]),
        (("eval", "openai:"), ["'openai:'"]),
        (("eval", "opnai:gpt-4o"), ["'opnai:'", "'openai:'"]),
        (("eval", "base", "--split", "tst"), ["'tst'", "'test'"]),
        (("report", "nobody"), ["'nobody'"]),
    ],
)
def test_a_wrong_name_is_told_before_anything_is_touched(leap, tmp_path, arguments, named):
    """The line names what was given and, where one is near, what may have been meant."""
    ended = leap(*arguments, "--home", tmp_path / "home")
    assert ended.code == 1
    assert len(ended.lines) == 1
    assert ended.lines[0].startswith("error: ")
    assert all(name in ended.lines[0] for name in named)
    assert ended.output == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("run", "smoke", "--set", "environment.num_dev=0"), "environment.num_dev"),
        (("run", "smoke", "--set", 'dataset.corrections=["x"]'), "'x'"),
        (("eval", "demo-i7", "--preset", "smoke"), "'demo-i7'"),
        (("artifacts", "show", "demo-i7"), "'demo-i7'"),
    ],
)
def test_what_is_not_there_is_told_before_any_stage_starts(leap, tmp_path, store, arguments, named):
    ended = leap(*arguments, "--home", tmp_path / "home")
    assert ended.code == 1
    assert ended.lines[-1].startswith("error: ")
    assert named in ended.lines[-1]
    assert not list((tmp_path / "home").rglob("artifacts"))


@pytest.mark.parametrize(
    ("setting", "named", "before"),
    [
        ("environment.data=/no/data", "/no/data", []),
        ("environment.params.scene_size=hugh", "'hugh'", ["base"]),
    ],
)
def test_data_that_are_not_there_are_told_before_any_stage_what_only_a_stage_can_judge_by_it(
    judge, store, setting, named, before
):
    ended = judge(setting)
    assert ended.code == 1
    assert ended.lines[-1].startswith("error: ")
    assert named in ended.lines[-1]
    assert list(states(ended)) == stages(store()) == before


@pytest.mark.parametrize("below", ["", "below"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "smoke"),
        ("eval", "base"),
        ("plan", "smoke"),
        *(("artifacts", verb) for verb in ("list", "verify", "gc")),
    ],
)
def test_a_home_that_cannot_be_written(leap, tmp_path, arguments, below):
    (tmp_path / "file").write_text("precious")
    ended = leap(*arguments, "--home", tmp_path / "file" / below)
    assert ended.code == 1
    assert len(ended.lines) == 1
    assert ended.lines[0].startswith("error: ")
    assert str(tmp_path / "file") in ended.lines[0]
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]


@pytest.mark.parametrize(
    "arguments", [("artifacts", "show", "demo-i7"), ("artifacts", "list"), ("artifacts", "gc"), ("report", "demo")]
)
def test_who_only_looks_makes_no_home(leap, tmp_path, arguments):
    ended = leap(*arguments, "--home", tmp_path / "home")
    assert f"{tmp_path / 'home'}" in "".join(ended.lines) or ended.output.startswith("0.0 MB in 0 places")
    assert list(tmp_path.iterdir()) == []


def test_a_stage_that_is_none_and_one_that_has_made_nothing(leap, judge, tmp_path):
    ended = leap("artifacts", "list", "corection", "--home", tmp_path)
    assert ended.code == 1
    assert len(ended.lines) == 1
    assert "'corection'" in ended.lines[0]
    assert "'correction'" in ended.lines[0]
    nothing = leap("artifacts", "list", "annotation", "--home", tmp_path / "home")
    assert nothing.code == 0
    assert nothing.lines[0].startswith(f"No artifacts in {tmp_path / 'home' / 'artifacts'}")
    assert judge().code == 0
    nothing = leap("artifacts", "list", "annotation", "--home", tmp_path / "home")
    assert (nothing.code, nothing.output) == (0, "")
    assert "'annotation'" in nothing.lines[0]
    assert leap("artifacts", "list", "evaluation", "--home", tmp_path / "home").lines == []


def test_all_stages_are_known_by_name():
    modules = [import_module(f"tasks.{module.name}") for module in iter_modules(tasks.__path__)]
    stages = {value.name for module in modules for value in vars(module).values() if isinstance(value, Stage)}
    assert sorted(tasks.STAGES) == sorted(stages)


@pytest.fixture
def data(tmp_path):
    """Downloaded games: generated ones in the folders of a download."""
    suite = AlfworldSuite(EnvironmentConfig(num_train=3, num_dev=2, num_test=2))
    for split, folder in (("train", "train"), ("dev", "valid_seen"), ("test", "valid_unseen")):
        suite.prepare(tmp_path / "generated", split, 0)
        shutil.copytree(tmp_path / "generated" / "games" / split, tmp_path / "data" / folder)
    return tmp_path / "data"


def test_a_damaged_game_is_named_and_the_run_goes_on_when_it_is_mended(judge, store, data):
    game = min((data / "valid_seen").rglob("*.tw-pddl"))
    whole = game.read_bytes()
    game.write_bytes(whole[: len(whole) // 2])
    ended = judge(f"environment.data={data}")
    assert ended.code == 1
    assert ended.lines[-1].startswith("error: ")
    assert str(game) in ended.lines[-1]
    assert "specs-dev" not in states(ended)
    assert stages(store()) == ["base"]
    game.write_bytes(whole)
    mended = judge(f"environment.data={data}")
    assert mended.code == 0
    assert states(mended)["specs-dev"] == "computed"


def test_games_that_are_lost_while_they_are_needed_fail_the_stage_and_are_played_when_they_are_back(judge, store, data):
    settings = (f"environment.data={data}", "execution.shard_size=1")
    assert judge(*settings, "environment.max_steps=3").code == 0
    lost = min((data / "valid_seen").iterdir())
    lost.rename(data / "lost")
    ended = judge(*settings)
    assert ended.code == 1
    assert ended.lines[-1].startswith("error: 1 of 2 episodes failed")
    assert lost.name in ended.lines[-1]
    assert len(list(store().records("evaluation"))) == 1
    (data / "lost").rename(lost)
    back = judge(*settings)
    assert back.code == 0
    assert states(back)["evaluation-i0-dev"] == "resumed"
    assert json.loads(back.output.splitlines()[-1])["models"][0]["result"]["num_errors"] == 0


def test_a_student_that_answers_rubbish_is_judged_and_warned_of(judge, store):
    ended = judge(reply="bla\nbla")
    result = json.loads(ended.output.splitlines()[-1])["models"][0]["result"]
    assert (result["success"], result["num_episodes"], result["num_errors"]) == (0, 2, 0)
    (warning,) = (line for line in ended.lines if "warning" in line)
    assert warning.startswith("evaluation-i0-dev: ")
    assert "8 of 8 steps" in warning
    assert "student.max_new_tokens" in warning


def test_nothing_of_a_student_that_answers_rubbish_is_corrected(leap, store, tmp_path):
    """A first student from random weights, hardly trained: the teacher's work would be lost on it."""
    hardly = ("training.bootstrap_learning_rate=1e-9", "training.bootstrap_epochs=1", "student.constrain=false")
    ended = leap("run", "smoke", "--home", tmp_path / "home", settings=(*SMALL, *hardly))
    assert ended.code == 1
    assert ended.lines[-1].startswith("error: ")
    assert "student.max_new_tokens" in ended.lines[-1]
    assert "evaluation" in stages(store())
    assert not {"rollout", "correction"} & set(stages(store()))


def test_an_unknown_device(leap, tmp_path, store):
    ended = leap(
        *("eval", "base", "--preset", "smoke", "--home", tmp_path / "home"),
        settings=(*SMALL, "student.params={}", "student.model=bundled", "execution.device=abacus"),
    )
    assert ended.code == 1
    assert ended.lines[-1].startswith("error: ")
    assert "execution.device" in ended.lines[-1]
    assert "'abacus'" in ended.lines[-1]
    assert stages(store()) == []


def test_a_model_that_cannot_be_loaded_is_told_before_anything_is_made(leap, tmp_path, store):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text('{"model_type": "llama"}')  # and no weights
    ended = leap(
        *("eval", "base", "--preset", "smoke", "--home", tmp_path / "home"),
        settings=(*SMALL, "student.params={}", f"student.model={broken}"),
    )
    assert ended.code == 1
    assert any(line.startswith("error: ") and str(broken) in line for line in ended.lines)
    assert any(line.startswith("  weights: ") for line in ended.lines)
    assert stages(store()) == []


@pytest.mark.parametrize("at", ["/artifacts/base/", "/artifacts/specs/", "/artifacts/evaluation/"])
@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_while_a_stage_writes(judge, store, monkeypatch, at, reason):
    def fsync(descriptor, to_disk=os.fsync):
        if at in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(reason, os.strerror(reason))
        to_disk(descriptor)

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fsync)
        ended = judge()
    assert ended.code == 1
    assert ended.lines[-1].startswith("error: ")
    assert os.strerror(reason) in ended.lines[-1]
    assert "leap artifacts gc" in ended.lines[-1]
    stage = Path(at).name
    assert stage not in stages(store())
    finished = {label for label, state in states(ended).items() if state == "computed"}
    again = judge()
    assert again.code == 0
    assert {label for label, state in states(again).items() if state == "cached"} == finished
    assert stages(store()) == ["base", "evaluation", "specs"]


Disk = namedtuple("Disk", "total used free")


def test_a_disk_that_is_full_from_the_start(judge, store, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(10**9, 10**9 - 10**6, 10**6))
    ended = judge()
    assert ended.code == 1
    assert len(ended.lines) == 1
    assert "1.0 MB" in ended.lines[0]
    assert stages(store()) == []


@pytest.mark.parametrize(
    ("raised", "free", "expected", "named"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 10**9, ArtifactError, "{home}"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 10**9, ArtifactError, "{home}"),
        (RuntimeError("PytorchStreamWriter failed"), 1000, ArtifactError, "{home}"),
        (httpx.ConnectError("refused"), 10**9, LeapError, "refused"),
        (LeapError("said already"), 1000, LeapError, "said already"),
        (OSError(errno.EIO, "bad block"), 10**9, OSError, "bad block"),
        (RuntimeError("a bug"), 10**9, RuntimeError, "a bug"),
    ],
)
def test_what_libraries_raise_is_told_plainly_and_a_bug_stays_a_bug(
    tmp_path, monkeypatch, raised, free, expected, named
):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(10**12, 0, free))
    with pytest.raises(expected, match=re.escape(named.format(home=tmp_path))) as error, session.plain_errors(tmp_path):
        raise raised
    assert type(error.value) is expected


def test_a_model_that_cannot_be_had_is_told_before_any_work_is_done_for_it(leap, store, tmp_path):
    ended = leap("run", "smoke", "--home", tmp_path / "home", settings=(*SMALL, "student.model=org/none"))
    assert ended.code == 1
    assert "'org/none'" in ended.lines[-1]
    assert stages(store()) == []
