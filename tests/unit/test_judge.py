"""The judge: what it is asked, what is made of every kind of answer, and what is recorded."""

import json
import traceback

import pytest
from chat_server import MODEL, ChatServer, error, reply
from scripted_judge import LEAKING, judged_steps, judgement, reasons, verdicts, well_behaved
from taught_episode import HIDDEN, episode

from leap_core.config import EndpointConfig, ExecutionConfig, parse_config
from leap_core.envs import ENVIRONMENTS
from leap_core.errors import BudgetError, LeapError, StageFailedError, UnknownNameError, WrongSpecError
from leap_core.loading import check_names
from leap_core.method.judgement import Overlap, check_judgements, judgement_rows, summarise_judgements
from leap_core.method.second_gates import objections
from leap_core.method.tables import read_judgements, write_judgements
from leap_core.teachers.judge import (
    CorrectedEpisode,
    Ground,
    Judge,
    JudgeSetup,
    Verdict,
    as_if_corrected,
    foresee_judgements,
    load_judge_prompts,
)
from leap_core.teachers.privilege import PrivilegedEpisode
from leap_core.teachers.windows import ModelLimits
from leap_core.types import Correction, CorrectionStatus, StepCorrection, Usage

KEY = "sk-planted-98765432109876543210"
CLEAN, LEAK = "Mugs are often kept in cabinets.", f"I open cabinet 3 next, as {LEAKING}."


def corrected(*said, number=0, **episode_settings):
    """An episode whose steps are corrected with these reasons; None: rejected; "own": as the student had it."""
    one = episode(number, num_steps=len(said), **episode_settings)
    steps = tuple(
        StepCorrection(
            step=index,
            reason={None: LEAK, "own": "I look around."}.get(reason, reason),
            command="look" if reason in (None, "own") else "go to cabinet 3",
            status=CorrectionStatus.REJECTED if reason is None else CorrectionStatus.CHANGED,
            why="leak: mug 2" if reason is None else "",
        )
        for index, reason in enumerate(said)
    )
    ids = {"trajectory_id": one.trajectory.id, "spec_id": one.trajectory.spec.id}
    return CorrectedEpisode(episode=one, correction=Correction(teacher="openai", level=100, steps=steps, **ids))


def setup_of(server, path, environment="alfworld", prompt="default", budget_tokens=None, is_needed=True, **limits):
    endpoint = EndpointConfig(base_url=server.url, max_tries=2, budget_tokens=budget_tokens, max_concurrency=4)
    given = {"temperature": 0.0, "max_tokens": 500, "context_tokens": 9000, "max_attempts": 3}
    return JudgeSetup(
        environment=environment,
        model=ModelLimits(model=MODEL, setting="gate.judge_context_tokens", **given | limits),
        prompt=prompt,
        execution=ExecutionConfig(teacher=endpoint, journal=str(path / "journal.sqlite")),
        experiment="tests",
        is_needed=is_needed,
    )


def judge(server, path, *episodes, **settings):
    judge = Judge(setup_of(server, path, **settings))
    try:
        return judge.judge(episodes)
    finally:
        judge.close()


def said_of(judged):
    return [one.leaks for one in judged.verdicts]


def test_one_request_judges_an_episode(tmp_path):
    with ChatServer(well_behaved) as server:
        (judged,) = judge(server, tmp_path, corrected(CLEAN, LEAK, None, CLEAN))
        assert server.num_requests == 1
    assert judged.verdicts == (
        Verdict(step=0, leaks=False, why="common sense"),
        Verdict(step=1, leaks=True, why="hidden", claim=LEAKING),
        Verdict(step=3, leaks=False, why="common sense"),
    )
    assert judged.usage.num_requests == 1
    assert judged.usage.cost_usd > 0


def test_what_it_is_asked_with(tmp_path):
    with ChatServer(well_behaved) as server:
        judge(server, tmp_path, corrected("own", CLEAN, None, LEAK, None))
        body = server.received[0].body
    schema = body["response_format"]["json_schema"]["schema"]["properties"]["verdicts"]["items"]
    assert schema["required"] == ["step", "claim", "why", "rests_on"]
    assert schema["properties"]["rests_on"]["enum"] == list(Ground)
    system, user = (message["content"] for message in body["messages"])
    assert all(f'"{ground}"' in system for ground in Ground)
    assert f"{HIDDEN}\nNumber 0." in user
    assert reasons(body) == {2: CLEAN, 4: LEAK}
    assert "moment 0." in user
    assert "moment 3." in user
    assert "moment 4." not in user
    assert "Over." not in user
    assert "Judge steps 2, 4." in user


@pytest.mark.parametrize("environment", sorted(ENVIRONMENTS))
def test_each_environment_says_what_can_be_known_when(environment):
    system, _ = load_judge_prompts(environment, "default").judge(corrected(CLEAN, env=environment), range(1), 0)
    about = system.content.split("\n\n")[1]
    assert about.startswith("The agent ")
    with pytest.raises(UnknownNameError, match="judges"):
        load_judge_prompts(environment, "nobodys")


def test_what_the_student_wrote_itself_is_not_paid_for(tmp_path):
    with ChatServer(well_behaved) as server:
        judged = judge(server, tmp_path, corrected("own", "own"), corrected(None, number=1))
        assert server.num_requests == 0
    assert [one.verdicts for one in judged] == [
        (Verdict(step=0, leaks=False, why="own"), Verdict(step=1, leaks=False, why="own")),
        (),
    ]


MISTAKES = {
    "no JSON": (lambda body: reply("All of them are fine."), "no JSON object", "unreadable"),
    "another form": (lambda body: reply(json.dumps({"leaks": []})), "no JSON object", "unreadable"),
    "empty": (lambda body: reply(None), "was empty", "unreadable"),
    "a refusal": (lambda body: reply(None, refusal="I cannot."), "You declined", "refused by the judge"),
    "too short": (lambda body: judgement(verdicts(body)[:-1]), "Step 3: missing", "missing"),
    "no ground": (lambda body: judgement(verdicts(body, step3={"rests_on": "fine"})), "rests_on is none", "unreadable"),
    "a word for a number": (lambda body: judgement(verdicts(body, step3={"step": "3"})), "Step 3: missing", "missing"),
    "no quote": (
        lambda body: judgement(verdicts(body, step3={"rests_on": "hidden", "claim": "mug 2 is there"})),
        "not quoted",
        "not quoted",
    ),
    "an empty quote": (
        lambda body: judgement(verdicts(body, step3={"rests_on": "hidden", "claim": '"..."'})),
        "not quoted",
        "not quoted",
    ),
    "half a word": (
        lambda body: judgement(verdicts(body, step3={"rests_on": "hidden", "claim": "ugs are of"})),
        "not quoted",
        "not quoted",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_verdict_that_does_not_fit_is_asked_for_again_with_the_reason(tmp_path, name):
    bad, told, _ = MISTAKES[name]
    with ChatServer(lambda body, n: bad(body) if n == 0 else well_behaved(body, n)) as server:
        (judged,) = judge(server, tmp_path, corrected(CLEAN, LEAK, CLEAN))
        assert server.num_requests == 2
        again = server.received[1].body
    assert told in again["messages"][-1]["content"]
    assert said_of(judged) == [False, True, False]
    assert judged.usage.num_requests == 2
    is_one = "Step 3" in again["messages"][-1]["content"]
    assert judged_steps(again) == ([3] if is_one else [1, 2, 3])


@pytest.mark.parametrize("name", MISTAKES)
def test_what_stays_unreadable_is_recorded_as_that(tmp_path, name):
    bad, _, why = MISTAKES[name]

    def answer(body, n):
        return judgement([]) if judged_steps(body) == [3] and name == "too short" else bad(body)

    with ChatServer(answer) as server:
        (judged,) = judge(server, tmp_path, corrected(CLEAN, LEAK, CLEAN))
        assert server.num_requests == 3
    last = judged.verdicts[2]
    assert (last.leaks, last.claim, last.why) == (None, "", "")
    assert last.error.startswith(why)


def test_a_quote_may_differ_in_case_and_marks_and_be_of_the_command(tmp_path):
    changes = {
        "step1": {"rests_on": "Hidden", "claim": "“MUGS are often kept”"},
        "step2": {"rests_on": "hidden", "claim": "cabinet 3"},
    }
    with ChatServer(lambda body, n: judgement(verdicts(body, **changes))) as server:
        (judged,) = judge(server, tmp_path, corrected(CLEAN, CLEAN))
    assert [(one.leaks, one.claim) for one in judged.verdicts] == [
        (True, "“MUGS are often kept”"),
        (True, "cabinet 3"),
    ]


def test_nothing_else_of_its_words_is_kept(tmp_path):
    """A judge that sees the hidden state may repeat it wherever it may write freely."""
    told = {"claim": HIDDEN, "why": HIDDEN, "rests_on": "seen"}
    spilling = {"step1": told, "step2": {**told, "rests_on": HIDDEN}, "step3": {**told, "rests_on": "hidden"}}
    with ChatServer(lambda body, n: judgement(verdicts(body, **spilling))) as server:
        (judged,) = judge(server, tmp_path, corrected(CLEAN, CLEAN, CLEAN))
    assert said_of(judged) == [False, None, None]
    assert "mug 2" not in str(judged)


def test_a_reply_that_was_cut_off_is_asked_for_in_halves(tmp_path):
    def answer(body, n):
        if len(judged_steps(body)) > 2:
            return reply(json.dumps({"verdicts": verdicts(body)})[:100], finish="length")
        return well_behaved(body, n)

    with ChatServer(answer) as server:
        (judged,) = judge(server, tmp_path, corrected("own", CLEAN, LEAK, CLEAN, None, None, LEAK))
        asked = [judged_steps(one.body) for one in server.received]
    assert asked == [[2, 3, 4, 7], [2, 3, 4], [2], [3, 4], [7]]
    assert said_of(judged) == [False, False, True, False, True]


def test_a_reply_about_one_step_that_is_always_cut_off_is_no_verdict(tmp_path):
    with ChatServer(lambda body, n: reply('{"verdicts": [{"st', finish="length")) as server:
        (judged,) = judge(server, tmp_path, corrected(LEAK))
    assert said_of(judged) == [None]
    assert judged.verdicts[0].error.startswith("cut off")


def test_a_long_episode_is_split_within_the_context(tmp_path):
    context_tokens, max_tokens, said = 3000, 500, [CLEAN, LEAK, None] * 4
    with ChatServer(well_behaved) as server:
        limits = {"context_tokens": context_tokens, "max_tokens": max_tokens}
        (judged,) = judge(server, tmp_path, corrected(*said, size=900), **limits)
        bodies = [one.body for one in server.received]
    assert said_of(judged) == [False, True] * 4
    asked = sorted(number for body in bodies for number in judged_steps(body))
    assert asked == [index + 1 for index, reason in enumerate(said) if reason]
    lengths = [sum(len(message["content"]) for message in body["messages"]) for body in bodies]
    assert max(lengths) <= 3 * (context_tokens - max_tokens)
    assert any("earlier steps are left out" in body["messages"][1]["content"] for body in bodies)


def test_a_step_that_does_not_fit_at_all_is_not_judged(tmp_path):
    with ChatServer(well_behaved) as server:
        (judged,) = judge(server, tmp_path, corrected(CLEAN, LEAK, size=9000), context_tokens=3000)
        assert server.num_requests == 0
    assert [one.error.partition(":")[0] for one in judged.verdicts] == ["too long"] * 2


def test_where_the_endpoint_fails_in_the_middle_what_is_known_is_kept(tmp_path):
    def answer(body, n):
        if 3 in judged_steps(body):
            return error(400, "no") if len(judged_steps(body)) < 3 else reply("{", finish="length")
        return well_behaved(body, n)

    with ChatServer(answer) as server:
        judged = judge(server, tmp_path, corrected(CLEAN, LEAK, CLEAN, "own"), corrected(LEAK, number=1))
    assert said_of(judged[0]) == [False, None, None, False]
    assert "bad request: 400" in judged[0].verdicts[2].error
    assert said_of(judged[1]) == [True]


def test_what_goes_wrong_tells_neither_key_nor_hidden_state(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with ChatServer(lambda body, n: error(400, f"cannot parse {json.dumps(body)} with {KEY}")) as server:
        (judged,) = judge(server, tmp_path, corrected(LEAK))
    assert judged.verdicts[0].error
    assert KEY not in str(judged)
    assert "mug 2" not in str(judged)


def test_a_defect_is_told_by_its_place_and_without_a_word_of_what_is_privileged(tmp_path):
    broken = corrected(LEAK)
    object.__setattr__(broken.episode.privileged, "text", ["SECRET"])
    with (
        ChatServer(well_behaved) as server,
        pytest.raises(LeapError, match=r"judgement failed .* at \w+\.py:\d+") as caught,
    ):
        judge(server, tmp_path, broken)
    assert "SECRET" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


def test_the_state_of_another_spec_is_refused(tmp_path):
    one, other = corrected(LEAK), corrected(LEAK, number=1)
    wrong = PrivilegedEpisode(trajectory=one.episode.trajectory, privileged=other.episode.privileged)
    with ChatServer() as server, pytest.raises(WrongSpecError):
        judge(server, tmp_path, CorrectedEpisode(episode=wrong, correction=one.correction))


def test_the_second_time_everything_comes_from_the_journal(tmp_path):
    episodes = [corrected(CLEAN, LEAK, number=number) for number in range(5)]
    with ChatServer(lambda body, n: reply("?") if n == 0 else well_behaved(body, n)) as server:
        first = judge(server, tmp_path, *episodes)
        assert server.num_requests == 6
        assert judge(server, tmp_path, *episodes) == first
        assert server.num_requests == 6


def test_a_spent_budget_stops_it_and_a_raised_one_goes_on(tmp_path):
    episodes = [corrected(CLEAN, LEAK, number=number) for number in range(6)]
    with ChatServer(well_behaved) as server:
        with pytest.raises(BudgetError, match=r"episodes are done"):
            judge(server, tmp_path, *episodes, budget_tokens=5000)
        num_sent = server.num_requests
        assert 0 < num_sent < 6
        judged = judge(server, tmp_path, *episodes, budget_tokens=900_000)
        assert server.num_requests == 6
    assert all(said_of(one) == [False, True] for one in judged)


def test_a_model_that_gives_no_verdict_at_all_is_not_paid_on(tmp_path):
    episodes = [corrected(LEAK, number=number) for number in range(30)]
    with ChatServer(lambda body, n: reply("I cannot say.")) as server:
        with pytest.raises(StageFailedError, match="first 8 episodes"):
            judge(server, tmp_path, *episodes, max_attempts=1)
        assert server.num_requests < 30
        found = judge(server, tmp_path, *episodes, max_attempts=1, is_needed=False)
    assert {leaks for one in found for leaks in said_of(one)} == {None}


def test_rows_add_up_to_what_was_spent_and_come_back_from_the_disk(tmp_path):
    with ChatServer(well_behaved) as server:
        judged = judge(server, tmp_path, corrected(CLEAN, LEAK, "own", None), corrected(None, number=1))
    rows = judgement_rows(judged)
    assert [(row.episode, row.step, row.leaks) for row in rows] == [
        ("i1/spec-0", 0, False), ("i1/spec-0", 1, True), ("i1/spec-0", 2, False),
    ]  # fmt: skip
    spent = sum((Usage(**{name: getattr(row, name) for name in Usage.model_fields}) for row in rows), Usage())
    assert spent.cost_usd == pytest.approx(judged[0].usage.cost_usd)
    assert spent.with_(cost_usd=None) == judged[0].usage.with_(cost_usd=None)
    write_judgements(tmp_path, rows)
    assert read_judgements(tmp_path) == rows


def test_too_many_corrections_without_a_verdict_fail_the_stage(tmp_path):
    with ChatServer(lambda body, n: judgement(verdicts(body)[:1])) as server:
        rows = judgement_rows(judge(server, tmp_path, corrected(CLEAN, CLEAN, CLEAN, CLEAN), max_attempts=3))
    assert sum(row.leaks is None for row in rows) == 1
    check_judgements(rows, 0.25)
    with pytest.raises(StageFailedError, match=r"1 of 4 .*gate\.max_unjudged_share.*step 4: missing"):
        check_judgements(rows, 0.2)


def test_it_foresees_the_requests_that_it_sends(tmp_path):
    episodes = [corrected(CLEAN, LEAK, size=900), corrected("own", number=1), corrected(LEAK, number=2)]
    with ChatServer(well_behaved) as server:
        foreseen = foresee_judgements(setup_of(server, tmp_path), episodes)
        judge(server, tmp_path, *episodes)
        sent = [sum(len(message["content"]) for message in one.body["messages"]) for one in server.received]
    schema = foreseen[0].num_characters - max(sent)
    assert sorted(one.num_characters - schema for one in foreseen) == sorted(sent)
    assert foreseen[0].completion_tokens > foreseen[1].completion_tokens > 0
    (rough,) = foresee_judgements(setup_of(server, tmp_path), [as_if_corrected(episode(num_steps=3))])
    assert rough.completion_tokens > foreseen[0].completion_tokens


def test_a_summary_says_how_often_it_agrees_with_the_others(tmp_path):
    with ChatServer(well_behaved) as server:
        judged = judge(server, tmp_path, corrected(CLEAN, LEAK, "own", None, LEAK, CLEAN))
    rows, (one,) = judgement_rows(judged), judged
    bits = {("i1/spec-0", 1), ("i1/spec-0", 5), ("i1/another", 1)}
    found = summarise_judgements(rows, one.usage, set(), bits)
    assert (found.num_corrections, found.num_asked, found.num_leaks, found.num_unjudged) == (5, 4, 2, 0)
    assert found.leak_share == 2 / 5
    assert found.rests_on == {"common sense": 2, "hidden": 2, "own": 1}
    assert found.with_bits == Overlap(both=1, other_alone=1, judge_alone=1, neither=2)
    assert found.with_rules is None
    assert [(claim.step, claim.claim) for claim in found.claims] == [(1, LEAKING), (4, LEAKING)]
    assert found.cost_each_usd == pytest.approx(one.usage.cost_usd / 4)
    let_through = summarise_judgements(rows, one.usage, {("i1/spec-0", 4)}, None)
    assert let_through.with_rules == Overlap(both=1, other_alone=0, judge_alone=1, neither=3)
    assert let_through.with_bits is None
    none = summarise_judgements([], Usage(cost_usd=None), set(), None)
    assert (none.leak_share, none.cost_each_usd) == (None, None)


def test_a_judge_objects_to_leaks_alone_and_beside_the_bits(tmp_path):
    with ChatServer(lambda body, n: judgement(verdicts(body)[:2])) as server:
        rows = judgement_rows(judge(server, tmp_path, corrected(CLEAN, LEAK, LEAK), max_attempts=1))
    assert [row.leaks for row in rows] == [False, True, None]
    assert objections([], None, rows) == {("i1/spec-0", 1): "judge"}


def test_a_prompt_set_that_nobody_has_is_found_before_hours_of_work():
    wrong = {"gate": {"judge": MODEL, "judge_prompt": "defualt"}}
    with pytest.raises(UnknownNameError, match="Did you mean 'default'"):
        check_names(parse_config(wrong))
    check_names(parse_config({"gate": {**wrong["gate"], "judge": None}}))
