"""The report's charts: every result at its place, nothing invented between them."""

import xml.etree.ElementTree as ElementTree

import pytest
from report_data import evaluation, iteration, report_data

from leap_core.report import charts, formats


def chart_elements(svg, css):
    return [e for e in ElementTree.fromstring(svg).iter() if css in e.get("class", "").split()]


def test_a_chart_marks_every_dev_and_test_result_with_its_interval():
    svg = charts.deciding_chart(report_data())
    dev, test = chart_elements(svg, "dev"), chart_elements(svg, "test")
    marks = [mark for mark in dev + test if mark.tag == "g"]
    assert len(marks) == 6
    assert all(len([part for part in mark if part.get("class") == "bar"]) == 1 for mark in marks)
    titles = [mark.find("title").text.replace(formats.NBSP, " ") for mark in marks]
    assert "Iteration 3, test: 86.0 % (81.2–90.8 %), 200 episodes" in titles
    assert len(chart_elements(svg, "ring")) == 1


def test_higher_success_is_drawn_higher_and_to_scale():
    svg = charts.deciding_chart(report_data(3, iterations=[iteration(0), iteration(1), iteration(3)], test=[]))
    heights = [float(dot.get("cy")) for dot in chart_elements(svg, "dot")]
    grid = [float(line.get("y1")) for line in chart_elements(svg, "grid")]
    shares = [(grid[0] - height) / (grid[0] - grid[-1]) for height in heights]
    assert shares == pytest.approx([0.31, 0.52, 0.84], abs=0.001)


@pytest.mark.parametrize("draw", [charts.deciding_chart, charts.actions_chart])
@pytest.mark.parametrize("num_iterations", [1, 2, 11])
def test_nothing_is_drawn_outside_a_chart(draw, num_iterations):
    svg = ElementTree.fromstring(draw(report_data(num_iterations)))
    for element in svg.iter():
        for name, limit in (("x", charts.WIDTH), ("cx", charts.WIDTH), ("y", charts.HEIGHT), ("cy", charts.HEIGHT)):
            assert 0 <= float(element.get(name, "0")) <= limit


def test_an_iteration_without_dev_leaves_a_gap_in_the_line():
    gap = iteration(2).with_(dev=None)
    whole = charts.deciding_chart(report_data(5))
    broken = charts.deciding_chart(
        report_data(5, iterations=[iteration(0), iteration(1), gap, iteration(3), iteration(4)])
    )
    assert len(chart_elements(whole, "line")) == 1
    assert len(chart_elements(broken, "line")) == 2


def test_results_that_are_not_numbers_are_left_out_of_charts():
    nan = iteration(1).with_(dev=evaluation(1, mean_actions=float("nan")))
    data = report_data(iterations=[iteration(0), nan], test=[])
    assert len(chart_elements(charts.actions_chart(data), "dot")) == 1
    assert len(chart_elements(charts.deciding_chart(data), "dot")) == 2


def test_the_action_limit_of_the_configuration_is_drawn():
    assert len(chart_elements(charts.actions_chart(report_data()), "limit")) == 1
    assert chart_elements(charts.actions_chart(report_data(config={})), "limit") == []


def test_the_action_limit_is_that_of_judging():
    """Compared through where it is drawn: 30 is at the same height however it came to be the limit."""

    def height(**config):
        return chart_elements(charts.actions_chart(report_data(config=config)), "limit")[0].get("y1")

    environment = {"max_steps": 15}
    assert height(environment=environment, evaluation={"max_steps": 30}) == height(environment={"max_steps": 30})
    assert height(environment=environment, evaluation={"max_steps": None}) == height(environment=environment)
