"""`leap doctor` finds nothing wrong with this machine, and says what is wrong where something is."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def doctor(home, *subject, **environment):
    return subprocess.run(
        [sys.executable, "-m", "flows", "doctor", *subject, "--home", str(home)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_all_is_well_here(tmp_path):
    done = doctor(tmp_path / "new")
    assert done.returncode == 0, done.stdout
    assert "BAD" not in done.stdout


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


def test_sandboxes_are_looked_at_when_asked_for(tmp_path):
    done = doctor(tmp_path, "intercode")
    findings = {line.split()[1]: line for line in done.stdout.splitlines()}
    assert {"bubblewrap", "docker"} <= set(findings)
    assert done.returncode == (0 if "works" in f"{findings['bubblewrap']} {findings['docker']}".split() else 1)


def test_a_subject_that_is_none_is_named(tmp_path):
    done = doctor(tmp_path, "intercod")
    assert done.returncode == 1
    assert "Did you mean 'intercode'" in done.stderr
