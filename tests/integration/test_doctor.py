"""`leap doctor` finds nothing wrong with this machine, and says what is wrong where something is."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("unit", "pipeline")]

from alfworld_games import write_game
from leap_command import leap_here
from webshop_files import row, write_data

from leap_core.envs import ENVIRONMENTS

pytestmark = pytest.mark.slow


def run(*arguments, **environment):
    """Run the command in this process: none of these subjects looks at Prefect."""
    return leap_here(*arguments, **environment)


def doctor(home, **environment):
    return subprocess.run(
        [sys.executable, "-m", "flows", "doctor", "--home", str(home)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_all_is_well_here(tmp_path):
    done = doctor(tmp_path / "new")
    assert done.returncode == 0, done.stdout
    assert "BAD" not in done.stdout
    assert all(f"`leap doctor {name}`" in done.stdout for name in ENVIRONMENTS)


def test_a_server_that_does_not_answer_is_named(tmp_path):
    done = doctor(tmp_path, PREFECT_API_URL="http://127.0.0.1:9/api")
    assert done.returncode == 1
    assert [line.split()[:3] for line in done.stdout.splitlines() if line.startswith("BAD")] == [
        ["BAD", "prefect", "api"]
    ]
    assert "http://127.0.0.1:9/api" in done.stdout


def test_a_home_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    done = doctor(tmp_path / "file")
    assert done.returncode == 1
    assert str(tmp_path / "file") in done.stdout


def test_sandboxes_are_looked_at_when_asked_for():
    done = run("doctor", "intercode")
    findings = {line.split()[1]: line for line in done.stdout.splitlines()}
    assert {"bubblewrap", "docker"} <= set(findings)
    assert done.returncode == (0 if "works" in f"{findings['bubblewrap']} {findings['docker']}".split() else 1)


def test_a_subject_that_is_none_is_named():
    done = run("doctor", "webstop")
    assert done.returncode == 1
    assert "Did you mean 'webshop'" in done.stderr


def test_an_environment_with_nothing_to_get_is_well():
    done = run("doctor", "toy")
    assert done.returncode == 0, done.stdout
    lines = {line[4:19].strip(): line for line in done.stdout.splitlines()}
    assert "Find the" in lines["toy"]
    assert "`leap run toy` can start" in lines["presets"]


def test_alfworld_data_that_is_there(tmp_path):
    for split, num in (("train", 3), ("valid_seen", 2), ("valid_unseen", 1)):
        for number in range(num):
            write_game(tmp_path / "data" / "json_2.1.1" / split / f"task-{number}" / "trial")
    write_game(tmp_path / "data" / "json_2.1.1" / "train" / "task-9" / "trial").unlink()
    write_game(tmp_path / "data" / "json_2.1.1" / "train" / "bad" / "trial", pddl_problem="(define")
    done = doctor_alfworld(tmp_path, ALFWORLD_DATA=str(tmp_path / "data"))
    assert done.returncode == 0, done.stdout
    lines = {line[4:19].strip(): line for line in done.stdout.splitlines()}
    assert "as in ALFWorld 0.4" in lines["alfworld data"]
    assert "3 games (3 playable, 1 without a game, 1 damaged)" in lines["train"]
    assert "bad/trial" in lines["train"]
    assert str(tmp_path / "data") in lines["ALFWORLD_DATA"]
    assert "2 games (2 playable)" in lines["valid_seen"]
    assert "140" in lines["valid_seen"]
    assert "(138 missing" in lines["valid_seen"]


def test_alfworld_data_that_is_not_there(tmp_path):
    done = doctor_alfworld(tmp_path, ALFWORLD_DATA=str(tmp_path / "none"))
    assert done.returncode == 1
    assert "alfworld-download" in done.stdout


@pytest.mark.parametrize(("subject", "variable"), [("alfworld", "ALFWORLD_DATA"), ("webshop", "WEBSHOP_DATA")])
def test_data_that_nobody_has_asked_for_are_worth_a_note(tmp_path, subject, variable):
    done = run("doctor", subject, XDG_CACHE_HOME=str(tmp_path / "cache"), HOME=str(tmp_path), **{variable: ""})
    assert done.returncode == 0, done.stdout
    assert "BAD" not in done.stdout
    assert [line.split()[:3] for line in done.stdout.splitlines() if line.startswith("note")] == [
        ["note", subject, "data"]
    ]


def test_alfworld_data_without_its_variable(tmp_path):
    write_game(tmp_path / ".cache" / "alfworld" / "json_2.1.1" / "train" / "task" / "trial")
    done = doctor_alfworld(tmp_path, ALFWORLD_DATA="", HOME=str(tmp_path))
    assert re.search(r"ALFWORLD_DATA .*~/\.cache/alfworld", done.stdout)
    assert "1 games (1 playable)" in done.stdout


def test_unknown_environment():
    done = run("doctor", "alfwrld")
    assert done.returncode == 1
    assert "'alfworld'" in done.stdout + done.stderr


def doctor_alfworld(tmp_path, **environment):
    return run("doctor", "alfworld", XDG_CACHE_HOME=str(tmp_path / "cache"), **environment)


def test_webshop_data_that_is_there(tmp_path):
    for number in range(2):
        write_data(tmp_path / "data", [row(1), row(2), row(2), row(3, asin="x" * 300)], suffix=("", "_1000")[number])
    done = doctor_webshop(tmp_path, WEBSHOP_DATA=str(tmp_path / "data"))
    assert done.returncode == 0, done.stdout
    lines = {line[4:19].strip(): line for line in done.stdout.splitlines()}
    assert "expert does" in lines["webshop"]
    assert "sets: all, 1000" in lines["webshop data"]
    assert "2 products, 2 human goals and 0 synthetic goals" in lines["set '1000'"]
    assert "left out: 1 asin seen before, 1 asin too long, or nan" in lines["set 'all'"]


def test_webshop_data_that_is_damaged(tmp_path):
    data = write_data(tmp_path / "data", [row(1)])
    (data / "items_ins_v2_1000.json").write_text("<html>", encoding="utf-8")
    done = doctor_webshop(tmp_path, WEBSHOP_DATA=str(data))
    assert done.returncode == 1
    assert "items_ins_v2_1000.json" in done.stdout
    assert "web page" in done.stdout


def test_webshop_data_that_is_not_there(tmp_path):
    done = doctor_webshop(tmp_path, WEBSHOP_DATA=str(tmp_path / "none"))
    assert done.returncode == 1
    assert "https://github.com/princeton-nlp/WebShop" in done.stdout


def doctor_webshop(tmp_path, **environment):
    return run("doctor", "webshop", XDG_CACHE_HOME=str(tmp_path / "cache"), **environment)
