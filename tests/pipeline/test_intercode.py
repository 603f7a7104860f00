"""The preset `intercode-smoke`, made smaller: commands in real sandboxes go through every stage of the loop."""

import pytest
from intercode_sandboxes import needs_sandbox

from flows.leap import leap as leap_flow
from leap_core.store.artifacts import ArtifactStore

pytestmark = [needs_sandbox, pytest.mark.slow]

SMALL = (
    *("environment.num_train=4", "environment.num_dev=1", "environment.num_test=1", "environment.max_steps=2"),
    *("demonstrations.num_episodes=4", "rollout.num_episodes=2", "training.bootstrap_epochs=40", "training.epochs=1"),
    *("execution.num_threads=1", "execution.env_workers=0", "student.max_new_tokens=64"),
)


def test_the_whole_loop_on_bundled_tasks(tmp_path):
    summary = leap_flow("intercode-smoke", list(SMALL), str(tmp_path / "home"))
    assert [(one["iteration"], one["split"]) for one in summary["iterations"]] == [(0, "dev"), (1, "dev")]
    assert {one["figure"] for one in (*summary["iterations"], summary["test"])} == {"score"}
    assert {stage["state"] for stage in summary["stages"]} == {"computed"}
    counts = {record.stage: record.counts for record in ArtifactStore(tmp_path / "home" / "artifacts").records()}
    assert counts["demonstrations"] == {"episodes": 4, "failed_episodes": 0, "steps": 8}
    assert counts["rollout"]["failed_episodes"] == 0
    assert counts["correction"]["rejected"] == 0
    assert counts["correction"]["changed"] > 0
