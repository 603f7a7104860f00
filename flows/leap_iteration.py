"""Flow `leap-iteration`: one iteration of LEAP; by default the next one that the experiment lacks.

An experiment is its configuration: the flow walks the chain of stages from the start, and every stage that exists
already is served from the store. So a night that failed goes on where it stopped, and the next night adds one more.
"""

from prefect import flow

from flows.iteration import Iteration, bootstrap, improve
from flows.leap import judge_on_test
from flows.prefect_side.ui import progress, publish
from flows.run import next_iteration, open_run
from leap_core.errors import ConfigError
from leap_core.types import ArtifactRef
from tasks.stage import Run, is_pending


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
    number = next_iteration(run.config, run.store) if iteration is None else iteration
    with progress(run, lambda run: walk_up_to(run, number)):
        iterations = walk_up_to(run, number)
        # After an early one was mended, the later ones are whole as they are: they stay part of the experiment.
        while iterations[-1].number + 1 < next_iteration(run.config, run.store):
            following = improve(run, iterations[-1])
            if following is None:
                break
            iterations.append(following)
        return publish(run, iterations, tests_in_store(run, iterations)).model_dump(mode="json")


def tests_in_store(run: Run, iterations: list[Iteration]) -> list[ArtifactRef]:
    """The test results that a whole run of these iterations has left; no test is played for one iteration's sake."""
    plan = Run(config=run.config, store=run.store, planning=True)
    return [test for test in judge_on_test(plan, iterations) if not is_pending(test)]


def walk_up_to(run: Run, number: int) -> list[Iteration]:
    """All stages of iterations 0 to `number`; those that exist are served from the store.

    Raises:
        ConfigError: `number` is negative.
    """
    if number < 0:
        raise ConfigError(f"There is no iteration {number}: they count from 0, which is behaviour cloning.")
    iterations = [bootstrap(run)]
    while iterations[-1].number < number:
        following = improve(run, iterations[-1])
        if following is None:
            break
        iterations.append(following)
    return iterations
