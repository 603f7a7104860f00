"""The end of a flow: the summary, the report, and what Prefect's UI shows of them."""

from prefect.artifacts import create_link_artifact, create_table_artifact

from flows.iteration import Iteration
from flows.reporting import write_experiment_report
from flows.summary import Summary, summarise_run, write_summary
from leap_core.types import ArtifactRef
from tasks.stage import Run


def publish(run: Run, iterations: list[Iteration], tests: list[ArtifactRef] | None = None) -> Summary:
    """Write summary and report, and show a table of iterations and a link in Prefect."""
    summary = summarise_run(run, iterations, tests or [])
    write_summary(summary)
    report = write_experiment_report(run.store, summary)
    create_table_artifact(
        key=f"{slug(summary.experiment)}-iterations", table=table_of(summary), description="Success by iteration"
    )
    create_link_artifact(
        key=f"{slug(summary.experiment)}-report", link=report.as_uri(), link_text="Report", description=str(report)
    )
    return summary


def slug(experiment: str) -> str:
    """The form that Prefect wants for a key: lower case, digits and dashes."""
    return experiment.replace("_", "-")


def table_of(summary: Summary) -> list[dict[str, object]]:
    """One row an evaluation."""
    results = [*summary.iterations, *(one for one in (summary.test_of_iteration_0, summary.test) if one is not None)]
    return [
        {
            "iteration": result.iteration,
            "split": result.split,
            "success": f"{result.success:.3f}",
            "interval": f"{result.interval.low:.3f} - {result.interval.high:.3f}",
            "actions": f"{result.mean_actions:.1f}",
            "episodes": result.num_episodes,
        }
        for result in results
    ]
