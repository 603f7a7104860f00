"""The report: one page that needs nothing else, says what the records say, and trusts no text in them.

Not covered here: the browser's script at work. Its data and its hash in the security policy are.
"""

import base64
import hashlib
import itertools
import json
from html.parser import HTMLParser

import pytest
from report_data import (
    correction,
    episode,
    episodes,
    evaluation,
    iteration,
    report_data,
    stages,
    trajectory,
)

from leap_core.report import formats, summary
from leap_core.report.episodes import MAX_TEXT, episodes_json
from leap_core.report.model import EpisodeReport, ReportData, StageReport
from leap_core.report.page import write_report
from leap_core.types import Action, CorrectionStatus, Observation, StopReason

HOSTILE = "<script>alert(1)</script></SCRIPT><!--<img src=x onerror='alert(2)'>\"'&lt;{{ 7 * 7 }}\u2028\u0000日本"


class Page(HTMLParser):
    """Reads a page as a browser's tokenizer would: elements with attributes, and the text of each."""

    VOID = frozenset({"meta", "input", "br", "img", "link"})

    def __init__(self, text):
        super().__init__()
        self.elements, self._open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append([tag, dict(attrs), ""])
        if tag in {"td", "th", "br", "small", "span"}:
            self.handle_data(" ")
        if tag not in self.VOID:
            self._open.append(self.elements[-1])

    def handle_startendtag(self, tag, attrs):
        self.elements.append([tag, dict(attrs), ""])

    def handle_endtag(self, tag):
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        for element in self._open:
            element[2] += data

    def all(self, tag, **attributes):
        return [e for e in self.elements if e[0] == tag and attributes.items() <= e[1].items()]

    def rows(self, label):
        """Words of each row of the table in the region so labelled."""
        start = next(i for i, e in enumerate(self.elements) if e[1].get("aria-label") == label)
        rows = []
        for tag, _, text in self.elements[start:]:
            if tag == "section":
                break
            if tag == "div" and rows:
                break
            if tag == "tr":
                rows.append(" ".join(text.split()))
        return rows


def write(tmp_path, data):
    return write_report(data, tmp_path / "report.html").read_text(encoding="utf-8")


def page(tmp_path, **changes):
    return Page(write(tmp_path, report_data(**changes)))


def embedded(read_page):
    return json.loads(read_page.all("script", type="application/json")[0][2])


# Headline and hints


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "Test success 31.5 % → 86.0 % (best on dev: iteration 3)"),
        ({"test": []}, "Dev success 31.0 % → 84.0 % (best on dev: iteration 3)"),
        ({"test": [evaluation(3, "test", 0.86)]}, "Test success 86.0 % (best on dev: iteration 3)"),
        ({"test": [evaluation(2, "test", 0.5)]}, "Test success 50.0 % (iteration 2)"),
        ({"best_iteration": 0}, "Test success 31.5 % (best on dev: iteration 0, no later one did better)"),
        ({"num_iterations": 1, "test": [], "best_iteration": 0}, "Dev success 31.0 % (best on dev: iteration 0)"),
        ({"num_iterations": 0, "test": [], "best_iteration": None}, "No evaluation yet"),
    ],
)
def test_the_headline_is_computed_from_the_results(changes, said):
    assert summary.headline(report_data(**changes)).replace(formats.NBSP, " ") == said


def test_the_headline_does_not_mix_test_splits():
    unseen = [evaluation(0, "test_unseen", 0.9), evaluation(3, "test_unseen", 0.95)]
    seen = [evaluation(0, "test_seen", 0.2), evaluation(3, "test_seen", 0.4)]
    assert "20.0 % → 40.0 %" in summary.headline(report_data(test=seen + unseen)).replace(formats.NBSP, " ")


def test_nothing_is_hinted_at_when_nothing_is_missing():
    assert summary.hints(report_data()) == []


def test_hints_name_what_is_missing_or_failed():
    without_dev = iteration(2).with_(dev=None)
    failed = iteration(1).with_(dev=evaluation(1, num_errors=12))
    said = summary.hints(report_data(iterations=[iteration(0), failed, without_dev], test=[]))
    assert len(said) == 3
    assert "No dev evaluation of iteration 2." in said
    assert any("No test evaluation yet" in hint for hint in said)
    assert any("Iteration 1, dev: 12 episodes failed to run" in hint for hint in said)


def test_a_best_iteration_without_a_test_result_is_hinted_at():
    assert summary.hints(report_data(test=[evaluation(0, "test", 0.3)])) == [
        "The best iteration on dev, 3, has not been evaluated on test."
    ]


@pytest.mark.parametrize(("after", "overlaps"), [(0.36, True), (0.60, False)])
def test_overlapping_intervals_are_said_to_overlap(after, overlaps):
    test = [evaluation(0, "test", 0.30, 200), evaluation(3, "test", after, 200)]
    assert any("overlap" in hint for hint in summary.hints(report_data(test=test))) == overlaps


# The file


def test_the_page_loads_nothing_from_elsewhere(tmp_path):
    read = page(tmp_path)
    assert not read.all("link") + read.all("img") + read.all("iframe")
    assert [attrs for tag, attrs, _ in read.elements if "src" in attrs] == []
    assert all(attrs["href"].startswith("#") for tag, attrs, _ in read.elements if "href" in attrs)
    style = read.all("style")[0][2]
    assert "url(" not in style
    assert "@import" not in style


def test_only_the_page_s_own_script_may_run(tmp_path):
    read = page(tmp_path)
    policy = read.all("meta", **{"http-equiv": "Content-Security-Policy"})[0][1]["content"]
    (script,) = [text for _, attrs, text in read.all("script") if "type" not in attrs]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy
    assert "innerHTML" not in script


def test_equal_data_gives_equal_bytes_whatever_the_order_of_keys(tmp_path):
    data = report_data()

    def reversed_keys(value):
        if isinstance(value, dict):
            return {key: reversed_keys(value[key]) for key in reversed(value)}
        return [reversed_keys(item) for item in value] if isinstance(value, list) else value

    turned = ReportData.model_validate(reversed_keys(data.model_dump(mode="json")))
    assert turned == data
    assert write(tmp_path, turned) == write(tmp_path, data)


def test_writing_replaces_the_old_page_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "new" / "report.html"
    assert write_report(report_data(0, 0, test=[], best_iteration=None), path) == path
    assert write_report(report_data(), path) == path
    assert "86.0" in path.read_text(encoding="utf-8")
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]


def test_many_long_episodes_stay_small(tmp_path):
    path = write_report(report_data(episodes=episodes(200, num_steps=23)), tmp_path / "report.html")
    assert path.stat().st_size < 3_000_000


def test_tables_have_captions_ids_are_unique_and_headings_do_not_skip(tmp_path):
    read = page(tmp_path)
    assert len(read.all("caption")) == len(read.all("table")) > 5
    ids = [attrs["id"] for _, attrs, _ in read.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    levels = [int(tag[1]) for tag, _, _ in read.elements if tag in {"h1", "h2", "h3", "h4"}]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    targets = {attrs["href"][1:] for _, attrs, _ in read.all("a") if "href" in attrs}
    assert targets <= set(ids)


@pytest.mark.parametrize("num_iterations", [0, 1, 2, 11])
def test_any_number_of_iterations_makes_a_page(tmp_path, num_iterations):
    read = page(tmp_path, num_iterations=num_iterations, num_episodes=0, test=[], best_iteration=None, stages=[])
    dev_rows = [row for row in read.rows("Evaluations") if row.startswith("dev")] if num_iterations else []
    assert len(dev_rows) == num_iterations


# Hostile text


def hostile_data():
    steps = tuple(
        step.with_(
            observation=Observation(text=HOSTILE),
            action=Action(reason=HOSTILE, command=HOSTILE),
            reply=HOSTILE,
            valid=False,
        )
        for step in trajectory(1).steps
    )
    played = trajectory(1, instruction=HOSTILE, id=HOSTILE, steps=steps, student=HOSTILE, final_observation=HOSTILE)
    corrected = correction(played).with_(error=HOSTILE, teacher=HOSTILE)
    shown = EpisodeReport(iteration=1, split=HOSTILE, trajectory=played, correction=corrected)
    odd = evaluation(0, HOSTILE, 0.5, success_by_group={HOSTILE: 0.5}, num_by_group={HOSTILE: 9})
    return report_data(
        experiment=HOSTILE,
        created_at=HOSTILE,
        config={HOSTILE: {HOSTILE: HOSTILE}},
        iterations=[iteration(1).with_(teacher=HOSTILE, rejected_by_reason={HOSTILE: 3})],
        test=[odd],
        stages=[
            StageReport(
                stage=HOSTILE, artifact=HOSTILE, state="cached", seconds=1.0, counts={HOSTILE: 1}, cost_usd=None
            )
        ],
        episodes=[shown],
        notes=[HOSTILE],
        packages={HOSTILE: HOSTILE},
        git_revision=HOSTILE,
        messages=[HOSTILE],
    )


def test_hostile_text_makes_no_elements_anywhere(tmp_path):
    plain, hostile = page(tmp_path), Page(write(tmp_path, hostile_data()))
    assert len(hostile.all("script")) == len(plain.all("script")) == 2
    assert not hostile.all("img")
    assert "onerror" not in {name for _, attrs, _ in hostile.elements for name in attrs}
    assert hostile.all("ul", **{"class": "messages"})[0][2].count("<script>alert(1)</script>") == 1
    assert "{{ 7 * 7 }}" in hostile.all("title")[0][2]


def test_hostile_text_reaches_the_browser_unchanged(tmp_path):
    data = embedded(Page(write(tmp_path, hostile_data())))
    shown = data["episodes"][0]
    assert shown["title"] == shown["final"] == shown["split"] == HOSTILE
    assert [data["texts"][place] for place in shown["steps"][0]] == [HOSTILE] * 4
    assert shown["teacherError"] == HOSTILE


def test_very_long_text_is_cut_and_says_so():
    played = trajectory(1, final_observation="z" * (MAX_TEXT + 1234))
    shown = json.loads(episodes_json([EpisodeReport(iteration=1, split="train", trajectory=played)]))["episodes"][0]
    assert shown["final"] == "z" * MAX_TEXT + " … (1,234 more characters)"


# Tables


def test_success_by_group_shows_share_and_number_and_a_dash_where_there_is_none(tmp_path):
    one = evaluation(0, success_by_group={"heat": 0.25, "cool": 1.0}, num_by_group={"heat": 8, "cool": 3})
    two = evaluation(1, success_by_group={"heat": 0.5}, num_by_group={"heat": 8})
    made = [iteration(0).with_(dev=one), iteration(1).with_(dev=two)]
    rows = page(tmp_path, iterations=made, test=[]).rows("Success by type")
    assert rows == ["Type dev 0 dev 1", "cool 100 n 3 –", "heat 25 n 8 50 n 8", "All 31 n 100 52 n 100"]


def test_corrections_are_shown_with_reasons_and_rates(tmp_path):
    read = page(tmp_path)
    rows = [row.replace(formats.NBSP, " ") for row in read.rows("Corrections")]
    assert rows[1] == "0 no rollouts: learned from demonstrations alone"
    assert rows[2] == "1 oracle, 25 % 200 31.0 % 138 621 575 46 leak 23, not admissible 23 1.9 % 485,760 $0.0132"
    assert rows[3].endswith("unknown")
    spoken = [attrs["aria-label"] for _, attrs, _ in read.all("div", **{"class": "bar"})]
    assert spoken[0] == "Iteration 1: 621 steps kept, 575 changed, 46 rejected"
    assert len(spoken) == 3
    assert read.rows("Training")[2] == "1 338 43 10 3.0e-05 0.1333 0.1000"


def test_an_unknown_cost_is_never_nothing(tmp_path):
    rows = [row.replace(formats.NBSP, " ") for row in page(tmp_path).rows("Stages")]
    (corrected,) = [row for row in rows if row.startswith("correct 2")]
    assert corrected.endswith("unknown")
    assert rows[-2] == "All 20 stages 18 min 37 s unknown known part $0.80"
    assert rows[-1] == "Made in this run: 10 9 min 29 s unknown known part $0.40"


def test_known_costs_add_up(tmp_path):
    known = [stage.with_(cost_usd=1.25) for stage in stages(1)]
    rows = page(tmp_path, stages=known).rows("Stages")
    assert rows[-2].endswith("$6.25")
    assert rows[-1].endswith("$0.00")


def test_settings_are_listed_by_their_full_name(tmp_path):
    rows = page(tmp_path).rows("Configuration")
    assert "environment.max_steps 20" in rows
    assert "environment.params {}" in rows
    assert 'training.trainer "sft"' in rows


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (formats.percent(None), "–"),
        (formats.percent(float("nan")), "–"),
        (formats.points(-0.05), "\u22125.0 points"),
        (formats.duration(59.94), "59.9 s"),
        (formats.duration(59.96), "1 min 00 s"),
        (formats.duration(3599.6), "1 h 00 min"),
        (formats.cost(None), "unknown"),
        (formats.cost(0.0), "$0.00"),
        (formats.cost(0.0042), "$0.0042"),
        (formats.cost(1234.5), "$1,234.50"),
    ],
)
def test_numbers_are_written_for_people(written, said):
    assert written.replace(formats.NBSP, " ") == said


# Episodes


def test_the_browser_s_data_pairs_each_step_with_its_correction():
    shown = episode(7)
    data = json.loads(episodes_json([shown]))
    texts, record = data["texts"], data["episodes"][0]
    assert len(record["steps"]) == len(record["corrections"]) == len(shown.trajectory.steps)
    for step, corrected in zip(shown.trajectory.steps, shown.correction.steps, strict=True):
        observation, reason, command, reply = record["steps"][step.index]
        assert (texts[observation], texts[reason]) == (step.observation.text, step.action.reason)
        assert texts[command] == step.action.command
        assert (reply is None) == step.valid
        status, reason, command, why = record["corrections"][str(step.index)]
        assert (texts[reason], texts[command], texts[why]) == (corrected.reason, corrected.command, corrected.why)
        assert CorrectionStatus(status) == corrected.status
    assert {corrected.status for corrected in shown.correction.steps} == set(CorrectionStatus)


def test_an_episode_that_failed_to_run_is_an_error_not_a_failure():
    broken = trajectory(
        1, stop_reason=StopReason.ENV_ERROR, score=None, success=None, error="the engine died", num_steps=2
    )
    made = [
        EpisodeReport(iteration=1, split="train", trajectory=broken),
        episode(2, success=False),
        episode(3, success=True, corrected=False),
    ]
    shown = json.loads(episodes_json(made))["episodes"]
    assert [one["outcome"] for one in shown] == ["error", "failure", "success"]
    assert shown[0]["error"] == "the engine died"
    assert ["Score", "–"] in shown[0]["facts"]


def test_every_episode_has_an_address_of_its_own():
    keys = [
        one["key"] for one in json.loads(episodes_json([episode(1), episode(1), episode(1, iteration=2)]))["episodes"]
    ]
    assert keys == ["1/train/i1-e1", "1/train/i1-e1~2", "2/train/i2-e1"]


def test_nothing_but_the_reports_own_records_is_accepted():
    with pytest.raises(ValueError, match="privileged"):
        ReportData.model_validate(report_data().model_dump() | {"privileged": "the mug is in drawer 2"})


def test_a_training_within_its_warm_up_and_prompts_beyond_the_context_are_hinted_at():
    data = report_data()
    first = data.iterations[0]
    short = first.with_(num_updates=3, num_warmup=10, dev=first.dev.with_(num_out_of_context=4))
    told = " ".join(summary.hints(data.with_(iterations=[short, *data.iterations[1:]])))
    assert "Iteration 0 was trained for 3 updates, fewer than the 10 of its warm-up" in told
    assert "Iteration 0, dev: 4 episodes failed because a prompt was longer" in told
    assert "warm-up" not in " ".join(summary.hints(data))
