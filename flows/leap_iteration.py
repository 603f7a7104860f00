"""Flow `leap-iteration`: one iteration of LEAP; by default the next one that the experiment lacks.

An experiment is its configuration: the flow walks the chain of stages from the start, and every stage that exists
already is served from the store. So a night that failed goes on where it stopped, and the next night adds one more.
"""

from itertools import islice

from prefect import flow

from flows.forecast.planning import count_complete, next_iteration, tests_in_store
from flows.iteration import Iteration, iterate
from flows.prefect_side.ui import progress, publish
from flows.run import open_run
from leap_core.config import MOST_ITERATIONS
from leap_core.errors import ConfigError
from tasks.run import Run


@flow(name="leap-iteration", flow_run_name="leap-iteration {preset}")
def leap_iteration(
    preset: str = "demo", overrides: list[str] | None = None, home: str | None = None, iteration: int | None = None
) -> dict[str, object]:
    """Make one iteration of an experiment, and what it needs that is not there yet.

    Args:
        preset: a name in flows/presets, or a path to a TOML file.
        overrides: `section.key=value` each.
        home: where artifacts, reports and Prefect's own data go; none: LEAP_HOME, else ./data.
        iteration: which one; none: the first that is not complete.

    Returns:
        The experiment's summary, as JSON values.
    """
    run = open_run(preset, overrides or [], home)
    number = next_iteration(run) if iteration is None else iteration
    with progress(run, lambda run: walk_up_to(run, number)):
        chain = iterate(run)
        iterations = list(islice(chain, number + 1))
        # After an early iteration was made again, later ones that are still whole stay part of the experiment.
        iterations += islice(chain, max(count_complete(run) - len(iterations), 0))
        return publish(run, iterations, tests_in_store(run, iterations)).model_dump(mode="json")


def walk_up_to(run: Run, number: int) -> list[Iteration]:
    """All stages of iterations 0 to `number`; those that exist are served from the store.

    Raises:
        ConfigError: `number` is negative, or more than an experiment can have.
    """
    if not 0 <= number <= MOST_ITERATIONS:
        raise ConfigError(
            f"There is no iteration {number}: they count from 0, which is behaviour cloning, to {MOST_ITERATIONS:,}."
        )
    return list(islice(iterate(run), number + 1))
