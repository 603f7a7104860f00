"""The preset `toy`: the whole loop in the environment that others are copied from, which pre-trains no student."""

import pytest
from leap_command import HERE

from flows.leap import leap as leap_flow
from flows.run import open_run
from leap_core.errors import ConfigError
from leap_core.store.artifacts import ArtifactStore

pytestmark = pytest.mark.slow


def test_the_whole_loop_in_the_smallest_environment(tmp_path):
    summary = leap_flow("toy", list(HERE), str(tmp_path / "home"))
    assert [(one["iteration"], one["split"]) for one in summary["iterations"]] == [(0, "dev"), (1, "dev")]
    assert {stage["state"] for stage in summary["stages"]} == {"computed"}
    counts = {record.stage: record.counts for record in ArtifactStore(tmp_path / "home" / "artifacts").records()}
    assert counts["demonstrations"]["failed_episodes"] == counts["rollout"]["failed_episodes"] == 0
    assert counts["correction"]["changed"] > 0
    assert counts["correction"]["rejected"] == 0


def test_random_play_needs_a_narrator(tmp_path):
    from prefect import flow

    from tasks.random_play import play_at_random
    from tasks.specs import prepare_specs

    @flow
    def play():
        run = open_run("toy", [*HERE, "environment.num_train=12"], str(tmp_path))
        return play_at_random(run, prepare_specs(run, "train"), 1, 0)

    with pytest.raises(ConfigError, match="narrator"):
        play()
