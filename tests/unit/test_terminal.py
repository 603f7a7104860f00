"""What commands print holds nothing that steers the terminal, whoever wrote it."""

import subprocess
import sys
from pathlib import Path

import pytest

from flows.terminal import echo, log

ROOT = Path(__file__).parents[2]


def test_progress_and_results_are_spelled_out(capsys):
    log("rollout \x1b[2J\u202e\ud83d")
    echo("one\n\ttwo \x9b31m\r")
    printed = capsys.readouterr()
    assert printed.err == "rollout \\x1b[2J\\u202e\\ud83d\n"
    assert printed.out == "one\n\ttwo \\x9b31m\\r\n"


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_an_error_is_one_message_whatever_it_quotes_and_wherever_it_goes(tmp_path, encoding):
    arguments = ["leap", "report", "x\x1b[31m\u202e\udcff\u00fc\u65e5", "--home", str(tmp_path)]
    command = f"import sys; sys.argv = {arguments!a}"
    ended = subprocess.run(
        [sys.executable, "-c", f"{command}; import flows.command.main; flows.command.main.main()"],
        capture_output=True,
        env={"PYTHONIOENCODING": encoding, "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        cwd=ROOT,
        check=False,
    )
    said = ended.stderr.decode(encoding)
    assert ended.returncode == 1
    assert said.startswith("error: ")
    assert "Traceback" not in said
    assert not {"\x1b", "\u202e"} & set(said)
