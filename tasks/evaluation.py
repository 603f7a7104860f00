"""Stage `evaluation`: how one model does on one split."""

import json
from pathlib import Path

from pydantic import Field

from leap_core.config import LeapConfig
from leap_core.disk.files import read_small, write_json
from leap_core.envs.base import find_suite
from leap_core.method.evaluation import summarise
from leap_core.method.rollout import check_episodes, find_inadmissible, find_overflow, find_unparseable
from leap_core.method.tables import read_specs, write_trajectories
from leap_core.types import ArtifactRef, EvaluationResult, Split, Usage
from tasks.efforts import effort_of_playing, effort_played
from tasks.identity import PlayedEnvironment, PlayedIdentity, PlayedStudent
from tasks.planned import Effort, EndpointEstimate, PlannedCall
from tasks.playing import PlayedCounts, estimate_playing, needs_of_player, num_specs, play_in_shards
from tasks.run import Run
from tasks.stage import Stage, StageReport, StageWork

RESULT = "result.json"


class EvaluationIdentity(PlayedIdentity):
    """How a model is judged."""

    split: Split
    confidence: float = Field(title="evaluation.confidence")

    @classmethod
    def of(cls, config: LeapConfig, iteration: int, split: Split) -> "EvaluationIdentity":
        """What decides the result of one model on one split."""
        limit = config.evaluation.max_steps or config.environment.max_steps
        return cls(
            environment=PlayedEnvironment.of(config.environment.with_(max_steps=limit)),
            student=PlayedStudent.of(config.student, config.evaluation.temperature, config.execution.device),
            split=split,
            confidence=config.evaluation.confidence,
            iteration=iteration,
            seed=config.seed,
        )


def evaluate(run: Run, iteration: int, specs: ArtifactRef, model: ArtifactRef, split: Split) -> ArtifactRef:
    """Return the episodes of `model` on every spec of `split`, and what they amount to."""
    identity = EvaluationIdentity.of(run.config, iteration, split)
    return EVALUATION(run, identity, {"specs": specs, "model": model}, iteration, part=split)


def read_result(directory: Path) -> EvaluationResult:
    """Read the result from an evaluation artifact."""
    return EvaluationResult.model_validate(json.loads(read_small(directory / RESULT)))


def _evaluate(work: StageWork[EvaluationIdentity]) -> StageReport:
    identity = work.identity
    episodes, resumed = play_in_shards(work, read_specs(work.inputs["specs"]), None)
    check_episodes(episodes, work.config.rollout.max_error_share)
    if overflow := find_overflow(episodes):
        work.log(f"warning: {overflow}")
    if doubt := find_unparseable(episodes) or find_inadmissible(episodes):
        work.log(f"warning: {doubt}")  # as much a result as any: a student before training often does no better
    figure = find_suite(identity.environment.name).figure
    result = summarise(episodes, identity.iteration, identity.split, identity.confidence, figure)
    write_trajectories(work.output, episodes)
    write_json(work.output / RESULT, result.model_dump(mode="json"))
    return StageReport(
        counts=PlayedCounts.of(episodes),
        metrics={"success": result.success, "mean_score": result.mean_score, "mean_actions": result.mean_actions},
        usage=sum((episode.usage for episode in episodes), Usage()),
        resumed=resumed,
    )


def _estimate(call: PlannedCall[EvaluationIdentity]) -> EndpointEstimate | None:
    return estimate_playing(call, num_specs(call, call.identity.split))


def _effort(call: PlannedCall[EvaluationIdentity]) -> Effort | None:
    return effort_of_playing(call, num_specs(call, call.identity.split))


EVALUATION = Stage(
    name="evaluation",
    version=6,
    work=_evaluate,
    counts=PlayedCounts,
    needs=needs_of_player,
    estimate=_estimate,
    effort=_effort,
    effort_of=effort_played,
)
