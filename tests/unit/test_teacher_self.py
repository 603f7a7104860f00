"""The teacher that is the student, and reasons for demonstrations without any."""

import json
from dataclasses import replace

import pytest
from chat_server import MODEL, ChatServer, reply
from test_teacher_openai import HIDDEN, episode

from leap_core.config import CorrectionConfig, EndpointConfig, EnvironmentConfig, ExecutionConfig, StudentConfig
from leap_core.envs.alfworld.suite import AlfworldSuite
from leap_core.errors import ConfigError
from leap_core.method.correction import correct_episodes
from leap_core.students import STUDENTS
from leap_core.students.scripted import ScriptedStudent
from leap_core.teachers.annotator import Annotator, foresee_reasons
from leap_core.teachers.base import TeacherSetup
from leap_core.teachers.self_teacher import SelfTeacher


class Privileged(ScriptedStudent):
    """Says what it finds in the hidden state that it is shown, as a model under such a prompt may."""

    def __init__(self, path, config, execution, temperature, log):
        self._answer = self.answer
        self.asked = []

    def answer(self, request):
        self.asked.append(request)
        prompt = request.messages[-1].content
        if "moment 3" in prompt:
            return "no idea"
        reason = "The mug 2 is there." if "moment 2" in prompt else "Mugs are often in cabinets."
        command = "go to cabinet 3" if HIDDEN.split("\n")[0] in prompt else "look"
        return f"REASON: {reason}\nACTION: {command}"


def setup_of(level=100, model="weights", **params):
    return TeacherSetup(
        config=CorrectionConfig(teacher="self", level=level, params=params),
        suite=AlfworldSuite(EnvironmentConfig()),
        execution=ExecutionConfig(),
        student=StudentConfig(kind="privileged", constrain=True),
        experiment="tests",
        model=model,
    )


@pytest.fixture(autouse=True)
def _privileged(monkeypatch):
    monkeypatch.setitem(STUDENTS, "privileged", "test_teacher_self:Privileged")


def test_the_student_teaches_itself_under_the_privileged_prompt():
    teacher = SelfTeacher(setup_of())
    (correction, _) = correct_episodes(teacher, [episode(0), episode(1)])
    assert [step.status.value for step in correction.steps] == ["changed", "changed", "rejected", "rejected"]
    assert correction.steps[2].why.startswith("leak")
    assert correction.steps[3].why.startswith("unreadable")
    asked = teacher._student.asked
    assert len(asked) == 8
    assert len({request.slot for request in asked}) == len({request.seed for request in asked}) == 8
    assert asked[0].admissible == ("look", "go to cabinet 3", "inventory")
    assert asked[3].messages[-1].content.count("Objects that matter") == 1
    assert "moment 3" not in asked[2].messages[-1].content


def test_behind_an_endpoint_what_it_will_ask_for_is_known():
    asked = SelfTeacher(setup_of())
    asked.correct([episode(0), episode(1)])
    student = StudentConfig(kind="openai", constrain=True)
    setup = replace(setup_of(model="a-model"), student=student)
    foreseen = SelfTeacher.foresee(setup, [episode(0), episode(1)])
    wanted = [sum(len(message.content) for message in one.messages) for one in asked._student.asked]
    assert [one.model for one in foreseen] == ["a-model"] * 8
    shorter = [mine.num_characters - theirs for mine, theirs in zip(foreseen, wanted, strict=True)]
    assert len(set(shorter)) == 1  # the schema, of the same commands at each step
    assert shorter[0] > 0
    assert SelfTeacher.foresee(setup_of(), [episode(0)]) == []


def test_at_level_0_the_prompt_is_the_students_own():
    teacher = SelfTeacher(setup_of(level=0))
    (correction,) = correct_episodes(teacher, [episode(0)])
    assert [step.command for step in correction.steps][:2] == ["look", "look"]
    assert "Objects that matter" not in str(teacher._student.asked)


def test_it_needs_the_weights():
    with pytest.raises(ConfigError, match="needs the student's model"):
        SelfTeacher(setup_of(model=None))


def without_reasons(number=0):
    trajectory = episode(number).trajectory
    steps = [step.with_(action=step.action.with_(reason="")) for step in trajectory.steps]
    steps[1] = trajectory.steps[1]  # this one has a reason of its own
    return trajectory.with_(steps=tuple(steps)), episode(number).privileged


def num_without_reason(annotated):
    return sum(not step.action.reason for step in annotated.trajectory.steps)


def annotate(server, path, *episodes):
    execution = ExecutionConfig(teacher=EndpointConfig(base_url=server.url), journal=str(path / "journal.sqlite"))
    annotator = Annotator(MODEL, "alfworld", execution, "tests")
    try:
        return annotator.annotate(episodes)
    finally:
        annotator.close()


def test_reasons_come_from_what_was_seen_so_far(tmp_path):
    with ChatServer(lambda body, n: reply(json.dumps({"reason": "I look for a mug."}))) as server:
        (annotated,) = annotate(server, tmp_path, without_reasons())
        prompts = [one.body["messages"][1]["content"] for one in server.received]
    steps = annotated.trajectory.steps
    assert [step.action.reason for step in steps] == ["I look for a mug.", "I look around.", *["I look for a mug."] * 2]
    assert steps[0].reply == "REASON: I look for a mug.\nACTION: look"
    assert len(prompts) == 3
    for prompt, last in zip(prompts, (0, 2, 3), strict=True):
        assert f"moment {last}." in prompt
        assert f"moment {last + 1}." not in prompt
        assert "Objects that matter" not in prompt
    assert (num_without_reason(annotated), annotated.usage.num_requests) == (0, 3)
    bodies = [one.body["messages"] for one in server.received]
    foreseen = foresee_reasons(MODEL, "alfworld", [without_reasons()[0]])
    assert [one.num_characters for one in foreseen] == [sum(len(one["content"]) for one in body) for body in bodies]


def test_a_reason_that_leaks_is_asked_for_again_and_then_left_out(tmp_path):
    def answer(body, n):
        text = body["messages"][1]["content"]
        is_bad = "moment 3." in text or ("moment 2." in text and len(body["messages"]) == 2)
        return reply(json.dumps({"reason": "The mug 2 waits." if is_bad else "I go on."}))

    with ChatServer(answer) as server:
        (annotated,) = annotate(server, tmp_path, without_reasons())
        assert server.num_requests == 1 + 2 + 3
        assert "names 'mug 2'" in server.received[2].body["messages"][-1]["content"]
    assert [step.action.reason for step in annotated.trajectory.steps] == ["I go on.", "I look around.", "I go on.", ""]
    assert num_without_reason(annotated) == 1


class Overflowing(Privileged):
    """Cannot read what it is shown at one step."""

    def act(self, requests):
        return [
            replace(reply, text="", out_of_context=True) if "moment 2" in request.messages[-1].content else reply
            for request, reply in zip(requests, super().act(requests), strict=True)
        ]


def test_a_prompt_that_it_cannot_read_is_a_correction_that_failed_with_its_cause(monkeypatch):
    monkeypatch.setitem(STUDENTS, "privileged", "test_teacher_self:Overflowing")
    (correction,) = correct_episodes(SelfTeacher(setup_of()), [episode(0)])
    assert correction.steps == ()
    assert "longer than the model reads" in correction.error
