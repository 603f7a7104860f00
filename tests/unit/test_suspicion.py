"""Scores that may have been steered: kept, said, and left out of what anyone learns from."""

import pytest
from report_data import evaluation, report_data

from flows.results.summary import line_of
from leap_core.envs.intercode_bash.nl2bash.reward import suspect
from leap_core.method.correction import needs_correction
from leap_core.method.demonstrations import successful
from leap_core.method.evaluation import summarise
from leap_core.report.page import render
from leap_core.types import Action, EvaluationResult, Observation, Spec, Step, StopReason, Trajectory
from tasks.playing import PlayedCounts

ROOT = "0 /.gitignore\n"
IGNORE = "1 /yard/.gitignore\n"


def episode(number, *, score=1.0, suspicion=None):
    step = Step(index=0, observation=Observation(text=""), action=Action(reason="", command="ls"))
    return Trajectory(
        id=f"i1/{number}", iteration=1, student="s", steps=(step,), stop_reason=StopReason.TERMINATED, score=score,
        success=score == 1, suspicion=suspicion, final_observation="Submitted.",
        spec=Spec(id=f"test/{number}", env="intercode_bash", split="test", instruction="list"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("steering", "gold_steering", "status", "gold_status", "why"),
    [
        (ROOT, ROOT, " M a\n", "", None),
        (ROOT + IGNORE, ROOT, "", "", "/yard/.gitignore"),
        (ROOT, ROOT + IGNORE, "", "", "/yard/.gitignore"),
        (ROOT + IGNORE, ROOT + "2 /yard/.gitignore\n", "", "", "changed by /yard/.gitignore"),
        (ROOT + IGNORE, ROOT + IGNORE, "", "", None),
        (None, ROOT, None, "", "could not be read"),
        (ROOT, ROOT, '?? "a ?? new.txt ?? b"\n', "", "falls apart"),
        (ROOT, ROOT, '?? "a M new.txt M b"\n', "", "falls apart"),
        (ROOT, ROOT, '?? "a M b"\n', '?? "a M b"\n', None),
        (ROOT, ROOT, '?? "a b.txt"\n M "b c"\n', "", None),
    ],
)
def test_what_is_suspect(steering, gold_steering, status, gold_status, why):
    found = suspect(steering, gold_steering, status, gold_status)
    assert why in found if why else found is None


def test_results_keep_them_and_say_how_many():
    played = [episode(0), episode(1, suspicion="x"), episode(2, score=0.5, suspicion="x")]
    result = summarise(played, 1, "test", 0.95)
    assert (result.success, result.num_suspect) == (pytest.approx(2 / 3), 1)
    assert PlayedCounts.of(played).suspect_episodes == 2
    assert EvaluationResult.model_validate(result.model_dump(mode="json")) == result
    assert "suspect successes 1" in line_of(result)
    assert "1 successes are suspect" in render(report_data(test=[result]))


def test_where_there_are_none_nothing_is_written():
    assert "num_suspect" not in summarise([episode(0)], 1, "test", 0.95).model_dump(mode="json")
    assert PlayedCounts.of([episode(0)]).suspect_episodes == 0
    assert "suspect" not in line_of(evaluation(1))


def test_nobody_learns_from_them_unless_told_to():
    assert successful([episode(0), episode(1, suspicion="x")]) == [episode(0)]
    failed = episode(0, score=0.3, suspicion="x")
    assert not needs_correction(failed, 0.5)
    assert needs_correction(failed, 0.5, keep_suspect=True)
    assert needs_correction(episode(0, score=0.3), 0.5)
