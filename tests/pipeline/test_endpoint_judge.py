"""`leap run` with a judge behind an endpoint: what it calls a leak trains nobody, and it is paid for once.

The corrections are the rule-based expert's; the server is the tests' own, and counts.
"""

import json
from pathlib import Path

import pytest
from chat_server import MODEL, ChatServer, error, reply
from leap_command import HERE, copy_home, digests, last_json, leap_here, text_in_prefect, text_of
from scripted_judge import judged_steps, judgement, reasons, verdicts

from leap_core.chat.journal import JOURNAL
from leap_core.errors import ArtifactError
from leap_core.method.tables import TRAIN_ROWS, VALIDATION_ROWS, read_corrections, read_judgements, read_training_rows
from leap_core.store.artifacts import ArtifactStore
from leap_core.types import CorrectionStatus

pytestmark = pytest.mark.slow

KEY = "sk-planted-98765432109876543210"
JUDGE = (*HERE, f"gate.judge={MODEL}")


def strict(body, n):
    """A judge that takes the first step that it is shown of each episode for a leak."""
    first = min(reasons(body))
    quote = " ".join(reasons(body)[first].split()[:3])
    steps = verdicts(body, **{f"step{first}": {"rests_on": "hidden", "claim": quote}})
    num_characters = sum(len(message["content"]) for message in body["messages"])
    return judgement(steps, prompt_tokens=num_characters // 4 + 200, completion_tokens=60 * len(steps) + 10)


def run(server, home, *more, command="run", **environment):
    settings = (*JUDGE, f"execution.teacher.base_url={server.url}", *more)
    return leap_here(
        command, "smoke", "--json", "--home", home, settings=settings, **{"OPENAI_API_KEY": KEY} | environment
    )


def record_of(home, stage, iteration=1):
    records = [one for one in ArtifactStore(home / "artifacts").records(stage) if one.iteration == iteration]
    (found,) = [one for one in records if stage != "dataset" or "judgement_1" in one.inputs]
    return found


@pytest.fixture(scope="module")
def whole(undisturbed, tmp_path_factory):
    """A home with the corrections of a run without a judge, judged: with the plan before, the end, and the requests."""
    home = copy_home(undisturbed.home, tmp_path_factory.mktemp("judged") / "home")
    with ChatServer(strict) as server:
        planned = run(server, home, "execution.teacher.budget_usd=1", command="plan")
        assert server.num_requests == 0
        done = run(server, home)
        return home, last_json(planned), done, server.num_requests


@pytest.fixture
def before(undisturbed, tmp_path):
    """A home with all corrections, of which none is judged."""
    return copy_home(undisturbed.home, tmp_path / "home")


def test_without_a_judge_there_is_no_such_stage(undisturbed):
    stages = {stage["stage"] for stage in last_json(undisturbed.done)["stages"]}
    assert "dataset" in stages
    assert "judgement" not in stages


def test_what_is_judged_a_leak_trains_nobody_and_is_counted(whole):
    home, _, done, num_requests = whole
    summary = last_json(done)
    states = {stage["stage"]: stage["state"] for stage in summary["stages"] if stage["iteration"] == 1}
    assert (states["correction"], states["judgement"], states["dataset"]) == ("cached", "computed", "computed")
    record, store = record_of(home, "judgement"), ArtifactStore(home / "artifacts")
    rows = read_judgements(store.path(record.ref))
    corrected = read_corrections(store.path(record_of(home, "correction").ref))
    passed = [
        (one.trajectory_id, step.step)
        for one in corrected
        for step in one.steps
        if step.status is not CorrectionStatus.REJECTED
    ]
    assert [(row.episode, row.step) for row in rows] == passed
    leaks = {(row.episode, row.step) for row in rows if row.leaks}
    assert record.counts["leaks"] == record.counts["rests_on:hidden"] == len(leaks) == num_requests > 1
    assert record.counts["corrections"] == len(rows) > len(leaks)
    assert record.counts["unjudged"] == 0
    assert record.usage.num_requests == record.metrics["requests_billed"] == num_requests
    dataset = record_of(home, "dataset")
    assert dataset.counts["objected:judge"] == len(leaks)
    taught = {
        (row.episode, row.step)
        for part in (TRAIN_ROWS, VALIDATION_ROWS)
        for row in read_training_rows(store.path(dataset.ref) / part)
        if row.iteration == 1
    }
    assert taught
    assert not taught & leaks
    said = summary["judgements"]["1"]
    assert (said["num_leaks"], said["num_corrections"]) == (len(leaks), len(rows))
    report = (home / "experiments" / "smoke" / "report.html").read_text(encoding="utf-8")
    assert "nobody could have written without the hidden state" in report
    assert all(claim["claim"] in report for claim in said["claims"])


def test_the_plan_foresees_it(whole):
    home, planned, done, num_requests = whole
    (estimate,) = planned["estimates"]
    bill = record_of(home, "judgement").usage
    assert (estimate["label"], estimate["endpoint"], estimate["model"]) == ("judgement-i1", "teacher", MODEL)
    assert "the corrections themselves" in estimate["basis"]
    assert estimate["usage"]["num_requests"] == estimate["num_episodes"] == num_requests
    assert estimate["usage"]["cost_usd"] == pytest.approx(bill.cost_usd, rel=0.35)
    (budget,) = planned["budgets"]
    assert (budget["spent"], budget["estimate"]) == (0, estimate["usage"]["cost_usd"])
    assert f"Paid in this run: ${bill.cost_usd:.4f} and " in done.stdout


def test_before_there_are_corrections_the_plan_goes_by_others(whole, tmp_path):
    def estimate_of(home):
        with ChatServer(strict) as server:
            planned = last_json(run(server, home, "rollout.temperature=0.9", command="plan"))
        (estimate,) = [one for one in planned["estimates"] if one["label"] == "judgement-i1"]
        return estimate

    by_corrections = estimate_of(whole[0])
    assert "corrections of correction/smoke-i1-" in by_corrections["basis"]
    by_episodes = estimate_of(copy_home(whole[0], tmp_path / "home", without=("correction", "judgement")))
    assert "every step of episodes of rollout/smoke-i1-" in by_episodes["basis"]
    assert by_episodes["usage"]["num_requests"] == by_corrections["usage"]["num_requests"] > 0
    nothing = estimate_of(tmp_path / "empty")
    assert nothing["usage"] is None


def test_nothing_is_asked_twice(whole):
    with ChatServer(strict) as server:
        again = last_json(run(server, whole[0]))
        assert server.num_requests == 0
    assert {stage["state"] for stage in again["stages"]} == {"cached"}


def test_a_spent_budget_stops_it_and_a_raised_one_goes_on(whole, before):
    home_of_whole, _, _, num_needed = whole
    cost = record_of(home_of_whole, "judgement").usage.cost_usd
    with ChatServer(strict) as server:
        few = "execution.teacher.max_concurrency=1"
        stopped = run(server, before, f"execution.teacher.budget_usd={cost * 0.7}", few)
        assert stopped.returncode == 1
        assert "episodes are done" in stopped.stderr
        assert 0 < server.num_requests < num_needed
        assert last_json(run(server, before, f"execution.teacher.budget_usd={cost * 5}"))
        assert server.num_requests == num_needed
    assert digests(before) == digests(home_of_whole)


ECHOES = {
    "bad requests": lambda body, n: error(400, f"cannot parse {json.dumps(body)} with {KEY}"),
    "replies that quote it all": lambda body, n: reply(f"{KEY} may not read {json.dumps(body)}"),
    "verdicts that quote it all": lambda body, n: judgement(
        [
            {"step": n, "claim": json.dumps(body), "why": json.dumps(body), "rests_on": "hidden"}
            for n in judged_steps(body)
        ]
    ),
}


@pytest.mark.parametrize("name", ECHOES)
def test_what_goes_wrong_fails_the_stage_and_tells_neither_key_nor_hidden_state(before, name):
    with ChatServer(ECHOES[name]) as server:
        done = run(server, before, "gate.judge_max_attempts=2", "execution.teacher.max_tries=2")
        assert server.num_requests > 0
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    told = done.stdout + done.stderr + text_in_prefect()
    kept = {path: text_of(path) for path in before.rglob("*")}
    told += "".join(text for path, text in kept.items() if not path.name.startswith(Path(JOURNAL).name))
    assert "judgement-i1" in told
    assert KEY not in told + "".join(kept.values())
    assert "What is hidden from the agent" not in told
    with pytest.raises(ArtifactError):
        ArtifactStore(before / "artifacts").resolve("judgement/smoke-i1")


def test_too_many_steps_without_a_verdict_fail_the_stage_unless_that_is_allowed(before):
    def half(body, n):
        return strict(body, n) if n % 2 else judgement([])

    with ChatServer(half) as server:
        few = ("gate.judge_max_attempts=1", "execution.teacher.max_concurrency=1")
        done = run(server, before, *few)
        assert done.returncode == 1
        assert "gate.max_unjudged_share" in done.stderr
        num_sent = server.num_requests
        assert last_json(run(server, before, *few, "gate.max_unjudged_share=0.9"))
        assert server.num_requests == num_sent
    counts = record_of(before, "judgement").counts
    assert 0 < counts["unjudged"] < counts["corrections"]
    assert record_of(before, "dataset").counts["objected:judge"] == counts["leaks"]
