"""InterCode Bash's data, settings and expert: all that needs no sandbox."""

import json
from collections import Counter

import pytest

from leap_core.config import EnvironmentConfig
from leap_core.envs.intercode_bash.environment import FindTask, decode, readable
from leap_core.envs.intercode_bash.nl2bash.benchmark import (
    BashTask,
    read_bundled,
    read_intercode,
    split_by_file_system,
    split_by_fraction,
)
from leap_core.envs.intercode_bash.oracle import IntercodeBashOracle
from leap_core.envs.intercode_bash.privileged import IntercodeBashFacts
from leap_core.envs.intercode_bash.sandbox.backends import CommandResult
from leap_core.envs.intercode_bash.suite import IntercodeBashSuite
from leap_core.errors import ConfigError, LeapError, TeacherReplyError, UnknownNameError, WrongSpecError
from leap_core.gate.realizability import leaks
from leap_core.types import Action, Observation, PrivilegedState, Spec, Step

SIZES = {"fs_1": 60, "fs_2": 53, "fs_3": 60, "fs_4": 27}


def suite_of(**settings):
    return IntercodeBashSuite(EnvironmentConfig(name="intercode_bash", **settings))


@pytest.fixture
def checkout(tmp_path):
    """The files of an InterCode checkout that are read: as many tasks, and in each file one pair that is the same."""
    (tmp_path / "data/nl2bash").mkdir(parents=True)
    (tmp_path / "docker/bash_scripts").mkdir(parents=True)
    (tmp_path / "docker/docker.gitignore").write_text("usr\n")
    for name, size in SIZES.items():
        rows = [{"query": f"{name} {max(number, 1)}", "gold": "ls"} for number in range(size)]
        rows[-1]["gold"] = ["cd /", "ls"]
        (tmp_path / f"data/nl2bash/nl2bash_{name}.json").write_text(json.dumps(rows))
        (tmp_path / f"docker/bash_scripts/setup_nl2b_{name}.sh").write_text("#!/bin/bash\n")
    return tmp_path


def test_the_bundled_tasks():
    tasks = read_bundled().tasks
    assert len(tasks) >= 60
    assert len({task.file_system for task in tasks}) == 3
    assert len({task.query for task in tasks}) == len({task.id for task in tasks}) == len(tasks)
    assert set(Counter((task.file_system, task.split) for task in tasks).values()) == {12, 4, 6}


def test_an_intercode_checkout(checkout):
    benchmark = read_intercode(checkout)
    assert Counter(task.file_system for task in benchmark.tasks) == SIZES
    assert benchmark.tasks[59].gold == "cd /;ls"
    assert benchmark.file_systems["fs_3"].script_name == "setup_nl2b_fs_3.sh"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "docker/docker.gitignore").unlink(), "docker.gitignore"),
        (lambda folder: (folder / "docker/bash_scripts/setup_nl2b_fs_2.sh").unlink(), "setup_nl2b_fs_2.sh"),
        (lambda folder: (folder / "data/nl2bash/nl2bash_fs_1.json").write_text("[{]"), "nl2bash_fs_1.json"),
        (lambda folder: (folder / "data/nl2bash/nl2bash_fs_1.json").write_text('[{"query": "x"}]'), "gold"),
    ],
)
def test_a_damaged_checkout_is_named(checkout, damage, message):
    damage(checkout)
    with pytest.raises(LeapError, match=message) as raised:
        read_intercode(checkout)
    assert "git clone" in str(raised.value)


def test_the_checkout_may_be_named_by_a_variable(checkout, monkeypatch):
    suite = IntercodeBashSuite(EnvironmentConfig(name="intercode_bash", data="$INTERCODE_DATA"))
    with pytest.raises(LeapError, match=r"variable is not set.*git clone"):
        suite.check_data()
    monkeypatch.setenv("INTERCODE_DATA", str(checkout))
    suite.check_data()
    monkeypatch.setenv("INTERCODE_DATA", str(checkout / "elsewhere"))
    with pytest.raises(LeapError, match=r"no directory .*elsewhere.*git clone"):
        suite.check_data()


def splits_of(split, tasks, **settings):
    return {name: split(tasks, name, **settings) for name in ("train", "dev", "test")}


def test_splits_by_file_system(checkout):
    tasks = read_intercode(checkout).tasks
    whole = splits_of(split_by_file_system, tasks, dev_fraction=0.0)
    assert {name: len(found) for name, found in whole.items()} == {"train": 113, "dev": 0, "test": 87}
    assert {task.file_system for task in whole["train"]} == {"fs_1", "fs_2"}
    parts = splits_of(split_by_file_system, tasks, dev_fraction=0.15)
    assert len(parts["dev"]) in (17, 18)
    assert parts["dev"] + parts["train"] == whole["train"]
    assert parts["test"] == whole["test"]


def test_splits_by_fraction(checkout):
    tasks = read_intercode(checkout).tasks
    parts = splits_of(split_by_fraction, tasks, train_fraction=0.7, dev_fraction=0.1)
    assert sum(map(len, parts.values())) == 200
    assert 60 <= len(parts["test"]) <= 61
    assert 14 <= len(parts["dev"]) <= 15


@pytest.mark.parametrize("fraction", [number / 20 for number in range(1, 20)])
def test_tasks_that_are_the_same_stay_together(fraction):
    tasks = [BashTask(id=str(n), file_system="fs_1", query=str(n // 3), gold="ls") for n in range(30)]
    parts = splits_of(split_by_fraction, tasks, train_fraction=fraction, dev_fraction=0.5)
    queries = {name: {task.query for task in found} for name, found in parts.items()}
    assert queries["train"].isdisjoint(queries["dev"] | queries["test"])
    assert queries["dev"].isdisjoint(queries["test"])


def test_settings_are_checked(tmp_path):
    with pytest.raises(UnknownNameError, match=r"Did you mean 'environment\.params\.backend'"):
        suite_of(params={"backends": "docker"})
    with pytest.raises(UnknownNameError, match="Did you mean 'bubblewrap'"):
        suite_of(params={"backend": "bublewrap"})
    with pytest.raises(ConfigError, match=r"dev_fraction.*came: 2"):
        suite_of(params={"dev_fraction": 2})
    with pytest.raises(ConfigError, match=r"rootfs.*debootstrap"):
        suite_of(params={"rootfs": str(tmp_path)})
    with pytest.raises(ConfigError, match="may stand in braces"):
        suite_of(params={"backend": "docker", "image": "{fs}"})


def test_a_spec_of_another_directory_is_refused(tmp_path):
    spec = Spec(id="train/fs_1/0", env="intercode_bash", split="train", instruction="x", params={"file_system": "fs_1"})
    find = FindTask(tmp_path, {spec.id: "ls"})
    assert find(spec).archive == tmp_path / "file_systems/fs_1.tar"
    for other in (spec.with_(id="train/fs_1/1"), spec.with_(params={})):
        with pytest.raises(WrongSpecError, match=other.id):
            find(other)


def result(output, num_dropped=0):
    return CommandResult(output=output, num_dropped=num_dropped, exit_status=0)


def test_output_that_is_no_text():
    assert decode(result("grün\n".encode())) == "grün\n"
    assert decode(result(b"a\xff")) is None
    assert decode(result("grü".encode()[:-1])) is None
    assert decode(result("grü".encode()[:-1], num_dropped=1)) == "gr"


def test_what_the_student_reads():
    assert readable("a\tb\n", 100) == "a\tb\n"
    assert readable("\x1b[2Jx\x00\x9b\r\n", 100) == "\\x1b[2Jx\\x00\\x9b\\x0d\n"
    assert readable("x" * 150, 100) == "x" * 100 + "\n[cut off here: at least 50 more characters]"


TASK = Spec(id="a", env="intercode_bash", split="train", instruction="Count the lines of a.txt.")
FACTS = IntercodeBashFacts(gold="cat a.txt | wc -l", gold_output="3 lines", gold_changes=())
HIDDEN = PrivilegedState(spec_id="a", text="", facts=FACTS.model_dump(mode="json"), source="x")
NOW = Observation(text="")


def test_the_expert_runs_the_gold_command_and_submits():
    expert = IntercodeBashOracle()
    first = expert.advise(TASK, [], NOW, HIDDEN, 100)
    assert first.command == "cat a.txt | wc -l"
    assert not leaks(first.reason, "count the lines of a txt", ["cat a txt wc l", "3 lines"])
    assert "cat prints files and wc counts" in first.reason
    done = Step(index=0, observation=NOW, action=first)
    assert expert.advise(TASK, [done], NOW, HIDDEN, 100).command == "submit"
    strayed = Step(index=1, observation=NOW, action=Action(reason="", command="ls"))
    assert expert.advise(TASK, [done, strayed], NOW, HIDDEN, 100).command == "cat a.txt | wc -l"


@pytest.mark.parametrize("level", [0, 75])
def test_the_expert_knows_nothing_but_the_gold_command(level):
    with pytest.raises(TeacherReplyError, match="100"):
        IntercodeBashOracle().advise(TASK, [], NOW, HIDDEN, level)
