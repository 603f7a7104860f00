"""Flow `leap`: behaviour cloning, N iterations of LEAP, the choice of the best on dev, and its result on test."""

from prefect import flow

from flows.iteration import Iteration, bootstrap, improve
from flows.prefect_side.ui import progress, publish
from flows.results.summary import Summary
from flows.run import open_run
from leap_core.method.evaluation import best_of
from leap_core.types import ArtifactRef
from tasks.evaluation import evaluate, read_result
from tasks.specs import prepare_specs
from tasks.stage import Run, is_pending


@flow(name="leap", flow_run_name="leap {preset}")
def leap(preset: str = "demo", overrides: list[str] | None = None, home: str | None = None) -> dict[str, object]:
    """Run a whole experiment; stages that exist already are served from the store.

    Args:
        preset: a name in flows/presets, or a path to a TOML file.
        overrides: `section.key=value` each.
        home: where artifacts, reports and Prefect's own data go; none: LEAP_HOME, else ./data.

    Returns:
        The experiment's summary, as JSON values.
    """
    run = open_run(preset, overrides or [], home)
    with progress(run, walk_leap):
        return run_leap(run).model_dump(mode="json")


def run_leap(run: Run) -> Summary:
    """The algorithm, read aloud."""
    iterations, tests = walk_leap(run)
    return publish(run, iterations, tests)


def walk_leap(run: Run) -> tuple[list[Iteration], list[ArtifactRef]]:
    """All stages of an experiment in order: its iterations, then tests of iteration 0 and of the best on dev."""
    iterations = [bootstrap(run)]
    while iterations[-1].number < run.config.num_iterations:
        following = improve(run, iterations[-1])
        if following is None:
            break
        iterations.append(following)
    return iterations, judge_on_test(run, iterations)


def judge_on_test(run: Run, iterations: list[Iteration]) -> list[ArtifactRef]:
    """Evaluate iteration 0 and the best on dev on the test split; once if they are the same."""
    first, best = iterations[0], choose_best(run, iterations)
    specs = prepare_specs(run, "test")
    tests = [evaluate(run, first.number, specs, first.model, "test")]
    if best is None:  # a plan cannot know which one it will be
        tests.append(evaluate(run, iterations[-1].number, specs, iterations[-1].model, "test"))
    elif best is not first:
        tests.append(evaluate(run, best.number, specs, best.model, "test"))
    return tests


def choose_best(run: Run, iterations: list[Iteration]) -> Iteration | None:
    """The iteration that does best on dev, by the figure that decides; None where a plan does not know yet."""
    if any(is_pending(iteration.dev) for iteration in iterations):
        return None
    best = best_of([read_result(run.store.path(one.dev)) for one in iterations])
    return next(one for one in iterations if one.number == best.iteration)
