"""What a report is made of: plain records, so that a page can be written and tested without any pipeline."""

from typing import Literal

from pydantic import Field, JsonValue

from leap_core.method.judgement import JudgementSummary
from leap_core.method.second_gates import LeakageSummary
from leap_core.types import Correction, EvaluationResult, Figure, Level, Record, Trajectory, Usage

StageState = Literal["computed", "cached", "resumed"]


class CorrectionCounts(Record):
    """Steps of corrected episodes by what became of the teacher's word on them."""

    kept: int = 0
    changed: int = 0
    rejected: int = 0

    @property
    def total(self) -> int:
        """All steps that the teacher was asked about."""
        return self.kept + self.changed + self.rejected


class IterationReport(Record):
    """One iteration: how its model does on dev, and what it learned from.

    Rollouts and corrections are those made *for* this iteration, by the previous model; iteration 0 has none.
    `rollout_success` and `leak_rate` (share of corrected steps whose reason drew on hidden state) are in [0, 1].
    `num_updates` are those of the weights, the first `num_warmup` at rising rates.
    `leakage` is there where corrections were measured, `judgement` where they were judged.
    `usage` and `cost_usd` are the teacher's; a cost of None is unknown, and is shown as that.
    """

    iteration: int
    dev: EvaluationResult | None = None
    num_rollouts: int = 0
    rollout_success: float | None = None
    num_corrected_episodes: int = 0
    corrections: CorrectionCounts = CorrectionCounts()
    rejected_by_reason: dict[str, int] = Field(default_factory=dict)
    leak_rate: float | None = None
    leakage: LeakageSummary | None = None
    judgement: JudgementSummary | None = None
    teacher: str = ""
    level: Level = 0
    num_train_rows: int = 0
    num_updates: int = 0
    num_warmup: int = 0
    peak_learning_rate: float | None = None
    train_loss: float | None = None
    validation_loss: float | None = None
    usage: Usage = Usage()
    cost_usd: float | None = None


class StageReport(Record):
    """One stage of the run. `seconds` and `cost_usd` are what making the artifact took, also when it was cached now."""

    stage: str
    iteration: int | None = None
    artifact: str
    state: StageState
    seconds: float
    counts: dict[str, int] = Field(default_factory=dict)
    cost_usd: float | None


class EpisodeReport(Record):
    """One sampled episode for the browser. `correction` belongs to `trajectory`."""

    iteration: int
    split: str
    trajectory: Trajectory
    correction: Correction | None = None


class ReportData(Record):
    """The single input of a report.

    `best_iteration` is the one chosen on dev. `test` may hold any iterations, in any order. `messages` are
    plain facts that a reader must not miss, shown at the top; `notes` stand at the end.
    """

    experiment: str
    created_at: str
    config: dict[str, JsonValue]
    iterations: list[IterationReport]
    best_iteration: int | None
    test: list[EvaluationResult]
    stages: list[StageReport]
    episodes: list[EpisodeReport]
    notes: list[str] = Field(default_factory=list)
    packages: dict[str, str] = Field(default_factory=dict)
    git_revision: str | None = None
    messages: list[str] = Field(default_factory=list)

    @property
    def figure(self) -> Figure:
        """What decides which iteration is better: the same for all results of an experiment."""
        results = (*self.test, *(one.dev for one in self.iterations if one.dev is not None))
        return "score" if any(result.figure == "score" for result in results) else "success"
