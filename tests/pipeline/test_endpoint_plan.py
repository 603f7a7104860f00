"""`leap plan` before money is spent, beside the bill afterwards; and any model as a baseline, by `leap eval`."""

import re

import pytest
from chat_server import MODEL, ChatServer, reply
from leap_command import QUIET, copy_home, last_json, leap, shared_server
from scripted_teacher import advice, corrections

from leap_core.artifacts import ArtifactStore

pytestmark = pytest.mark.slow

TEACHER = (
    *("--set", "correction.teacher=openai", "--set", "correction.level=100"),
    *("--set", f'correction.params={{"model":"{MODEL}"}}'),
)


REASON = "I have not found what I need, and this place may hold it. Such things are often kept here, so I look."


def billed(body, n):
    """As an endpoint counts: a token for four characters; replies of the length that people write."""
    steps = advice(body, reason=REASON)
    num_characters = sum(len(message["content"]) for message in body["messages"])
    return corrections(steps, prompt_tokens=num_characters // 4 + 150, completion_tokens=70 * len(steps) + 50)


def test_the_plan_foresees_the_bill(undisturbed, tmp_path):
    home = copy_home(undisturbed.home, tmp_path / "home")
    planned = last_json(leap("plan", "smoke", "--json", "--home", home, *QUIET, *TEACHER))
    (estimate,) = planned["estimates"]
    assert estimate["label"] == "correction-i1"
    assert "sampled from the rollout itself" in estimate["basis"]
    with ChatServer(billed) as server:
        url = ("--set", f"execution.teacher.base_url={server.url}")
        ran = leap("run", "smoke", "--json", "--home", home, *QUIET, *TEACHER, *url, **shared_server())
        assert last_json(ran)
        assert server.num_requests == estimate["usage"]["num_requests"] == estimate["num_episodes"]
    records = ArtifactStore(home / "artifacts").records("correction")
    (bill,) = [record.metrics["billed_usd"] for record in records if record.config["teacher"] == "openai"]
    print(f"estimate ${estimate['usage']['cost_usd']:.6f}, bill ${bill:.6f}")
    assert estimate["usage"]["cost_usd"] == pytest.approx(bill, rel=0.35)


def test_before_the_first_rollout_the_plan_samples_demonstrations(undisturbed, tmp_path):
    home = copy_home(undisturbed.home, tmp_path / "home")
    changed = ("--set", "training.epochs=2")
    done = leap("plan", "smoke", "--home", home, *QUIET, *TEACHER, *changed)
    assert done.returncode == 0, done.stderr
    assert re.search(r"correction-i1: about \d+ requests to gpt-4o-mini for \d+ episodes, .*\$\d", done.stdout)


def test_a_teacher_that_asks_no_endpoint_costs_nothing_to_plan(undisturbed):
    planned = last_json(
        leap("plan", "smoke", "--json", "--home", undisturbed.home, *QUIET, "--set", "training.epochs=2")
    )
    assert planned["estimates"] == []


def test_the_student_and_any_model_are_judged_in_one_table(undisturbed, tmp_path):
    """A model at an endpoint plays as it is: prompted, not constrained, whatever the preset says of its own student."""

    def first_action(body, n):
        actions = re.findall(r"^- (.*)$", body["messages"][-1]["content"], re.MULTILINE)
        return reply(f"REASON: Why not.\nACTION: {actions[n % len(actions)]}")

    home = copy_home(undisturbed.home, tmp_path / "home")
    with ChatServer(first_action) as server:
        summary = last_json(undisturbed.done)
        best = f"smoke-i{summary['best_iteration']}"
        command = ("eval", best, f"openai:{MODEL}", "--preset", "smoke", "--json", "--home", home, *QUIET)
        done = leap(*command, "--set", f"execution.student.base_url={server.url}", **shared_server())
    judged = last_json(done)
    student, model = (one["result"] for one in judged["models"])
    assert student == summary["test"]
    assert (model["num_episodes"], model["num_errors"]) == (6, 0)
    assert server.num_requests == round(model["mean_actions"] * 6)
    asked = server.received[0].body
    system = asked["messages"][0]["content"]
    assert "Here is how another game went" in system  # the prompt set `react`
    assert "hidden" not in system
    assert (asked["model"], asked["max_tokens"], "response_format" in asked) == (MODEL, 256, False)
    (comparison,) = judged["comparisons"]
    assert comparison["num_episodes"] == 6
    assert comparison["difference"] == pytest.approx(student["success"] - model["success"])
    assert judged["models"][1]["cost_usd"] > 0
    assert [line.split()[0] for line in done.stdout.splitlines()[:3]] == ["model", best, f"openai:{MODEL}"]


def test_a_student_behind_an_endpoint_needs_a_name(undisturbed):
    done = leap("eval", "base", "--preset", "smoke", "--home", undisturbed.home, "--set", "student.kind=openai")
    assert done.returncode == 1
    assert "--set student.model=gpt-4o" in done.stderr
