"""Flow `leap`: behaviour cloning, N iterations of LEAP, the choice of the best on dev, and its result on test."""

from itertools import islice

from prefect import flow

from flows.iteration import Iteration, iterate
from flows.prefect_side.ui import progress, publish
from flows.results.summary import Summary, best_on_dev
from flows.run import open_run
from leap_core.types import ArtifactRef
from tasks.evaluation import evaluate
from tasks.run import Run
from tasks.specs import prepare_specs


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
    iterations = list(islice(iterate(run), run.config.num_iterations + 1))
    return iterations, judge_on_test(run, iterations)


def judge_on_test(run: Run, iterations: list[Iteration]) -> list[ArtifactRef]:
    """Evaluate iteration 0 and the best on dev on the test split; once if they are the same.

    A plan that cannot know yet which is best takes the last one for it.
    """
    first, best = iterations[0], best_on_dev(run, iterations) or iterations[-1]
    chosen = [first] if best is first else [first, best]
    return [evaluate(run, one.number, prepare_specs(run, "test"), one.model, "test") for one in chosen]
