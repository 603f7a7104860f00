"""Rates, intervals, and errors that never look like low scores."""

import math

import pytest

from leap_core.errors import StageFailedError
from leap_core.method.evaluation import compare, paired_interval, summarise, wilson_interval
from leap_core.method.rollout import check_episodes, find_inadmissible, find_unparseable
from leap_core.types import Action, Observation, Spec, Step, StopReason, Trajectory


def episode(number, success, group="g", command="look"):
    spec = Spec(id=str(number), env="alfworld", split="dev", instruction="", group=group)
    step = Step(index=0, observation=Observation(text=""), action=Action(reason="", command=command), reply="bla bla")
    failed = success is None
    return Trajectory(
        id=str(number), spec=spec, iteration=1, student="x", steps=(step,) * (number % 3 + 1), final_observation="",
        stop_reason=StopReason.ENV_ERROR if failed else StopReason.TERMINATED,
        score=None if failed else float(success), success=success, error="boom" if failed else None,
    )  # fmt: skip


# Reference values: Brown, Cai and DasGupta, "Interval Estimation for a Binomial Proportion" (2001), formula 4.
@pytest.mark.parametrize(
    ("successes", "episodes", "low", "high"), [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0)]
)
def test_wilson(successes, episodes, low, high):
    interval = wilson_interval(successes, episodes, 0.95)
    assert interval.low == pytest.approx(low, abs=1e-4)
    assert interval.high == pytest.approx(high, abs=1e-4)


def test_errors_are_counted_and_enter_no_average():
    result = summarise([episode(0, True), episode(1, False, "h"), episode(2, None)], 1, "dev", 0.95)
    assert (result.success, result.num_episodes, result.num_errors) == (0.5, 2, 1)
    assert result.mean_actions == 1.5
    assert result.success_by_group == {"g": 1.0, "h": 0.0}


def test_nothing_to_judge_is_an_error():
    with pytest.raises(StageFailedError, match="boom"):
        summarise([episode(0, None)], 1, "dev", 0.95)


def test_too_many_failed_episodes_fail_the_stage():
    episodes = [episode(n, True) for n in range(9)] + [episode(9, None)]
    check_episodes(episodes, 0.1)
    with pytest.raises(StageFailedError, match="1 of 10"):
        check_episodes(episodes, 0.05)


def test_a_student_that_answers_rubbish_is_noticed_and_is_no_error():
    unparseable = [episode(n, False, command="") for n in range(10)]
    check_episodes(unparseable, 0.0)
    assert "bla bla" in find_unparseable(unparseable)
    assert find_unparseable([*unparseable[:3], episode(9, False)]) is None
    assert find_unparseable([]) is None


def test_a_student_whose_commands_are_impossible_is_noticed():
    def with_valid(one, valid):
        return one.with_(steps=tuple(step.with_(valid=valid) for step in one.steps))

    episodes = [episode(n, False, command="look.") for n in range(10)]
    assert "'look.'" in find_inadmissible([with_valid(one, False) for one in episodes])
    assert find_inadmissible([with_valid(one, number > 3) for number, one in enumerate(episodes)]) is None
    assert find_inadmissible([]) is None


def test_models_are_compared_on_what_both_have_a_score_on():
    first = [episode(number, success) for number, success in enumerate([True, True, True, False, None, True])]
    second = [episode(number, success) for number, success in enumerate([True, False, False, True, True, None, True])]
    found = compare(("a", first), ("b", second), 0.95)
    assert (found.first, found.second, found.num_episodes) == ("a", "b", 4)
    assert (found.num_only_first, found.num_only_second, found.difference) == (2, 1, 0.25)
    assert found.interval.low < 0.25 < found.interval.high
    turned = compare(("b", second), ("a", first), 0.95)
    assert turned.difference == -0.25
    assert turned.interval.low == pytest.approx(-found.interval.high)
    with pytest.raises(StageFailedError, match="spec"):
        compare(("a", first[:1]), ("b", second[1:]), 0.95)


def test_pairs_that_agree_tell_more_than_independent_ones():
    agreeing, independent = paired_interval(45, 10, 0, 45, 0.95), paired_interval(25, 30, 20, 25, 0.95)
    assert 0 < agreeing.low < 0.1 < agreeing.high
    assert independent.low < 0 < 0.1 < independent.high


def test_a_paired_interval_covers_the_true_difference_as_often_as_it_says():
    """Exact: over all outcomes of 16 specs whose pairs agree more often than chance."""
    chances, num, covered = (0.45, 0.25, 0.05, 0.25), 16, 0.0
    for both in range(num + 1):
        for only_first in range(num + 1 - both):
            for only_second in range(num + 1 - both - only_first):
                counts = (both, only_first, only_second, num - both - only_first - only_second)
                ways = math.factorial(num) / math.prod(map(math.factorial, counts))
                interval = paired_interval(*counts, 0.95)
                if interval.low <= chances[1] - chances[2] <= interval.high:
                    covered += ways * math.prod(chance**count for chance, count in zip(chances, counts, strict=True))
    assert 0.93 <= covered <= 0.99
