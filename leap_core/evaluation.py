"""How well a model does: rates with Wilson intervals, over episodes that have a score."""

from collections import Counter
from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist, fmean

from leap_core.errors import StageFailedError
from leap_core.types import EvaluationResult, Interval, Trajectory


def wilson_interval(num_successes: int, num_episodes: int, confidence: float) -> Interval:
    """Wilson's score interval for a rate; [0, 1] when there are no episodes."""
    if num_episodes == 0:
        return Interval(low=0.0, high=1.0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate, scale = num_successes / num_episodes, 1 + z * z / num_episodes
    centre = (rate + z * z / (2 * num_episodes)) / scale
    half = z / scale * sqrt(rate * (1 - rate) / num_episodes + z * z / (4 * num_episodes**2))
    # At a rate of 0 or 1 the bound is exactly that rate; rounding must not push it outside.
    return Interval(low=max(0.0, min(rate, centre - half)), high=min(1.0, max(rate, centre + half)))


def summarise(trajectories: Sequence[Trajectory], iteration: int, split: str, confidence: float) -> EvaluationResult:
    """Judge one model by its episodes on one split.

    Episodes that ended in an error are counted in `num_errors` and enter no average.

    Raises:
        StageFailedError: no episode has a score.
    """
    scored = [trajectory for trajectory in trajectories if trajectory.score is not None]
    if not scored:
        raise StageFailedError(
            f"None of the {len(trajectories)} episodes on {split} has a score; nothing can be evaluated."
            + (f" First error: {trajectories[0].error}" if trajectories else f" The {split} split is empty.")
        )
    successes = [trajectory for trajectory in scored if trajectory.success]
    totals = Counter(trajectory.spec.group for trajectory in scored)
    wins = Counter(trajectory.spec.group for trajectory in successes)
    return EvaluationResult(
        iteration=iteration,
        split=split,
        success=len(successes) / len(scored),
        interval=wilson_interval(len(successes), len(scored), confidence),
        mean_score=fmean(trajectory.score or 0.0 for trajectory in scored),
        mean_actions=fmean(len(trajectory.steps) for trajectory in scored),
        num_episodes=len(scored),
        num_errors=len(trajectories) - len(scored),
        success_by_group={group: wins[group] / totals[group] for group in sorted(totals)},
        num_by_group=dict(sorted(totals.items())),
    )
