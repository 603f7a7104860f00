"""`leap plan` before money is spent, beside the bill afterwards; and any model as a baseline, by `leap eval`."""

import json
import re

import pytest
from chat_server import MODEL, ChatServer, error, reply
from leap_command import HERE, copy_home, last_json, leap_here
from scripted_teacher import advice, corrections

from flows.leap import walk_leap
from flows.prefect_side.ui import progress
from flows.presets import read_config
from leap_core.errors import ConfigError
from leap_core.store.artifacts import ArtifactStore
from leap_core.types import Usage
from tasks.run import Run

pytestmark = pytest.mark.slow

TEACHER = (
    *("correction.teacher=openai", "correction.level=100"),
    f'correction.params={{"model": "{MODEL}"}}',
)
REASON = "I have not found what I need, and this place may hold it. Such things are often kept here, so I look."


def billed(body, n):
    """As an endpoint counts: a token for four characters; replies of the length that people write."""
    steps = advice(body, reason=REASON)
    num_characters = sum(len(message["content"]) for message in body["messages"])
    return corrections(steps, prompt_tokens=num_characters // 4 + 150, completion_tokens=70 * len(steps) + 50)


def first_action(body, n):
    """A player that never gets anywhere, billed likewise; asked by schema it answers by it."""
    num_characters = sum(len(message["content"]) for message in body["messages"])
    if "response_format" in body:
        schema = body["response_format"]["json_schema"]["schema"]
        num_characters += len(str(schema))
        text = json.dumps({"reason": REASON, "action": schema["properties"]["action"]["enum"][0]})
    else:
        action = re.search(r"^- (.*)$", body["messages"][-1]["content"], re.MULTILINE)[1]
        text = f"REASON: {REASON}\nACTION: {action}"
    num_around = 4 * len(body["messages"])
    return reply(text, prompt_tokens=num_characters // 4 + num_around, completion_tokens=55)


def plan(home, *settings):
    """What `leap plan` says: its lines, and its JSON."""
    done = leap_here("plan", "smoke", "--json", "--home", home, settings=(*HERE, *settings))
    return done.stdout, last_json(done)


def test_the_plan_foresees_the_bill(undisturbed, tmp_path):
    home = copy_home(undisturbed.home, tmp_path / "home")
    said, planned = plan(
        home, *TEACHER, "execution.teacher.budget_usd=0.001", "execution.teacher.budget_tokens=1000000"
    )
    (estimate,) = planned["estimates"]
    assert (estimate["label"], estimate["prices_of"]) == ("correction-i1", "2026-06")
    assert "rollout itself" in estimate["basis"]
    in_usd, _ = planned["budgets"]
    assert (in_usd["spent"], in_usd["estimate"]) == (0, estimate["usage"]["cost_usd"])
    assert "too little" in said
    assert "it is enough" in said
    with ChatServer(billed) as server:
        url = f"execution.teacher.base_url={server.url}"
        assert last_json(leap_here("run", "smoke", "--json", "--home", home, settings=(*HERE, *TEACHER, url)))
        assert server.num_requests == estimate["usage"]["num_requests"] == estimate["num_episodes"]
    records = ArtifactStore(home / "artifacts").records("correction")
    (bill,) = [record.metrics["billed_usd"] for record in records if record.config["teacher"] == "openai"]
    print(f"estimate ${estimate['usage']['cost_usd']:.6f}, bill ${bill:.6f}")
    assert estimate["usage"]["cost_usd"] == pytest.approx(bill, rel=0.35)
    another = ("rollout.temperature=0.9", "execution.teacher.budget_usd=1")
    assert plan(home, *TEACHER, *another)[1]["budgets"][0]["spent"] == pytest.approx(bill)


def test_before_the_first_rollout_the_plan_samples_what_there_is_and_says_so(undisturbed, tmp_path):
    said, _ = plan(undisturbed.home, *TEACHER, "training.epochs=2")
    assert re.search(r"correction-i1: about \d+ requests to gpt-4o-mini for \d+ episodes, .*\$\d", said)
    assert "as the rollout is not there yet" in said
    said, planned = plan(tmp_path / "empty", *TEACHER, "execution.teacher.budget_usd=1")
    assert re.search(r"correction-i1: no estimate: .*'alfworld'", said)
    assert re.search(r"execution\.teacher\.budget_usd.*not known", said)
    assert planned["estimates"][0]["usage"] is None
    assert not list((tmp_path / "empty").rglob("*.sqlite"))


def test_a_model_without_a_price_has_an_unknown_cost(undisturbed):
    params = json.dumps({"model": "nobody-knows"})
    said, planned = plan(undisturbed.home, *TEACHER, f"correction.params={params}")
    assert planned["estimates"][0]["usage"]["cost_usd"] is None
    assert "cost unknown" in said
    assert "$" not in said


def bill_of(home, artifact):
    """What the replies that an artifact was made of were billed; `artifact` is a unique part of its name."""
    store = ArtifactStore(home / "artifacts")
    return store.record(store.resolve(artifact)).usage


def sum_tokens(usage):
    return usage.prompt_tokens + usage.completion_tokens


def paid_by(done):
    """What a command says that it paid; None where it says nothing of that."""
    (said,) = re.findall(r"^Paid in this run: (.*)$", done.stdout, re.MULTILINE) or [None]
    return said


def compare(estimate, bill):
    """Print both, for people who run this with -s."""
    print(f"\n{estimate['label']}: {estimate['basis']}")
    for name, value in bill.model_dump().items():
        print(f"  {name:<18} estimate {estimate['usage'][name]}, bill {value}")


def test_the_plan_foresees_what_reasons_for_demonstrations_cost(undisturbed, tmp_path):
    def reason(body, n):
        num_characters = sum(len(message["content"]) for message in body["messages"])
        return reply(json.dumps({"reason": REASON}), prompt_tokens=num_characters // 4 + 20, completion_tokens=60)

    home, budget = copy_home(undisturbed.home, tmp_path / "home"), "execution.teacher.budget_usd=1"
    annotated = (
        *("demonstrations.annotate_with=gpt-4o-mini", "num_iterations=0"),
        *("demonstrations.num_episodes=30", "environment.num_train=30"),
    )
    (rough,) = plan(home, *annotated)[1]["estimates"]
    assert rough["num_episodes"] == 30
    assert "as there are none yet" in rough["basis"]
    command = ("run", "smoke", "--json", "--home", home)
    with ChatServer(lambda body, n: error(401)) as server:
        url = f"execution.teacher.base_url={server.url}"
        stopped = leap_here(*command, settings=(*HERE, *annotated, url))
    assert stopped.returncode == 1  # nothing was paid for, but the demonstrations are there now
    _, planned = plan(home, *annotated, budget)
    (estimate,) = planned["estimates"]
    assert (estimate["label"], estimate["endpoint"], estimate["num_episodes"]) == ("annotation-i0", "teacher", 30)
    assert all(part in estimate["basis"] for part in ("25 episodes", "demonstrations themselves", "70 tokens"))
    assert [one["setting"] for one in planned["budgets"]] == ["execution.teacher.budget_usd"]
    with ChatServer(reason) as server:
        url = f"execution.teacher.base_url={server.url}"
        assert last_json(leap_here(*command, settings=(*HERE, *annotated, url)))
    bill = bill_of(home, "annotation/smoke")
    compare(estimate, bill)
    assert estimate["usage"]["num_requests"] == bill.num_requests
    assert estimate["usage"]["cost_usd"] == pytest.approx(bill.cost_usd, rel=0.2)
    (forecast,) = plan(home, *annotated, "demonstrations.annotate_with=gpt-4o", budget)[1]["budgets"]
    assert forecast["spent"] == pytest.approx(bill.cost_usd)


def test_a_judgement_is_foreseen_from_what_others_played_and_then_from_its_own(undisturbed, tmp_path):
    home, spent = copy_home(undisturbed.home, tmp_path / "home"), 0.0
    shares = {"dev": 0.4, "test": 0.1}  # of others' episodes nobody knows how like they are
    for split, share in shares.items():
        command = ("eval", f"openai:{MODEL}", "base", "--preset", "smoke", "--split", split, "--json", "--home", home)
        budget = "execution.student.budget_usd=0.5"
        foreseen = leap_here(*command, "--plan", settings=(*HERE, budget))
        planned = last_json(foreseen)
        (estimate,) = planned["estimates"]
        assert (estimate["endpoint"], estimate["model"], estimate["num_episodes"]) == ("student", MODEL, 6)
        (forecast,) = planned["budgets"]
        assert (forecast["setting"], forecast["spent"]) == ("execution.student.budget_usd", pytest.approx(spent))
        assert forecast["estimate"] == estimate["usage"]["cost_usd"]
        with ChatServer(first_action) as server:
            url = f"execution.student.base_url={server.url}"
            done = leap_here(*command, settings=(*HERE, budget, url))
        assert foreseen.stdout.splitlines()[2] in done.stderr  # who pays sees it, planned or not
        bill = bill_of(home, last_json(done)["models"][0]["artifact"])
        compare(estimate, bill)
        assert server.num_requests == bill.num_requests
        assert paid_by(done) == f"${bill.cost_usd:.4f} and {sum_tokens(bill):,} tokens for {bill.num_requests} replies."
        assert estimate["usage"]["cost_usd"] == pytest.approx(bill.cost_usd, rel=share)
        spent += bill.cost_usd
    assert paid_by(leap_here(*command, settings=(*HERE, budget, url))) is None  # all of it is there
    assert all(part in estimate["basis"] for part in ("the same model", "72 requests", "55 tokens"))
    assert estimate["usage"]["num_requests"] == bill.num_requests


def test_of_demonstrations_it_says_that_experts_are_quicker_than_students(undisturbed, tmp_path):
    home = copy_home(undisturbed.home, tmp_path / "home", without=("rollout", "evaluation"))
    command = ("eval", f"openai:{MODEL}", "--preset", "smoke", "--plan", "--json", "--home", home)
    (estimate,) = last_json(leap_here(*command))["estimates"]
    assert "episodes of demonstrations/smoke-i0-" in estimate["basis"]
    assert "expert" in estimate["basis"]
    assert "72 requests" in estimate["basis"]
    assert estimate["usage"]["num_requests"] < 72


def test_where_nothing_was_played_no_stage_that_asks_has_an_estimate(tmp_path):
    student = ("student.kind=openai", "student.model=gpt-4o", "execution.student.budget_tokens=1000")
    _, planned = plan(tmp_path / "home", "demonstrations.annotate_with=gpt-4o", *student)
    assert {one["usage"] for one in planned["estimates"]} == {None}
    asked = ["annotation-i0", "evaluation-i0-dev", "rollout-i1", "evaluation-i1-dev"]
    assert [one["label"] for one in planned["estimates"]][:4] == asked
    assert [(one["setting"], one["estimate"]) for one in planned["budgets"]] == [
        ("execution.student.budget_tokens", None)
    ]
    command = ("eval", "openai:gpt-4o", "--preset", "smoke", "--plan", "--home", tmp_path / "empty")
    told = leap_here(*command).stdout.splitlines()
    assert told[0].split()[:2] == ["openai:gpt-4o", "run"]
    assert told[1].startswith("evaluation-i0-test: no estimate: ")
    assert not (tmp_path / "empty").exists()


def test_a_model_that_no_run_could_ask_for_is_told_by_the_plan(undisturbed):
    """Trained weights are served under their path; one name for all of them would end a run after hours of training."""
    student = ("student.kind=openai", "student.model=org/weights", 'student.params={"model": "gpt-4o"}')
    done = leap_here("plan", "smoke", "--home", undisturbed.home, settings=student)
    assert done.returncode == 1
    assert "student.params.model" in done.stderr


NO_KEY = ("OPENAI_API_KEY", "https://api.openai.com/v1")
NO_PRICE = ("budget_usd", "'nobody-knows'")
STRANGER = '{"model": "nobody-knows"}'


@pytest.mark.parametrize(
    ("command", "settings", "named"),
    [
        (("run", "smoke"), ("correction.teacher=openai", 'correction.params={"model": "gpt-4o"}'), NO_KEY),
        (("run", "smoke"), ("demonstrations.annotate_with=gpt-4o",), NO_KEY),
        (("run", "smoke"), ("student.kind=openai", "student.model=gpt-4o", "correction.teacher=self"), NO_KEY),
        (
            ("run", "smoke", "--next"),
            (
                *("num_iterations=1", "demonstrations.annotate_with=nobody-knows", "execution.teacher.budget_usd=1"),
                "execution.teacher.base_url=http://localhost:9/v1",
            ),
            ("execution.teacher.", *NO_PRICE),
        ),
        (
            ("run", "smoke"),
            (
                *("correction.teacher=openai", f"correction.params={STRANGER}", "execution.teacher.budget_usd=1"),
                "execution.teacher.base_url=http://localhost:9/v1",
            ),
            ("execution.teacher.", *NO_PRICE),
        ),
        (("eval", "base", "openai:gpt-4o", "--preset", "smoke"), (), NO_KEY),
        (
            ("eval", "openai:nobody-knows", "--preset", "smoke"),
            ("execution.student.budget_usd=1", "execution.student.base_url=http://localhost:9/v1"),
            ("execution.student.", *NO_PRICE),
        ),
    ],
)
def test_what_would_keep_an_endpoint_from_being_asked_is_told_before_any_stage(tmp_path, command, settings, named):
    done = leap_here(*command, "--home", tmp_path, settings=(*HERE, *settings))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert all(name in done.stderr.splitlines()[-1] for name in named)
    assert not (tmp_path / "artifacts").exists()
    if command[0] == "eval" or "--next" in command:
        return
    planned = leap_here("plan", "smoke", "--home", tmp_path, settings=(*HERE, *settings))
    assert planned.returncode == 0
    assert [all(name in line for name in named) for line in planned.stdout.splitlines()].count(True) == 1


def test_who_will_not_be_asked_needs_no_key_nor_who_has_it_in_a_secret(undisturbed, tmp_path):
    said, _ = plan(undisturbed.home, "execution.teacher.budget_usd=1")
    assert "No key" not in said
    said, _ = plan(tmp_path, *TEACHER, "execution.teacher.api_key_secret=block")
    assert "No key" not in said
    assert "No key" in plan(tmp_path, *TEACHER)[0]


def test_a_teacher_that_is_shown_nothing_is_told(undisturbed, tmp_path):
    told = "correction.level is 0"
    teacher = ("correction.teacher=openai", f'correction.params={{"model": "{MODEL}"}}')
    assert told in plan(undisturbed.home, *teacher)[0]
    assert told not in plan(undisturbed.home, *teacher, "correction.level=25")[0]
    assert told not in plan(undisturbed.home, "training.epochs=2")[0]  # the rule-based expert
    home = copy_home(undisturbed.home, tmp_path / "home")
    with ChatServer(lambda body, n: error(401)) as server:
        url = f"execution.teacher.base_url={server.url}"
        done = leap_here("run", "smoke", "--home", home, settings=(*HERE, *teacher, url))
    lines = done.stderr.splitlines()
    (place,) = (index for index, line in enumerate(lines) if line.startswith(told))
    assert place < next(index for index, line in enumerate(lines) if line.startswith("specs-train"))


def test_a_teacher_that_asks_no_endpoint_costs_nothing_to_plan(undisturbed):
    planned = plan(undisturbed.home, "training.epochs=2", "execution.teacher.budget_usd=1")[1]
    assert (planned["estimates"], planned["budgets"]) == ([], [])


@pytest.mark.parametrize("environment", ["alfworld", "intercode_bash", "webshop"])
def test_data_that_are_not_there_are_missed_by_the_plan(environment, tmp_path):
    settings = (f"environment.data={tmp_path / 'nowhere'}", f"environment.name={environment}", "student.prompt=default")
    more = ("student.model=bundled", "student.params={}", "correction.level=100", "demonstrations.level=100")
    done = leap_here("plan", "smoke", "--home", tmp_path / "home", settings=(*settings, *more))
    assert done.returncode == 1
    assert done.stdout == ""
    assert str(tmp_path / "nowhere") in done.stderr


def test_the_plan_foresees_a_student_behind_an_endpoint_that_is_its_own_teacher(undisturbed, tmp_path):
    """Weights that somebody else serves under their path. What those cost that are not trained yet, nobody knows."""
    home = copy_home(undisturbed.home, tmp_path / "home")
    (base,) = ArtifactStore(home / "artifacts").records("base")
    student = (
        *("student.kind=openai", f"student.model={home / 'artifacts' / base.ref.id}", "student.prompt=compact"),
        *("student.constrain=true", "correction.teacher=self", "correction.level=100", "correction.max_reject_share=1"),
    )
    prices = tmp_path / "prices.toml"
    limits = (f"execution.student.prices={prices}", "execution.student.budget_tokens=1000000")
    with ChatServer(first_action) as server:
        settings = (*HERE, *student, f"execution.student.base_url={server.url}")
        command = ("run", "smoke", "--json", "--home", home)
        begun = leap_here(*command, settings=(*settings, "num_iterations=0"))
        assert paid_by(begun).startswith("an unknown amount and ")
        model = last_json(begun)["artifacts"][0]["model"]
        weights = home / "artifacts" / "training" / f"{model['name']}-{model['key'][:8]}"
        prices.write_text(f"[models]\n'{weights}' = {{ prompt = 0.2, completion = 0.2 }}\n")
        planned = plan(home, *student, *limits)[1]
        done = leap_here(*command, settings=(*settings, *limits))
        assert re.search(r"^\$0\.\d+ and .* replies \(cost of \d+ of them unknown\)\.$", paid_by(done))
        made = last_json(done)["stages"]
    estimates = {estimate["label"]: estimate for estimate in planned["estimates"]}
    assert list(estimates) == ["rollout-i1", "correction-i1", "evaluation-i1-dev", "evaluation-i1-test"]
    assert {estimate["endpoint"] for estimate in estimates.values()} == {"student"}
    # Its own episodes tell most of what a student will do; of those of others the length alone is known.
    shares = {"rollout-i1": 0.1, "evaluation-i1-dev": 0.2, "correction-i1": 0.35}
    before = {stage["artifact"]: stage for stage in made if stage["state"] == "cached"}
    spent = sum(sum_tokens(bill_of(home, artifact)) for artifact in before)
    for stage in made:
        label = f"{stage['stage']}-i1" + ("-dev" if stage["stage"] == "evaluation" else "")
        if stage["state"] == "computed" and label in shares:
            bill, usage = bill_of(home, stage["artifact"]), estimates[label]["usage"]
            compare(estimates[label], bill)
            # What share of episodes is solved, and not corrected, is another student's.
            assert usage["num_requests"] == pytest.approx(bill.num_requests, rel=0.1)
            assert sum_tokens(Usage(**usage)) == pytest.approx(sum_tokens(bill), rel=shares[label])
            is_priced = estimates[label]["model"] == str(weights)
            assert is_priced == (not label.startswith("evaluation")) == (bill.cost_usd is not None)
            assert usage["cost_usd"] == (pytest.approx(bill.cost_usd, rel=shares[label]) if is_priced else None)
    (budget,) = planned["budgets"]
    estimated = sum(sum_tokens(Usage(**estimate["usage"])) for estimate in estimates.values())
    assert (budget["setting"], budget["spent"]) == ("execution.student.budget_tokens", spent)
    assert budget["estimate"] == estimated


def test_the_student_and_any_model_are_judged_in_one_table(undisturbed, tmp_path):
    """A model at an endpoint plays as it is: prompted, not constrained, whatever the preset says of its own student."""

    def any_action(body, n):
        actions = re.findall(r"^- (.*)$", body["messages"][-1]["content"], re.MULTILINE)
        return reply(f"REASON: Why not.\nACTION: {actions[n % len(actions)]}")

    home, summary = copy_home(undisturbed.home, tmp_path / "home"), last_json(undisturbed.done)
    best = f"smoke-i{summary['best_iteration']}"
    with ChatServer(any_action) as server:
        command = ("eval", best, f"openai:{MODEL}", "--preset", "smoke", "--json", "--home", home)
        done = leap_here(*command, settings=(*HERE, f"execution.student.base_url={server.url}"))
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


def test_a_student_behind_an_endpoint_needs_a_name(tmp_path):
    done = leap_here("eval", "base", "--preset", "smoke", "--home", tmp_path, settings=("student.kind=openai",))
    assert done.returncode == 1
    assert "student.model" in done.stderr


def test_a_flow_of_a_deployment_hears_of_a_missing_key_before_it_makes_anything(tmp_path, monkeypatch):
    """Such a run does not come through the command; its plan is made where its progress begins."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    config = read_config("smoke", [*TEACHER, "correction.level=50"])
    run = Run(config=config, store=ArtifactStore(tmp_path / "artifacts"))
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"), progress(run, walk_leap):
        pytest.fail("the run began")
    assert list(run.store.records()) == []
