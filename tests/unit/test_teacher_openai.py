"""The teacher behind an endpoint: what it asks, what it makes of every kind of answer, and what it records."""

import json
import traceback

import pytest
from chat_server import ChatServer, error, reply
from scripted_teacher import advice, corrections, possible_actions, wanted_steps, well_behaved
from taught_episode import HIDDEN, POSSIBLE, correct, episode

from leap_core.config import CorrectionConfig
from leap_core.envs import ENVIRONMENTS as KINDS
from leap_core.envs.base import find_suite
from leap_core.errors import ConfigError, LeapError, StageFailedError, UnknownNameError, WrongSpecError
from leap_core.teachers.openai import OpenAITeacher
from leap_core.teachers.privilege import PrivilegedEpisode, shuffle_privilege
from leap_core.teachers.prompts import load_teacher_prompts


def statuses(correction):
    return [step.status.value for step in correction.steps]


def test_one_call_corrects_an_episode(tmp_path):
    with ChatServer(lambda body, n: corrections(advice(body, step2={"action": "go to cabinet 3"}))) as server:
        (correction,) = correct(server, tmp_path, episode())
        assert server.num_requests == 1
        assert statuses(correction) == ["kept", "changed", "kept", "kept"]
        assert correction.steps[1].command == "go to cabinet 3"
        assert correction.steps[1].reason == "I have not looked there yet, so this comes next."
        assert (correction.teacher, correction.level, correction.error) == ("openai", 100, None)
        assert correction.usage.num_requests == 1
        assert correction.usage.cost_usd > 0


def test_what_it_is_asked_with(tmp_path):
    with ChatServer(well_behaved) as server:
        correct(server, tmp_path, episode())
        body = server.received[0].body
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["summary", "steps"]
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    user = body["messages"][1]["content"]
    assert "mug 2 is in/on cabinet 3" in user
    assert user.count("Possible actions: look; go to cabinet 3; inventory") == 4
    assert "The agent's reason: I look around." in user
    assert "After the last step: Over." in user
    assert wanted_steps(body) == [1, 2, 3, 4]
    assert possible_actions(body)[4] == list(POSSIBLE)


def test_a_call_for_each_step_sees_nothing_of_what_comes_later(tmp_path):
    with ChatServer(well_behaved) as server:
        (correction,) = correct(server, tmp_path, episode(), mode="step")
        assert statuses(correction) == ["kept"] * 4
        asked = {wanted_steps(one.body)[0]: one.body["messages"][1]["content"] for one in server.received}
    assert sorted(asked) == [1, 2, 3, 4]
    assert "moment 1." in asked[2]
    assert "moment 2." not in asked[2]
    assert "Over." not in asked[3]
    assert "Over." in asked[4]


WRAPPINGS = {
    "plain": "{}",
    "fence": "Here you are:\n```json\n{}\n```\nGood luck.",
    "fence that never ends": "```json\n{}",
    "between sentences": 'I think [well] so: {} "Done".',
    "after thoughts": '<think>maybe {{"steps": 1}}</think>{}',
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_json_is_found_however_it_is_wrapped(tmp_path, wrapping):
    def answer(body, n):
        text = json.dumps({"summary": 'He said "{".', "steps": advice(body)})
        return reply(WRAPPINGS[wrapping].format(text))

    with ChatServer(answer) as server:
        (correction,) = correct(server, tmp_path, episode())
        assert statuses(correction) == ["kept"] * 4
        assert server.num_requests == 1


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda steps: json.dumps(steps),
        lambda steps: json.dumps({"corrections": steps}),
        lambda steps: json.dumps({"steps": {str(step["step"]): step for step in steps}}),
        lambda steps: json.dumps({"steps": [{**step, "step": f"Step {step['step']}"} for step in steps]}),
        lambda steps: json.dumps(
            {"steps": [{"step": s["step"], "thought": s["reason"], "command": s["action"]} for s in steps]}
        ),
        lambda steps: json.dumps({"steps": steps}).replace("]", ",]"),
        lambda steps: json.dumps({"steps": [{**step, "action": f"`{step['action'].upper()}.`"} for step in steps]}),
    ],
)
def test_json_of_nearly_the_right_form_is_read(tmp_path, rewrite):
    with ChatServer(lambda body, n: reply(rewrite(advice(body)))) as server:
        (correction,) = correct(server, tmp_path, episode())
        assert statuses(correction) == ["kept"] * 4
        assert {step.command for step in correction.steps} == {"look"}
        assert server.num_requests == 1


def test_one_step_alone_need_not_be_in_a_list(tmp_path):
    with ChatServer(lambda body, n: reply(json.dumps({"reason": "I look.", "action": "look"}))) as server:
        (correction,) = correct(server, tmp_path, episode(num_steps=2), mode="step")
        assert statuses(correction) == ["kept"] * 2
        assert server.num_requests == 2


MISTAKES = {
    "too short": (lambda body: corrections(advice(body)[:-1]), "Step 4: missing"),
    "inadmissible": (
        lambda body: corrections(advice(body, step4={"action": "open cabinet 3"})),
        "Step 4: inadmissible",
    ),
    "a leak": (lambda body: corrections(advice(body, step4={"reason": "The mug 2 is there."})), "Step 4: leak"),
    "no reason": (lambda body: corrections(advice(body, step4={"reason": " "})), "Step 4: no reason"),
    "no JSON": (lambda body: reply("I would rather look around."), "no JSON object"),
    "truncated JSON": (lambda body: reply(json.dumps({"steps": advice(body)})[:-30]), "no JSON object"),
    "empty": (lambda body: reply(None), "was empty"),
    "a refusal": (lambda body: reply(None, refusal="I cannot help with that."), "You declined"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_reply_that_does_not_fit_is_asked_again_with_the_reason(tmp_path, name):
    bad, told = MISTAKES[name]
    with ChatServer(lambda body, n: bad(body) if n == 0 else well_behaved(body, n)) as server:
        (correction,) = correct(server, tmp_path, episode())
        assert server.num_requests == 2
        again = server.received[1].body["messages"]
    assert [message["role"] for message in again] == ["system", "user", "assistant", "user"]
    assert told in again[-1]["content"]
    assert statuses(correction) == ["kept"] * 4
    assert correction.usage.num_requests == 2


WHY = {
    "too short": "missing",
    "inadmissible": "inadmissible",
    "a leak": "leak",
    "no reason": "no reason",
    "no JSON": "unreadable",
    "truncated JSON": "unreadable",
    "empty": "unreadable",
    "a refusal": "refused",
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_stays_wrong_is_recorded_as_rejected(tmp_path, name):
    bad, _ = MISTAKES[name]

    def answer(body, n):
        if wanted_steps(body) == [4] and name == "too short":
            return corrections([])
        return bad(body)

    with ChatServer(answer) as server:
        (correction,) = correct(server, tmp_path, episode(), max_attempts=3)
        assert server.num_requests == 3
    is_all = name in ("no JSON", "truncated JSON", "empty", "a refusal")
    assert statuses(correction) == ["rejected"] * 4 if is_all else ["kept"] * 3 + ["rejected"]
    assert correction.steps[3].why.startswith(WHY[name])
    assert correction.usage.num_requests == 3


def test_only_the_steps_that_failed_are_asked_for_again(tmp_path):
    def answer(body, n):
        changes = {"step2": {"action": "fly"}, "step3": {"reason": "mug 2!"}} if n == 0 else {}
        return corrections(advice(body, **changes))

    with ChatServer(answer) as server:
        (correction,) = correct(server, tmp_path, episode())
        assert [wanted_steps(one.body) for one in server.received] == [[1, 2, 3, 4], [2, 3]]
        assert "Possible were: look; go to cabinet 3; inventory" in server.received[1].body["messages"][-1]["content"]
    assert statuses(correction) == ["kept"] * 4


def test_a_reply_that_was_cut_off_is_asked_for_in_halves(tmp_path):
    def answer(body, n):
        steps = advice(body)
        if len(steps) > 2:
            return reply(json.dumps({"steps": steps})[:150], finish="length")
        return corrections(steps)

    with ChatServer(answer) as server:
        (correction,) = correct(server, tmp_path, episode(num_steps=8))
        asked = [wanted_steps(one.body) for one in server.received]
    assert asked == [[*range(1, 9)], [1, 2, 3, 4], [1, 2], [3, 4], [5, 6, 7, 8], [5, 6], [7, 8]]
    assert statuses(correction) == ["kept"] * 8


def test_a_long_episode_is_split_within_the_context(tmp_path):
    context_tokens, max_tokens = 3000, 500
    with ChatServer(well_behaved) as server:
        (correction,) = correct(
            server, tmp_path, episode(num_steps=12, size=900), context_tokens=context_tokens, max_tokens=max_tokens
        )
        bodies = [one.body for one in server.received]
    assert statuses(correction) == ["kept"] * 12
    assert sorted(number for body in bodies for number in wanted_steps(body)) == list(range(1, 13))
    lengths = [sum(len(message["content"]) for message in body["messages"]) for body in bodies]
    assert max(lengths) <= 3 * (context_tokens - max_tokens)
    assert any("earlier steps are left out" in body["messages"][1]["content"] for body in bodies)


def test_a_context_that_the_endpoint_finds_too_long_is_split_too(tmp_path):
    def answer(body, n):
        if len(wanted_steps(body)) > 1:
            return error(400, "maximum context length", code="context_length_exceeded")
        return well_behaved(body, n)

    with ChatServer(answer) as server:
        (correction,) = correct(server, tmp_path, episode())
    assert statuses(correction) == ["kept"] * 4


def test_a_step_that_does_not_fit_at_all_is_rejected(tmp_path):
    with ChatServer(well_behaved) as server:
        (correction,) = correct(server, tmp_path, episode(num_steps=2, size=9000), context_tokens=3000, max_tokens=500)
        assert server.num_requests == 0
    assert [step.why.partition(":")[0] for step in correction.steps] == ["too long"] * 2


def test_an_episode_whose_requests_fail_is_an_error_and_the_others_go_on(tmp_path):
    def answer(body, n):
        return error(400, "no") if "Room 1," in body["messages"][1]["content"] else well_behaved(body, n)

    with ChatServer(answer) as server:
        corrected = correct(server, tmp_path, *(episode(number) for number in range(3)))
    assert [one.error is None for one in corrected] == [True, False, True]
    assert corrected[1].steps == ()
    assert "bad request: 400" in corrected[1].error


def test_the_second_time_everything_comes_from_the_journal(tmp_path):
    episodes = [episode(number) for number in range(5)]
    with ChatServer(lambda body, n: corrections(advice(body, step1={"action": "go to cabinet 3"}))) as server:
        first = correct(server, tmp_path, *episodes)
        assert server.num_requests == 5
        assert correct(server, tmp_path, *episodes) == first
        assert server.num_requests == 5


def test_a_shop_is_corrected_sparingly(tmp_path):
    with ChatServer(lambda body, n: corrections(advice(body, step2={"action": "go to cabinet 3"})[1:2])) as server:
        (correction,) = correct(server, tmp_path, episode(env="webshop"), environment="webshop")
        assert server.num_requests == 1
    assert statuses(correction) == ["kept", "changed", "kept", "kept"]
    assert correction.steps[0].reason == "I look around."


def test_a_shell_takes_any_command(tmp_path):
    def answer(body, n):
        steps = [{"step": n, "reason": "I list the files.", "action": "`ls -la /testbed`"} for n in wanted_steps(body)]
        return corrections(steps)

    shell = episode(env="intercode_bash", admissible=None)
    with ChatServer(answer) as server:
        (correction,) = correct(server, tmp_path, shell, environment="intercode_bash")
    assert {step.command for step in correction.steps} == {"ls -la /testbed"}


LEVELS = (0, 25, 50, 75, 100)
ENVIRONMENTS = sorted(KINDS)


def asked_at(level, tmp_path):
    """All that the teacher is sent about an episode, and with which advice it corrects."""
    with ChatServer(well_behaved) as server:
        correct(server, tmp_path / str(level), episode(), level=level)
        return [message["content"] for message in server.received[0].body["messages"]]


def test_a_level_is_an_instruction_and_nothing_is_hidden_from_who_may_know(tmp_path):
    asked = {level: asked_at(level, tmp_path) for level in LEVELS}
    assert len({system for system, _ in asked.values()}) == len(LEVELS)
    assert len({user for level, (_, user) in asked.items() if level}) == 1
    assert all(f"{HIDDEN}\nNumber 0." in user for level, (_, user) in asked.items() if level)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_at_level_0_a_teacher_knows_no_more_than_the_record(environment):
    system, user = load_teacher_prompts(environment, "default").correct(episode(env=environment), 0, range(4), 0)
    assert not [line for line in [*HIDDEN.split("\n"), "Number 0."] if line in user.content]
    assert "Nothing is known here but the record" in system.content
    boasts = ("hidden", "cannot see", "really meant", "that solves the task")
    assert not [words for words in boasts if words in system.content + user.content]


def test_each_level_is_another_instruction_to_the_student_as_its_own_teacher():
    prompts = load_teacher_prompts("alfworld", "default")
    assert len({prompts.beside(episode().privileged, level) for level in LEVELS}) == len(LEVELS)


@pytest.mark.parametrize("level", LEVELS)
def test_the_student_as_its_own_teacher_gets_the_same_instruction(level):
    prompts = load_teacher_prompts("alfworld", "default")
    system, _ = prompts.correct(episode(), level, range(4), 0)
    beside = prompts.beside(episode().privileged, level)
    in_both = [line for line in beside.split("\n") if f"- {line}" in system.content.split("\n")]
    assert len(in_both) == (level > 0)
    assert (HIDDEN in beside) == (level > 0)


def test_the_control_shows_every_episode_the_state_of_another(tmp_path):
    episodes = [episode(number) for number in range(4)]
    with ChatServer(well_behaved) as server:
        corrected = correct(server, tmp_path, *episodes, shuffled_privilege=True)
        told = [one.body["messages"][1]["content"] for one in server.received]
    assert [one.trajectory_id for one in corrected] == [one.trajectory.id for one in episodes]
    for number in range(4):
        (user,) = [text for text in told if f"Room {number}," in text]
        assert f"Number {number}." not in user
    shuffled = shuffle_privilege(episodes)
    assert sorted(one.privileged.text for one in shuffled) == sorted(one.privileged.text for one in episodes)


def test_the_state_of_another_spec_is_refused(tmp_path):
    wrong = PrivilegedEpisode(trajectory=episode(0).trajectory, privileged=episode(1).privileged)
    with ChatServer() as server, pytest.raises(WrongSpecError):
        correct(server, tmp_path, wrong)


def test_bad_settings_are_told_before_anything_is_opened():
    check = OpenAITeacher.check
    with pytest.raises(ConfigError, match=r"correction\.params\.model=gpt-4o"):
        check(CorrectionConfig(), "alfworld")
    with pytest.raises(UnknownNameError, match=r"correction\.params\.mode"):
        check(CorrectionConfig(params={"model": "m", "mod": "step"}), "alfworld")
    with pytest.raises(UnknownNameError, match="prompt set of teachers"):
        check(CorrectionConfig(params={"model": "m", "prompt": "terse"}), "alfworld")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_environment_has_prompts_that_render(environment):
    prompts = load_teacher_prompts(environment, "default")
    for admissible in (POSSIBLE, None):
        one = episode(env=environment, admissible=admissible)
        system, user = prompts.correct(one, 100, range(1, 3), 0)
        assert one.trajectory.spec.instruction in user.content
        assert system.content
        assert ("Possible actions" in user.content) == bool(admissible)
    assert ("List only the steps that you would change" in user.content) == find_suite(environment).sparing


@pytest.mark.parametrize(
    ("environment", "admissible", "copied"),
    [
        ("alfworld", POSSIBLE, True),
        ("webshop", POSSIBLE, True),
        ("webshop", None, False),
        ("intercode_bash", None, False),
    ],
)
def test_listed_actions_are_to_be_copied(environment, admissible, copied):
    one = episode(env=environment, admissible=admissible)
    system, _ = load_teacher_prompts(environment, "default").correct(one, 100, range(1, 3), 0)
    assert ("letter by letter" in system.content) == copied
    assert ("thorough" in system.content) == (environment == "intercode_bash")


def test_a_model_that_never_fits_is_not_paid_to_the_end(tmp_path):
    episodes = [episode(number) for number in range(80)]
    with ChatServer(lambda body, n: reply("I am sorry, I cannot do that.")) as server:
        with pytest.raises(StageFailedError, match=r"first 8 episodes could be used.*tokens for .*unreadable: no JSON"):
            correct(server, tmp_path, *episodes)
        assert server.num_requests < 3 * 80
        num_asked = server.num_requests
        with pytest.raises(StageFailedError):
            correct(server, tmp_path, *episodes[:8])
        assert server.num_requests <= num_asked + 24


@pytest.mark.slow
def test_an_endpoint_that_refuses_every_prompt_is_not_asked_to_the_end(tmp_path):
    with ChatServer(lambda body, n: error(400, "no such role")) as server:
        with pytest.raises(StageFailedError, match=r"first 8 episodes could be used.*bad request"):
            correct(server, tmp_path, *[episode(number) for number in range(200)])
        assert server.num_requests < 200


@pytest.mark.slow
def test_refusals_that_come_sooner_than_answers_do_not_end_a_run(tmp_path):
    def answer(body, n):
        if "Room 0," in body["messages"][1]["content"]:
            return corrections(advice(body), delay_s=1.0)
        return error(400, "not in these words")

    with ChatServer(answer) as server:
        found = correct(server, tmp_path, *[episode(number) for number in range(40)])
    assert [one.error is None for one in found] == [True] + [False] * 39


@pytest.mark.slow
def test_one_usable_step_is_enough_to_go_on(tmp_path):
    def answer(body, n):
        return corrections(advice(body)) if "Room 3," in body["messages"][1]["content"] else reply("no idea")

    with ChatServer(answer) as server:
        found = correct(server, tmp_path, *[episode(number, 1) for number in range(40)], max_concurrency=1)
    assert sum("kept" in statuses(one) for one in found) == 1


def test_a_defect_is_told_by_its_place_and_without_a_word_of_what_is_privileged(tmp_path):
    broken = episode()
    object.__setattr__(broken.privileged, "facts", {"free_commands": {"form": "(SECRET", "unsayable": 3}})
    with ChatServer(well_behaved) as server, pytest.raises(LeapError, match=r"at \w+\.py:\d+") as caught:
        correct(server, tmp_path, broken)
    told = "".join(traceback.format_exception(caught.value))
    assert "SECRET" not in told
    assert caught.value.__context__ is None
