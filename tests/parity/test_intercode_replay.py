"""The tool that replays InterCode's recordings, on a checkout whose recordings have the gaps of real ones."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from intercode_sandboxes import needs_sandbox

from leap_core.errors import LeapError
from tests.parity.intercode import read_episodes

SCRIPT = "#!/bin/bash\nmkdir -p /yard\necho one > /yard/a.txt\n"
GOLD = "cat /yard/a.txt"


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def episode(query, actions, rewards, observations):
    return {"query": query, "turn_history": {"actions": actions, "rewards": rewards, "observations": observations}}


@pytest.fixture
def checkout(tmp_path):
    """Two tasks in fs_1, one in fs_2, one in fs_3, none in fs_4; fs_1/1 was not recorded, nor was all of fs_3."""
    write(tmp_path / "docker/docker.gitignore", "usr\n")
    for name, queries in {"fs_1": ("a", "b"), "fs_2": ("c",), "fs_3": ("d",), "fs_4": ()}.items():
        write(tmp_path / f"data/nl2bash/nl2bash_{name}.json", [{"query": query, "gold": GOLD} for query in queries])
        write(tmp_path / f"docker/bash_scripts/setup_nl2b_{name}.sh", SCRIPT)
    recorded = {
        "fs_1": {"0": episode("a", ["ls", GOLD], [0.67, 1.0], ["bin", "one\n"])},
        "fs_2": {"0": episode("c", [GOLD, "blocked"], [1.0, 0], ["one\n"])},  # what was blocked has no observation
    }
    for name, episodes in recorded.items():
        write(tmp_path / f"data/results/bash/bison/ic_bash_multiturn_bison_10_turns_{name}.json", episodes)
    return tmp_path


@needs_sandbox
@pytest.mark.slow
def test_recordings_that_lack_tasks_are_replayed_as_far_as_they_go(checkout):
    command = [sys.executable, "-m", "tests.parity.intercode", "--data", str(checkout), "--model", "bison"]
    done = subprocess.run([*command, "--processes", "1"], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    assert "Gold commands that score 1.0: 4 of 4" in done.stdout
    assert "Tasks without a recorded episode: 2 of 4: fs_1/1, fs_3/0" in done.stdout
    assert "Recorded episodes that end alike: 2 of 2; scores alike: 3 of 3 turns" in done.stdout


def test_a_model_that_was_not_recorded_is_named_with_those_that_were(checkout):
    with pytest.raises(LeapError, match=r"no recording of 'gpt-9'.*bison"):
        read_episodes(checkout, "gpt-9")
