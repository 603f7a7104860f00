"""What a run would do: the same walk over the stages, without doing any."""

from collections.abc import Sequence

from flows.evaluate import walk_evaluate
from flows.forecast.costs import foresee_costs
from flows.forecast.preflight import check_plan
from flows.iteration import Iteration, iterate
from flows.leap import judge_on_test, walk_leap
from flows.presets import overrides_for, read_config
from flows.terminal import log
from leap_core.config import LeapConfig
from leap_core.store.artifacts import ArtifactStore
from leap_core.types import ArtifactRef, Split
from tasks.planned import is_pending
from tasks.run import Run


def plan_experiment(config: LeapConfig, store: ArtifactStore) -> Run:
    """Walk flow `leap`: the outcomes are its stages in order, cached or to be run, with the reason.

    Raises:
        ArtifactError: one that the configuration names is not there.
    """
    run = Run(config=config, store=store, planning=True, tell=log)
    walk_leap(run)
    return run


def plan_next(config: LeapConfig, store: ArtifactStore) -> tuple[Run, list[Iteration]]:
    """Walk the iterations up to the first with a stage that is not in the store, or to the last one."""
    run, iterations = Run(config=config, store=store, planning=True, tell=log), []
    for iteration in iterate(run):
        iterations.append(iteration)
        if run.to_be_made:
            break
    return run, iterations


def next_iteration(run: Run) -> int:
    """The first iteration with a stage that is not in the store; the last one where nothing is left to correct."""
    return plan_next(run.config, run.store)[1][-1].number


def count_complete(run: Run) -> int:
    """How many iterations are in the store as a whole, from iteration 0 on."""
    plan, iterations = plan_next(run.config, run.store)
    return len(iterations) - bool(plan.to_be_made)


def tests_in_store(run: Run, iterations: list[Iteration]) -> list[ArtifactRef]:
    """The test results that a whole run of these iterations has left; no test is played for one iteration's sake."""
    return [test for test in judge_on_test(run.as_plan(), iterations) if not is_pending(test)]


def plan_evaluation(
    models: Sequence[str], split: Split, preset: str, overrides: Sequence[str], store: ArtifactStore
) -> list[Run]:
    """Walk flow `evaluate`, for each model by itself.

    Raises:
        ArtifactError: there is no such model.
    """
    runs = []
    for model in models:
        run = Run(config=read_config(preset, overrides_for(model, overrides)), store=store, planning=True, tell=log)
        walk_evaluate(run, model, split)
        runs.append(run)
    return runs


def foresee_run(config: LeapConfig, store: ArtifactStore, *, only_next: bool) -> str:
    """Say how much a run would do, and what of it may not be meant, before anything is started for it.

    Raises:
        LeapError: something that a stage would need is not there: data, a device, an artifact that is named, a key, the
            price that a budget is counted in.
    """
    run = plan_next(config, store)[0] if only_next else plan_experiment(config, store)
    notes = check_plan(run)
    about = f"{config.experiment}: {len(run.to_be_made)} of {len(run.outcomes)} stages are to be made."
    return "\n".join([about, *notes])


def foresee_evaluation(
    models: Sequence[str], split: Split, preset: str, overrides: Sequence[str], store: ArtifactStore
) -> str:
    """Say what a judgement is about and what it may cost, before anything is started for it.

    Raises:
        LeapError: as for a run; or there is no such model.
    """
    runs = plan_evaluation(models, split, preset, overrides, store)
    notes = dict.fromkeys(note for run in runs for note in check_plan(run))
    about = f"To be judged on the {split} split by the settings of {preset}: {', '.join(models)}."
    return "\n".join([about, *notes, *foresee_costs(runs).lines])
