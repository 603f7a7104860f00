"""From a summary and its artifacts to the data of a report."""

from datetime import UTC, datetime
from pathlib import Path

from flows.results.summary import IterationSummary, StageSummary, Summary, leak_lines, skipped_lines
from leap_core.method.tables import read_corrections, read_trajectories
from leap_core.report.model import CorrectionCounts as StatusCounts
from leap_core.report.model import EpisodeReport, IterationReport, ReportData, StageReport
from leap_core.report.page import write_report
from leap_core.store.artifacts import ArtifactStore
from leap_core.store.records import ArtifactRecord
from leap_core.types import EvaluationResult
from tasks.correction import CORRECTION, CorrectionCounts
from tasks.dataset import DATASET
from tasks.playing import PlayedCounts
from tasks.rollout import ROLLOUT
from tasks.training import TRAINING

EPISODES_SHOWN = 24
"""Episodes of one kind and iteration in the browser; all of them are in the artifacts."""


def write_experiment_report(store: ArtifactStore, summary: Summary) -> Path:
    """Write the report of an experiment to the place that its summary names."""
    records = [store.record(store.resolve(stage.artifact)) for stage in summary.stages]
    newest = max(records, key=lambda record: record.created_at)
    data = ReportData(
        experiment=summary.experiment,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        config=summary.config,
        iterations=[
            _iteration_report(store, one, dev).with_(
                leakage=summary.leakage.get(str(one.iteration)), judgement=summary.judgements.get(str(one.iteration))
            )
            for one, dev in zip(summary.artifacts, summary.iterations, strict=True)
        ],
        best_iteration=summary.best_iteration,
        test=_tests(summary),
        stages=[_stage_report(stage, record) for stage, record in zip(summary.stages, records, strict=True)],
        episodes=_episodes(store, summary),
        packages=newest.packages,
        git_revision=newest.git_revision,
        messages=_messages(summary),
    )
    return write_report(data, Path(summary.report))


def _tests(summary: Summary) -> list[EvaluationResult]:
    found = {result.iteration: result for result in (summary.test_of_iteration_0, summary.test) if result is not None}
    return list(found.values())


def _stage_report(stage: StageSummary, record: ArtifactRecord) -> StageReport:
    return StageReport(
        stage=stage.stage,
        iteration=stage.iteration,
        artifact=stage.artifact,
        state=stage.state,
        seconds=record.seconds,
        counts=record.counts,
        cost_usd=record.usage.cost_usd,
    )


def _iteration_report(store: ArtifactStore, iteration: IterationSummary, dev: EvaluationResult) -> IterationReport:
    training, counts = store.record(iteration.model), TRAINING.counts_of(store, iteration.model)
    loss, validation_loss = training.metrics.get("final_loss"), training.metrics.get("validation_loss")
    peak = training.metrics.get("peak_learning_rate")
    report = IterationReport(
        iteration=iteration.iteration,
        dev=dev,
        num_train_rows=DATASET.counts_of(store, iteration.dataset).train_rows,
        train_loss=loss if isinstance(loss, float) else None,
        validation_loss=validation_loss if isinstance(validation_loss, float) else None,
        cost_usd=0.0,
        num_updates=counts.updates,
        num_warmup=counts.warmup_updates,
        peak_learning_rate=peak if isinstance(peak, float) else None,
    )
    if iteration.correction is None:
        return report
    if iteration.rollout is not None:
        report = _with_rollout(report, ROLLOUT.counts_of(store, iteration.rollout))
    corrected = CORRECTION.counts_of(store, iteration.correction)
    return _with_correction(report, store.record(iteration.correction), corrected)


def _with_rollout(report: IterationReport, counts: PlayedCounts) -> IterationReport:
    played = counts.episodes - counts.failed_episodes
    return report.with_(num_rollouts=counts.episodes, rollout_success=counts.successes / played if played else None)


def _with_correction(report: IterationReport, record: ArtifactRecord, counts: CorrectionCounts) -> IterationReport:
    return report.with_(
        num_corrected_episodes=counts.corrected_episodes,
        corrections=StatusCounts(kept=counts.kept, changed=counts.changed, rejected=counts.rejected),
        rejected_by_reason=counts.rejected_for,
        leak_rate=record.metrics["leak_rate"],
        teacher=record.config["teacher"],
        level=record.config["level"],
        usage=record.usage,
        cost_usd=record.usage.cost_usd,
    )


def _episodes(store: ArtifactStore, summary: Summary) -> list[EpisodeReport]:
    """A sample: corrected train episodes of each iteration, then episodes of every evaluation."""
    shown = []
    for one in summary.artifacts:
        if one.rollout is None or one.correction is None:
            continue
        corrections = {item.trajectory_id: item for item in read_corrections(store.path(one.correction))}
        episodes = [item for item in read_trajectories(store.path(one.rollout)) if item.id in corrections]
        shown += [
            EpisodeReport(iteration=one.iteration, split="train", trajectory=item, correction=corrections[item.id])
            for item in episodes[:EPISODES_SHOWN]
        ]
    for evaluation in summary.evaluations:
        shown += [
            EpisodeReport(iteration=item.iteration, split=item.spec.split, trajectory=item)
            for item in read_trajectories(store.path(evaluation))[:EPISODES_SHOWN]
        ]
    return shown


def _messages(summary: Summary) -> list[str]:
    correction = summary.config["correction"]
    rule_based = isinstance(correction, dict) and correction.get("teacher") == "oracle"
    messages = []
    if rule_based:
        messages.append("Demonstrations and corrections come from a rule-based oracle, not from a language model.")
    else:
        messages.append("Demonstrations come from a rule-based oracle.")
    messages += [f"{line[0].upper()}{line[1:]}; skipped.json in its specs says why." for line in skipped_lines(summary)]
    messages += [f"{line[0].upper()}{line[1:]}." for line in leak_lines(summary)]
    if summary.test is None:
        messages.append("The best iteration has not been tested yet: `leap run` does that at the end.")
    return messages
