"""What a run amounts to: the JSON that `leap run --json` prints and `leap report` starts from."""

from pathlib import Path

from pydantic import Field, JsonValue, ValidationError

from flows.iteration import Iteration
from flows.presets import experiment_directory
from leap_core.disk.files import read_small, write_json
from leap_core.envs.skipped import describe_counts
from leap_core.errors import ArtifactError
from leap_core.method.evaluation import best_of
from leap_core.method.judgement import JudgementSummary
from leap_core.method.second_gates import LeakageSummary
from leap_core.report import formats
from leap_core.types import ArtifactRef, EvaluationResult, Figure, Record
from tasks.correction import CORRECTION
from tasks.evaluation import read_result
from tasks.judgement import judgement_summary
from tasks.leakage import summary_of
from tasks.planned import is_pending
from tasks.run import Run, StageOutcome
from tasks.specs import SPECS

SUMMARY, REPORT = "summary.json", "report.html"


class StageSummary(Record):
    """What happened to one stage in the run, and its artifact."""

    stage: str
    iteration: int | None
    key: str
    artifact: str
    state: str
    seconds: float


class IterationSummary(Record):
    """The artifacts of one iteration; `correction` and `rollout` are None in iteration 0.

    `leakage` is there where corrections were measured, `judgement` where they were judged.
    """

    iteration: int
    dataset: ArtifactRef
    model: ArtifactRef
    correction: ArtifactRef | None
    rollout: ArtifactRef | None
    leakage: ArtifactRef | None = None
    judgement: ArtifactRef | None = None


class Summary(Record):
    """One experiment after a run. `iterations` are results on dev; `test` is the best one's; `report` a path.

    `skipped` says how much of the data was passed over, by split and by what is the matter with it. `leaks` counts, by
    iteration, the corrected steps that give hidden state away and are trained on. `leakage` says, by iteration, what
    was measured of its corrections (`gate.measure`), `judgements` what a judge says of them (`gate.judge`).
    """

    experiment: str
    home: str
    iterations: list[EvaluationResult]
    best_iteration: int | None
    test: EvaluationResult | None
    test_of_iteration_0: EvaluationResult | None
    stages: list[StageSummary]
    skipped: dict[str, dict[str, int]]
    leaks: dict[str, int] = Field(default_factory=dict)
    leakage: dict[str, LeakageSummary] = Field(default_factory=dict)
    judgements: dict[str, JudgementSummary] = Field(default_factory=dict)
    report: str
    artifacts: list[IterationSummary]
    evaluations: list[ArtifactRef]
    config: dict[str, JsonValue]

    @property
    def results(self) -> list[EvaluationResult]:
        """All of them: on dev in order, then iteration 0 and the best one on test, listed once if they are the same."""
        tests = {one.iteration: one for one in (self.test_of_iteration_0, self.test) if one is not None}
        return [*self.iterations, *tests.values()]


def best_on_dev(run: Run, iterations: list[Iteration]) -> Iteration | None:
    """The iteration that does best on dev, by the figure that decides; None where a plan does not know yet."""
    if any(is_pending(iteration.dev) for iteration in iterations):
        return None
    best = best_of([read_result(run.store.path(one.dev)) for one in iterations])
    return next(one for one in iterations if one.number == best.iteration)


def summarise_run(run: Run, iterations: list[Iteration], tests: list[ArtifactRef]) -> Summary:
    """Collect the results of an experiment from its artifacts."""
    store, home = run.store, run.store.home.parent
    results = [read_result(store.path(iteration.dev)) for iteration in iterations]
    on_test = [read_result(store.path(test)) for test in tests]
    chosen = best_on_dev(run, iterations)
    best = None if chosen is None else chosen.number
    return Summary(
        experiment=run.config.experiment,
        home=str(home),
        iterations=results,
        best_iteration=best,
        test=next((result for result in on_test if result.iteration == best), None),
        test_of_iteration_0=next((result for result in on_test if result.iteration == 0), None),
        stages=[_stage_summary(outcome) for outcome in run.outcomes],
        skipped=skipped_by_split(run),
        leaks=leaks_by_iteration(run, iterations),
        leakage=leakage_by_iteration(run, iterations),
        judgements=judgements_by_iteration(run, iterations),
        report=str(experiment_directory(home, run.config.experiment) / REPORT),
        artifacts=[_iteration_summary(iteration) for iteration in iterations],
        evaluations=[*(iteration.dev for iteration in iterations), *tests],
        config=run.config.model_dump(mode="json"),
    )


def lines_of(summary: Summary) -> list[str]:
    """The summary for people."""
    best = f"best on dev: iteration {summary.best_iteration}"
    by_score = any(result.figure == "score" for result in summary.iterations)
    results = (line_of(result) for result in summary.results)
    warnings = (f"warning: {line}" for line in leak_lines(summary))
    return [
        *results,
        f"{best}, by its mean score" if by_score else best,
        *skipped_lines(summary),
        *leakage_lines(summary),
        *judgement_lines(summary),
        *warnings,
        f"report: {summary.report}",
    ]


def skipped_lines(summary: Summary) -> list[str]:
    """What was passed over, for people: a line for each split."""
    return [f"passed over in {split}: {describe_counts(counts)}" for split, counts in summary.skipped.items()]


def leak_lines(summary: Summary) -> list[str]:
    """A warning where corrections are trained on that give hidden state away, or might be; for people."""
    correction = summary.config["correction"]
    is_off = isinstance(correction, dict) and correction.get("check_leaks") is False
    if not is_off and not summary.leaks:
        return []
    where = f" in iteration {', '.join(summary.leaks)}" if summary.leaks else ""
    return [
        f"leaks are trained on: {sum(summary.leaks.values()):,} corrected steps{where} give hidden state away and were "
        "let through, as correction.check_leaks was off"
    ]


def leakage_lines(summary: Summary) -> list[str]:
    """What was measured of corrections, for people: a line for each iteration."""
    return [
        f"iteration {number}: corrections measure {formats.number(one.mean_bits, 4)} bits a token that only the hidden "
        f"state explains, their reasons {formats.number(one.reason_bits, 4)} (n = {one.num_measured:,})"
        + (f", {formats.percent(one.above)} above gate.max_bits" if one.above is not None else "")
        for number, one in summary.leakage.items()
    ]


def judgement_lines(summary: Summary) -> list[str]:
    """What a judge says of corrections, for people: a line for each iteration."""
    return [
        f"iteration {number}: the judge takes {one.num_leaks:,} of {one.num_corrections:,} corrections for leaks"
        + (f", and gave no verdict on {one.num_unjudged:,}" if one.num_unjudged else "")
        for number, one in summary.judgements.items()
    ]


def line_of(result: EvaluationResult) -> str:
    """One evaluation for people: first the figure that decides, last the other one."""
    success, score = f"success {result.success:6.1%} {span_of(result, 'success')}", f"score {score_of(result)}"
    if result.figure == "score":
        first, last = f"score {result.mean_score:.3f} {span_of(result, 'score')}", success
        last += f"  score's parts: {formats.parts(result.mean_parts)}" if result.mean_parts else ""
    else:
        first, last = success, score
    return (
        f"iteration {result.iteration}  {result.split:<5} {first}  "
        f"actions {result.mean_actions:4.1f}  n = {result.num_episodes}"
        + (f"  errors {result.num_errors}" if result.num_errors else "")
        + (f"  out of context {result.num_out_of_context}" if result.num_out_of_context else "")
        + (f"  suspect successes {result.num_suspect}" if result.num_suspect else "")
        + f"  {last}"
    )


def span_of(result: EvaluationResult, figure: Figure) -> str:
    """The interval of one figure, in brackets; nothing where a result of an earlier version lacks it."""
    if figure == "success":
        return f"[{result.interval.low:.1%}, {result.interval.high:.1%}]"
    span = result.score_interval
    return f"[{span.low:.3f}, {span.high:.3f}]" if span is not None else ""


def score_of(result: EvaluationResult) -> str:
    """The mean score, and the means of its parts, if it has any."""
    return f"{result.mean_score:.3f}" + (f" ({formats.parts(result.mean_parts)})" if result.mean_parts else "")


def write_summary(summary: Summary) -> Path:
    """Write the summary beside the report."""
    path = Path(summary.report).with_name(SUMMARY)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, summary.model_dump(mode="json"))
    return path


def read_summary(home: Path, experiment: str) -> Summary:
    """Read the summary of an experiment's last run; its places are those of `home`, which may have been moved.

    Raises:
        ArtifactError: there is none, or it is of another version.
    """
    path = experiment_directory(home, experiment) / SUMMARY
    try:
        summary = Summary.model_validate_json(read_small(path))
        return summary.with_(home=str(home), report=str(path.with_name(REPORT)))
    except OSError as error:
        known = sorted(file.parent.name for file in path.parent.parent.glob(f"*/{SUMMARY}"))
        raise ArtifactError(
            f"No experiment {experiment!r} in {home}; there: {', '.join(known) or 'none'}. Make one with `leap run`."
        ) from error
    except ValidationError as error:
        raise ArtifactError(f"{path} is of another version. Run `leap run` again: it is quick when cached.") from error


def skipped_by_split(run: Run) -> dict[str, dict[str, int]]:
    """How much was passed over, by split and kind; without the splits of which nothing was."""
    specs = [ref for ref in run.refs.values() if ref.stage == SPECS.name]
    found = {str(run.store.record(ref).config["split"]): SPECS.counts_of(run.store, ref).skipped for ref in specs}
    return {split: counts for split, counts in found.items() if counts}


def leaks_by_iteration(run: Run, iterations: list[Iteration]) -> dict[str, int]:
    """How many leaks the corrections of each iteration let through; without the iterations that let none."""
    found = {
        str(one.number): sum(CORRECTION.counts_of(run.store, one.correction).let_through.values())
        for one in iterations
        if one.correction is not None
    }
    return {number: count for number, count in found.items() if count}


def leakage_by_iteration(run: Run, iterations: list[Iteration]) -> dict[str, LeakageSummary]:
    """What was measured of the corrections of each iteration; without the iterations of which nothing was."""
    return {
        str(one.number): summary_of(run.store, one.leakage, one.correction, run.config.gate.max_bits)
        for one in iterations
        if one.leakage is not None and one.correction is not None
    }


def judgements_by_iteration(run: Run, iterations: list[Iteration]) -> dict[str, JudgementSummary]:
    """What a judge says of the corrections of each iteration; without the iterations that nobody judged."""
    return {
        str(one.number): judgement_summary(
            run.store, one.judgement, one.correction, one.leakage, run.config.gate.max_bits
        )
        for one in iterations
        if one.judgement is not None and one.correction is not None
    }


def _stage_summary(outcome: StageOutcome) -> StageSummary:
    return StageSummary(
        stage=outcome.stage.name,
        iteration=outcome.iteration,
        key=outcome.key,
        artifact=outcome.artifact,
        state=outcome.state,
        seconds=outcome.seconds,
    )


def _iteration_summary(iteration: Iteration) -> IterationSummary:
    return IterationSummary(
        iteration=iteration.number,
        dataset=iteration.dataset,
        model=iteration.model,
        correction=iteration.correction,
        rollout=iteration.rollout,
        leakage=iteration.leakage,
        judgement=iteration.judgement,
    )
