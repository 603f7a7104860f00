"""The parts of a score: what an environment tells is what the evaluation, the report and the command line show."""

import pytest
from report_data import evaluation, report_data

from flows.results.summary import line_of
from leap_core.method.evaluation import summarise
from leap_core.parts import mean_parts, read_parts, tell_parts
from leap_core.report.page import render
from leap_core.types import EvaluationResult, Spec, StopReason, Trajectory


@pytest.mark.parametrize(
    "parts", [{"type": 1.0, "attributes": 0.3333, "price": 0.0}, {"two words": 0.5}, {"type": 0.1, "options": 0.75}, {}]
)
def test_what_was_told_is_read_back(parts):
    assert read_parts(f"Thank you!\n{tell_parts(parts)}\n") == parts


def test_texts_without_parts():
    assert read_parts("Parts of the score are not told. Parts of the score: none") == {}


def test_an_episode_that_was_broken_off_counts_as_nothing_and_a_part_not_asked_for_does_not_count():
    told = [{"type": 1.0, "options": 0.5}, {"type": 0.5}, {}]
    means = mean_parts([tell_parts(parts) if parts else "a page" for parts in told])
    assert means == {"type": 0.5, "options": 0.25}


def episode(number, last, score, stop=StopReason.TERMINATED):
    spec = Spec(id=f"test/{number}", env="webshop", split="test", instruction="buy", group="x")
    return Trajectory(
        id=f"i1/{number}", spec=spec, iteration=1, student="s", steps=(), final_observation=last,
        stop_reason=stop, score=score, success=score == 1,
    )  # fmt: skip


def test_a_result_has_the_means_and_is_written_without_them_where_there_are_none():
    cheap, dear = ({"type": 1.0, "price": price} for price in (1.0, 0.0))
    bought = [episode(0, tell_parts(cheap), 1.0), episode(1, tell_parts(dear), 0.5)]
    broken_off = episode(2, f"I write:\n{tell_parts(cheap)}", 0.0, StopReason.STEP_LIMIT)
    assert summarise([*bought, broken_off], 1, "test", 0.95).mean_parts["type"] == pytest.approx(2 / 3)
    result = summarise(bought, 1, "test", 0.95)
    assert result.mean_parts == {"type": 1.0, "price": 0.5}
    assert EvaluationResult.model_validate(result.model_dump(mode="json")) == result
    plain = summarise([episode(0, "a mug", 1.0)], 1, "test", 0.95)
    assert "mean_parts" not in plain.model_dump(mode="json")
    assert EvaluationResult.model_validate_json(plain.model_dump_json()) == plain


def test_people_are_shown_them():
    result = evaluation(1, "test", mean_parts={"type": 0.9123, "price": 1.0})
    assert "(type 0.912, price 1.000)" in line_of(result)
    assert "(" not in line_of(evaluation(1))
    page = render(report_data(test=[result]))
    assert '<th scope="col" class="n">Type</th><th scope="col" class="n">Price</th>' in page
    assert '<td class="n">0.912</td>' in page
    assert '<td class="n">–</td>' in page
    assert '<th scope="col" class="n">Price</th>' not in render(report_data())
