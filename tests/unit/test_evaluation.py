"""Rates, intervals, and errors that never look like low scores."""

import pytest

from leap_core.errors import StageFailedError
from leap_core.evaluation import summarise, wilson_interval
from leap_core.rollout import check_episodes
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


def test_a_student_that_answers_rubbish_fails_the_stage():
    with pytest.raises(StageFailedError, match="bla bla"):
        check_episodes([episode(n, False, command="") for n in range(10)], 0.0)
