"""Whether what a planned run needs is there: asked before anything is made for it, not hours later by a stage."""

from collections.abc import Sequence

from flows.asking import check_endpoints
from leap_core.config import LeapConfig
from leap_core.loading import load_suite
from leap_core.students.loading import resolve_device
from tasks.stage import Run, StageOutcome


def check_plan(run: Run) -> None:
    """Raise LeapError where stages of a planned run lack data, a device, a key, or the price of a budget."""
    check_data(run.config, run.outcomes)
    check_device(run.config, run.outcomes)
    check_endpoints(run)


def check_device(config: LeapConfig, outcomes: Sequence[StageOutcome]) -> None:
    """Raise LeapError where a stage of a plan would use a device that is not there."""
    to_run = {outcome.stage for outcome in outcomes if outcome.state == "run"}
    plays_here = config.student.kind == "hf" and to_run & {"rollout", "evaluation"}
    # torch takes seconds to load: it is asked only where somebody has chosen a device.
    if config.execution.device not in ("auto", "cpu") and ("training" in to_run or plays_here):
        resolve_device(config.execution.device)


def check_data(config: LeapConfig, outcomes: Sequence[StageOutcome]) -> None:
    """Raise LeapError where a stage of a plan needs data that are not there."""
    if any(outcome.stage == "specs" and outcome.state == "run" for outcome in outcomes):
        load_suite(config.environment).check_data()
