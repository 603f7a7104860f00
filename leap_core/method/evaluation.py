"""How well a model does, over episodes that have a score: Wilson intervals of rates, bootstrap ones of mean scores."""

from collections import Counter
from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist, fmean

import numpy as np

from leap_core.errors import StageFailedError
from leap_core.types import Comparison, EvaluationResult, Figure, Interval, StopReason, Trajectory

NUM_RESAMPLES, _RESAMPLES_AT_ONCE = 10_000, 500
_BOOTSTRAP_SEED = 0


def best_of(results: Sequence[EvaluationResult]) -> EvaluationResult:
    """The result with the highest deciding figure, that of the earliest iteration among equals."""
    return max(results, key=lambda result: (result.deciding, -result.iteration))


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


def bootstrap_interval(values: Sequence[float], confidence: float) -> Interval:
    """The percentile bootstrap's interval for a mean, the same for the same values in whatever order.

    It knows nothing but these values: few of them make it too narrow, and where all are equal it has no width.
    """
    mean, known, generator = fmean(values), np.sort(np.asarray(values)), np.random.default_rng(_BOOTSTRAP_SEED)
    means = [
        known[generator.integers(len(known), size=(_RESAMPLES_AT_ONCE, len(known)))].mean(axis=1)
        for _ in range(NUM_RESAMPLES // _RESAMPLES_AT_ONCE)
    ]
    low, high = np.quantile(np.concatenate(means), [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(low=min(mean, float(low)), high=max(mean, float(high)))  # rounding must not leave the mean outside


def compare(
    first: tuple[str, Sequence[Trajectory]],
    second: tuple[str, Sequence[Trajectory]],
    confidence: float,
    figure: Figure = "success",
) -> Comparison:
    """Compare two models, each a name and its episodes, on the specs that both have a score on.

    The interval for the successes is Newcombe's for the difference of paired proportions (Statistics in Medicine 17,
    1998, method 10); the one for the scores is the bootstrap's over the differences of the pairs.

    Raises:
        StageFailedError: there is no such spec.
    """
    ours, theirs = (
        {one.spec.id: (bool(one.success), one.score) for one in played if one.score is not None}
        for _, played in (first, second)
    )
    shared = sorted(ours.keys() & theirs.keys())
    if not shared:
        raise StageFailedError(f"{first[0]} and {second[0]} have no spec in common that both have a score on.")
    pairs = Counter((ours[spec][0], theirs[spec][0]) for spec in shared)
    gains = [ours[spec][1] - theirs[spec][1] for spec in shared]
    both, neither = pairs[True, True], pairs[False, False]
    only_first, only_second = pairs[True, False], pairs[False, True]
    return Comparison(
        first=first[0],
        second=second[0],
        num_episodes=len(shared),
        num_only_first=only_first,
        num_only_second=only_second,
        figure=figure,
        difference=(only_first - only_second) / len(shared),
        interval=paired_interval(both, only_first, only_second, neither, confidence),
        score_difference=fmean(gains),
        score_interval=bootstrap_interval(gains, confidence),
    )


def paired_interval(both: int, only_first: int, only_second: int, neither: int, confidence: float) -> Interval:
    """The interval of the difference of two success rates over the same specs, from the counts of the four outcomes."""
    num = both + only_first + only_second + neither
    rates = [(both + only_first) / num, (both + only_second) / num]
    first, second = (wilson_interval(both + only, num, confidence) for only in (only_first, only_second))
    agreement = float(both * neither - only_first * only_second)
    if agreement > 0:
        agreement = max(agreement - num / 2, 0.0)  # correction for continuity
    scale = sqrt((both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither))
    correlation = agreement / scale if scale else 0.0
    difference = rates[0] - rates[1]

    def reach(ours: float, theirs: float) -> float:
        return sqrt(max(ours**2 - 2 * correlation * ours * theirs + theirs**2, 0.0))

    below = reach(rates[0] - first.low, second.high - rates[1])
    above = reach(first.high - rates[0], rates[1] - second.low)
    return Interval(low=max(-1.0, difference - below), high=min(1.0, difference + above))


def summarise(
    trajectories: Sequence[Trajectory], iteration: int, split: str, confidence: float, figure: Figure = "success"
) -> EvaluationResult:
    """Judge one model by its episodes on one split; `figure` is what decides in their environment.

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
    scores = [(trajectory.spec.group, trajectory.score or 0.0) for trajectory in scored]
    return EvaluationResult(
        iteration=iteration,
        split=split,
        success=len(successes) / len(scored),
        interval=wilson_interval(len(successes), len(scored), confidence),
        mean_score=fmean(score for _, score in scores),
        mean_actions=fmean(len(trajectory.steps) for trajectory in scored),
        num_episodes=len(scored),
        num_errors=len(trajectories) - len(scored),
        success_by_group={group: wins[group] / totals[group] for group in sorted(totals)},
        num_by_group=dict(sorted(totals.items())),
        mean_parts=_mean_parts(scored),
        num_suspect=sum(trajectory.suspicion is not None for trajectory in successes),
        num_out_of_context=sum(trajectory.stop_reason is StopReason.CONTEXT_LIMIT for trajectory in trajectories),
        figure=figure,
        score_interval=bootstrap_interval([score for _, score in scores], confidence),
        score_by_group={group: fmean(score for one, score in scores if one == group) for group in sorted(totals)},
    )


def _mean_parts(trajectories: Sequence[Trajectory]) -> dict[str, float]:
    """The mean of each part of the score, in the order in which parts first come.

    An episode that was broken off has no parts and counts as 0 in each. One that has some, but not this one, as nothing
    of the kind was asked for, does not count in its mean.
    """
    known = [trajectory.score_parts for trajectory in trajectories]
    names = dict.fromkeys(name for parts in known for name in parts)
    return {name: fmean(parts.get(name, 0.0) for parts in known if name in parts or not parts) for name in names}
