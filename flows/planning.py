"""What a run would do: the same walk over the stages, without doing any."""

from flows.leap import walk_leap
from leap_core.artifacts import ArtifactStore
from leap_core.config import LeapConfig
from tasks.stage import Run, StageOutcome


def plan_experiment(config: LeapConfig, store: ArtifactStore) -> list[StageOutcome]:
    """Return each stage of flow `leap` in order, cached or to be run, with the reason."""
    run = Run(config=config, store=store, planning=True)
    walk_leap(run)
    return run.outcomes
