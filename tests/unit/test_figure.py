"""The figure that decides between models, success or mean score: chosen by, given an interval, and shown first."""

from types import SimpleNamespace

import numpy as np
import pytest
from report_data import evaluation, iteration, report_data

from flows.evaluate import JudgedModel, Judgement
from flows.iteration import Iteration
from flows.prefect_side.ui import table_of
from flows.results.summary import best_on_dev, line_of, lines_of, summarise_run
from leap_core.config import LeapConfig
from leap_core.disk.files import write_json
from leap_core.method.evaluation import best_of, bootstrap_interval, compare, summarise
from leap_core.report import formats, summary
from leap_core.report.charts import deciding_chart
from leap_core.report.page import render
from leap_core.types import ArtifactRef, EvaluationResult, Interval, Spec, StopReason, Trajectory
from tasks.correction import CorrectionCounts
from tasks.dataset import Source
from tasks.evaluation import RESULT


def episode(number, score, success=None, group="g"):
    spec = Spec(id=str(number), env="webshop", split="dev", instruction="buy", group=group)
    return Trajectory(
        id=str(number), spec=spec, iteration=1, student="x", steps=(), final_observation="",
        stop_reason=StopReason.TERMINATED, score=score, success=score == 1 if success is None else success,
    )  # fmt: skip


def played(*scores):
    return [episode(number, score) for number, score in enumerate(scores)]


def by_score(number, split="dev", score=0.6, success=0.2, **changes):
    around = Interval(low=score - 0.05, high=score + 0.05)
    groups = {"score_by_group": {"shoes": score, "lamps": 0.25}, "success_by_group": {"shoes": 0.5, "lamps": 0.0}}
    values = {
        "figure": "score",
        "mean_score": score,
        "score_interval": around,
        "num_by_group": {"shoes": 9, "lamps": 4},
    }
    return evaluation(number, split, success, **groups | values | changes)


# Intervals


# All resamples by hand. Of [0, 1]: means 0, 1/2, 1 with chances 1/4, 1/2, 1/4. Of [0, 0, 1]: means 0, 1/3, 2/3, 1 with
# chances 8/27, 12/27, 6/27, 1/27.
@pytest.mark.parametrize(
    ("values", "confidence", "low", "high"),
    [
        ([0, 1], 0.95, 0, 1),
        ([0, 1], 0.4, 1 / 2, 1 / 2),
        ([0, 0, 1], 0.95, 0, 1),
        ([0, 0, 1], 0.9, 0, 2 / 3),
        ([1, 0, 0], 0.36, 1 / 3, 1 / 3),
        ([0.1] * 7, 0.95, 0.1, 0.1),
        ([-0.5], 0.95, -0.5, -0.5),
    ],
)
def test_a_bootstrap_interval_is_that_of_all_resamples(values, confidence, low, high):
    found = bootstrap_interval(values, confidence)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_many_values_give_the_interval_of_the_normal_distribution():
    values = np.random.default_rng(1).random(400)
    found, half = bootstrap_interval(list(values), 0.95), 1.96 * values.std() / 20
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)
    assert bootstrap_interval(list(values[::-1]), 0.95) == found


def pairs_of_shops(generator):
    """Scores in thirds: the second model loses a third on one spec of four, and gains one on one of twenty."""
    change = generator.choice([-1 / 3, 0, 1 / 3], size=(300, 40), p=[0.25, 0.7, 0.05])
    first = generator.choice([1 / 3, 2 / 3], size=change.shape)
    return first, first + change, 0.2 / 3


def pairs_that_vary(generator):
    """Scores that hang on the spec, and on the model with a noise that leans to one side."""
    spec = generator.random((300, 40))
    first, second = (generator.exponential(0.1, spec.shape) for _ in range(2))
    return 0.5 * spec + first + 0.05, 0.5 * spec + second, 0.05


@pytest.mark.slow
@pytest.mark.parametrize("draw", [pairs_of_shops, pairs_that_vary])
def test_a_paired_interval_of_scores_covers_the_true_difference_as_often_as_it_says(draw):
    first, second, truth = draw(np.random.default_rng(7))
    intervals = [bootstrap_interval(list(ours - theirs), 0.95) for ours, theirs in zip(first, second, strict=True)]
    covered = np.mean([one.low <= truth <= one.high for one in intervals])
    assert 0.90 <= covered <= 0.98


def test_models_are_compared_by_score_on_what_both_have_a_score_on():
    first, second = played(1.0, 0.5, 0.75, 1.0), [*reversed(played(0.5, 0.5, 0.25)), episode(9, 1.0)]
    found = compare(("a", first), ("b", second), 0.95, "score")
    assert (found.figure, found.num_episodes) == ("score", 3)
    assert found.score_difference == pytest.approx(1 / 3)
    assert found.score_interval == bootstrap_interval([0.5, 0.0, 0.5], 0.95)
    assert (found.num_only_first, found.num_only_second) == (1, 0)
    assert found.difference == pytest.approx(1 / 3)
    turned = compare(("b", second), ("a", first), 0.95, "score")
    assert turned.score_interval.low == pytest.approx(-found.score_interval.high, abs=0.01)


def test_pairs_whose_scores_agree_tell_more_than_each_model_alone():
    first = played(*np.linspace(0.1, 0.9, 30))
    second = played(*np.linspace(0.1, 0.9, 30) - np.tile([0.05, 0.1], 15))
    found = compare(("a", first), ("b", second), 0.95, "score")
    alone = summarise(first, 1, "dev", 0.95, "score").score_interval
    assert 0.05 < found.score_interval.low < 0.075 < found.score_interval.high < 0.1
    assert alone.high - alone.low > 0.15


# Choosing


def test_a_result_tells_which_figure_decides():
    episodes = [episode(0, 1.0), episode(1, 0.5), episode(2, 0.0, group="h")]
    usual, shop = (summarise(episodes, 1, "dev", 0.95, figure) for figure in ("success", "score"))
    assert (usual.deciding, usual.deciding_interval) == (pytest.approx(1 / 3), usual.interval)
    assert (shop.deciding, shop.deciding_interval) == (0.5, bootstrap_interval([1.0, 0.5, 0.0], 0.95))
    assert (usual.deciding_by_group, shop.deciding_by_group) == ({"g": 0.5, "h": 0.0}, {"g": 0.75, "h": 0.0})
    assert EvaluationResult.model_validate_json(shop.model_dump_json()) == shop


def test_a_result_of_an_earlier_version_is_decided_by_success():
    written = evaluation(1).model_dump(mode="json")
    for name in ("figure", "score_interval", "score_by_group"):
        del written[name]
    read = EvaluationResult.model_validate(written)
    assert (read.deciding, read.deciding_interval) == (read.success, read.interval)
    with pytest.raises(ValueError, match="interval"):
        EvaluationResult.model_validate(written | {"figure": "score"})


CASES = [
    ("success", [(0.2, 0.7), (0.3, 0.6), (0.3, 0.9)], 1),
    ("score", [(0.2, 0.7), (0.3, 0.6), (0.1, 0.7)], 0),
    ("score", [(0.9, 0.4), (0.3, 0.6), (0.1, 0.7)], 2),
]


def results_of(figure, pairs):
    return [by_score(n, success=success, score=score, figure=figure) for n, (success, score) in enumerate(pairs)]


@pytest.mark.parametrize(("figure", "pairs", "best"), CASES)
def test_the_best_is_chosen_by_the_figure_that_decides_and_is_the_earliest_of_equals(figure, pairs, best):
    results = results_of(figure, pairs)
    assert best_of(results).iteration == best
    assert best_of(results[::-1]).iteration == best


@pytest.mark.parametrize(("figure", "pairs", "best"), CASES)
def test_the_flow_tests_the_iteration_that_the_summary_calls_best(tmp_path, figure, pairs, best):
    iterations = []
    for result in results_of(figure, pairs):
        ref = ArtifactRef(stage="evaluation", name=f"x-i{result.iteration}", key="a" * 64, digest="b" * 64)
        (tmp_path / ref.name).mkdir()
        write_json(tmp_path / ref.name / RESULT, result.model_dump(mode="json"))
        iterations.append(
            Iteration(number=result.iteration, sources=(Source(rows=ref),), dataset=ref, model=ref, dev=ref)
        )
    store = SimpleNamespace(
        path=lambda ref: tmp_path / ref.name,
        home=tmp_path / "artifacts",
        record=lambda ref: SimpleNamespace(counts=CorrectionCounts.of([], 0).flat()),
    )
    run = SimpleNamespace(store=store, config=LeapConfig(), outcomes=[], refs={})
    assert best_on_dev(run, iterations).number == best
    found = summarise_run(run, iterations, [iterations[best].dev])
    assert (found.best_iteration, found.test.iteration) == (best, best)
    said = next(line for line in lines_of(found) if line.startswith("best on dev"))
    assert said == f"best on dev: iteration {best}" + (", by its mean score" if figure == "score" else "")
    assert [list(row)[2] for row in table_of(found)] == [figure] * 4
    if figure == "score":
        assert table_of(found)[0]["interval"] == f"[{pairs[0][1] - 0.05:.3f}, {pairs[0][1] + 0.05:.3f}]"


# Showing


def test_a_line_says_first_what_decides():
    assert "dev   success  20.0% [12.2%, 27.8%]  actions" in line_of(by_score(1, figure="success"))
    said = line_of(by_score(1, mean_parts={"type": 0.9}))
    assert "dev   score 0.600 [0.550, 0.650]  actions" in said
    assert said.endswith("success  20.0% [12.2%, 27.8%]  score's parts: type 0.900")


def judgement(figure):
    first, second = played(1.0, 0.5, 0.75), played(0.5, 0.5, 1.0)
    models = [
        JudgedModel(model=name, artifact=name, result=summarise(episodes, 1, "dev", 0.95, figure), cost_usd=0)
        for name, episodes in (("a", first), ("b", second))
    ]
    comparisons = [compare(("a", first), ("b", second), 0.95, figure)]
    return Judgement(preset="p", split="dev", models=models, comparisons=comparisons).lines


def test_models_are_compared_in_words_by_what_decides_first():
    head, first, *_, sentence, _ = judgement("score")
    assert head.split()[1:5] == ["split", "score", "interval", "success"]
    assert first.split()[2:6] == ["0.750", "[0.500,", "1.000]", "33.3%"]
    assert head.index("success") + len("success") == first.index("33.3%") + len("33.3%")
    assert sentence.startswith(
        "a against b: +0.083 of mean score [-0.250, +0.500] on the same 3 specs; +0.0 points of "
    )
    assert sentence.endswith("1 solved by the first alone, 1 by the second alone")
    head, *_, sentence, _ = judgement("success")
    assert head.split()[1:5] == ["split", "success", "interval", "score"]
    assert sentence.startswith("a against b: +0.0 points of success [")


@pytest.fixture
def shop():
    made = [iteration(n).with_(dev=by_score(n, score=0.4 + 0.1 * n)) for n in range(3)]
    test = [by_score(0, "test", 0.41), by_score(2, "test", 0.72)]
    return report_data(iterations=made, best_iteration=2, test=test)


def test_a_report_s_words_are_about_the_score(shop):
    assert summary.headline(shop) == "Test mean score 0.410 → 0.720 (best on dev: iteration 2)"
    tiles = {tile.label: (tile.value, tile.detail.replace(formats.NBSP, " ")) for tile in summary.tiles(shop)}
    assert tiles["Test mean score"] == ("0.720", "0.670–0.770, 100 episodes")
    assert tiles["Against iteration 0"] == ("+0.310", "from 0.410")
    assert not any("overlap" in hint for hint in summary.hints(shop))
    near = shop.with_(test=[by_score(0, "test", 0.65), by_score(2, "test", 0.72)])
    assert any("overlap" in hint for hint in summary.hints(near))


def test_a_report_s_chart_and_tables_show_the_score(shop):
    chart, page = deciding_chart(shop), " ".join(render(shop).split())
    assert 'aria-label="Mean score by iteration.' in chart
    assert "Iteration 1, dev: 0.500 (0.450–0.550), 100 episodes" in chart
    assert ">0.72</text>" in chart
    assert "Mean score by type of spec" in page
    assert "--share:25.0%" in page
    assert ">0.25 <small>n 4</small>" in page
    assert page.index('class="n">Mean score</th>') < page.index('class="n">Success</th>')
    assert '<td class="n strong">0.720</td> <td class="n">0.670 to 0.770</td>' in page
    assert "Where the true mean score may lie" in page
    plain = " ".join(render(report_data()).split())
    assert plain.index('class="n">Success</th>') < plain.index('class="n">Mean score</th>')
    assert "Success by type of spec" in plain
