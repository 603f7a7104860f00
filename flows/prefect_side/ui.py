"""What Prefect's UI shows of a run: its progress, and at its end the table of iterations and the report.

None of this is a result: results are in the store, the summary and the report. So where Prefect's API fails, after its
client's own retries, the run logs that and goes on.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from httpx import HTTPError
from prefect.artifacts import (
    create_link_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from flows.forecast.preflight import check_plan
from flows.iteration import Iteration
from flows.results.report_data import write_experiment_report
from flows.results.summary import Summary, span_of, summarise_run, write_summary
from leap_core.types import ArtifactRef, EvaluationResult, Figure
from tasks.run import Run, StageOutcome


def publish(run: Run, iterations: list[Iteration], tests: list[ArtifactRef] | None = None) -> Summary:
    """Write summary and report, and show a table of iterations and a link in Prefect."""
    summary = summarise_run(run, iterations, tests or [])
    write_summary(summary)
    report = write_experiment_report(run.store, summary)
    prefix = slug(summary.experiment)
    with _ui_update(run):
        create_table_artifact(
            key=f"{prefix}-iterations", table=table_of(summary), description=f"Results of {summary.experiment}"
        )
        create_link_artifact(key=f"{prefix}-report", link=report.as_uri(), link_text="Report", description=str(report))
    return summary


@contextmanager
def progress(run: Run, walk: Callable[[Run], object]) -> Iterator[None]:
    """Keep one progress artifact of this flow run up to date, from stage to stage.

    `walk` is what the flow is about to do with `run`; walked first as a plan, it counts the stages.

    Raises:
        LeapError: something that the plan needs is missing. A deployment's run checks this here, before any work.
    """
    plan = run.as_plan()
    walk(plan)
    check_plan(plan)
    total, progress_id = len(plan.outcomes), None
    with _ui_update(run):
        key = f"{slug(run.config.experiment)}-progress"
        progress_id = create_progress_artifact(0.0, key=key, description=f"0 of {total} stages")

    def show(percent: float, text: str) -> None:
        if isinstance(progress_id, UUID):
            with _ui_update(run):
                update_progress_artifact(progress_id, percent, text)

    def show_stage(outcome: StageOutcome) -> None:
        done = len(run.outcomes)
        show(min(100 * done / total, 99.0), f"{done} of {total} stages; the last: {outcome.label}, {outcome.state}")

    run.on_outcome = show_stage
    yield
    made = sum(outcome.state != "cached" for outcome in run.outcomes)
    show(100.0, f"{len(run.outcomes)} stages, {made} of them made in this run")


@contextmanager
def _ui_update(run: Run) -> Iterator[None]:
    try:
        yield
    except HTTPError as error:
        run.log(f"Prefect's API failed, so its UI does not show all of this run: {error}")


def slug(experiment: str) -> str:
    """The form that Prefect wants for a key: lower case, digits and dashes."""
    return experiment.replace("_", "-")


def table_of(summary: Summary) -> list[dict[str, object]]:
    """One row an evaluation, the figure that decides before the other one."""
    return [_row_of(result) for result in summary.results]


def _row_of(result: EvaluationResult) -> dict[str, object]:
    figures = {"success": f"{result.success:.1%}", "score": f"{result.mean_score:.3f}"}
    other: Figure = "success" if result.figure == "score" else "score"
    return {
        "iteration": result.iteration,
        "split": result.split,
        result.figure: figures[result.figure],
        "interval": span_of(result, result.figure),
        other: figures[other],
        "actions": f"{result.mean_actions:.1f}",
        "episodes": result.num_episodes,
    }
