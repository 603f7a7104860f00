"""Opening a `Run` from a preset, planning one, and finding the next iteration of an experiment."""

import sys
from collections.abc import Callable, Sequence

from prefect.context import FlowRunContext
from prefect.logging import get_run_logger

from flows.iteration import Iteration, bootstrap, improve
from flows.prefect_side.secrets import provide_keys
from flows.presets import artifacts_of, read_config, resolve_home
from leap_core.config import LeapConfig
from leap_core.store.artifacts import ArtifactStore
from leap_core.text.shown import shown_lines
from tasks.stage import Run


def open_run(preset: str, overrides: Sequence[str], home: str | None) -> Run:
    """Read the configuration and open the store.

    Raises:
        ConfigError: the preset, an override or a value is wrong, or a Secret that it names is missing.
        ArtifactError: the home cannot be written.
    """
    config = read_config(preset, overrides)
    provide_keys(config)
    log = log_to_prefect if is_deployed() else log_to_terminal
    return Run(config=config, store=ArtifactStore(artifacts_of(resolve_home(home))), log=log)


def log_to_terminal(line: str) -> None:
    """Show one line of progress; standard output is kept for results."""
    print(shown_lines(line), file=sys.stderr, flush=True)


def log_to_prefect(line: str) -> None:
    """Write one line of progress where Prefect's UI and the worker's terminal show it."""
    get_run_logger().info(shown_lines(line))


def is_deployed() -> bool:
    """Whether this is a flow run that a worker started for a deployment."""
    context = FlowRunContext.get()
    return context is not None and context.flow_run is not None and context.flow_run.deployment_id is not None


def plan_iterations(
    config: LeapConfig, store: ArtifactStore, stop: Callable[[Run], bool]
) -> tuple[Run, list[Iteration]]:
    """Walk the chain without doing any work, until `stop` says so after an iteration, or there is none left."""
    run = Run(config=config, store=store, planning=True)
    iterations = [bootstrap(run)]
    while not stop(run):
        following = improve(run, iterations[-1])
        if following is None:
            break
        iterations.append(following)
    return run, iterations


def plan_next(config: LeapConfig, store: ArtifactStore) -> tuple[Run, list[Iteration]]:
    """Walk the chain up to the first iteration with a stage that is not in the store, or to the last one."""
    return plan_iterations(config, store, lambda run: any(outcome.state == "run" for outcome in run.outcomes))


def next_iteration(config: LeapConfig, store: ArtifactStore) -> int:
    """The first iteration with a stage that is not in the store; the last one where nothing is left to correct."""
    return plan_next(config, store)[1][-1].number
