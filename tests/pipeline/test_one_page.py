"""docs/examples/leap_in_one_page.py: the whole loop with leap_core alone."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = (
    *("environment.num_train=8", "environment.num_dev=2", "demonstrations.num_episodes=4"),
    *("num_iterations=1", "rollout.num_episodes=2", "training.epochs=1", "execution.num_threads=1"),
)


@pytest.mark.slow
def test_the_loop_runs_without_prefect(tmp_path):
    script = ROOT / "docs" / "examples" / "leap_in_one_page.py"
    code = f"import runpy, sys; runpy.run_path({str(script)!r}); assert not {{'prefect', 'tasks'}} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, tmp_path, *SMALL], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == ["iteration 0", "iteration 1"]
    assert (tmp_path / "model-1" / "model.safetensors").is_file()
