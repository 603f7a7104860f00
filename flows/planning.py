"""What a run would do: the same walk over the stages, without doing any."""

from collections.abc import Sequence

from flows.leap import walk_leap
from leap_core.artifacts import ArtifactStore
from leap_core.config import LeapConfig
from leap_core.loading import load_suite
from tasks.stage import Run, StageOutcome


def plan_experiment(config: LeapConfig, store: ArtifactStore) -> list[StageOutcome]:
    """Return each stage of flow `leap` in order, cached or to be run, with the reason."""
    run = Run(config=config, store=store, planning=True)
    walk_leap(run)
    return run.outcomes


def check_data(config: LeapConfig, outcomes: Sequence[StageOutcome]) -> None:
    """Raise LeapError where a stage of a plan needs data that are not there."""
    if any(outcome.stage == "specs" and outcome.state == "run" for outcome in outcomes):
        load_suite(config.environment).check_data()
