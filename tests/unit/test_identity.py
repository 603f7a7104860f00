"""What decides the replies of students and teachers is part of what is made of them."""

import shutil

import pytest

from leap_core.config import LeapConfig, StudentConfig
from leap_core.teachers import judge, prompts
from tasks.annotation import AnnotationIdentity
from tasks.correction import CorrectionIdentity
from tasks.evaluation import EvaluationIdentity
from tasks.identity import PlayedStudent
from tasks.judgement import JudgementIdentity


@pytest.mark.parametrize(
    "change",
    [{"params": {"replies": ["ACTION: look"]}}, {"prompt": "default"}, {"constrain": False}, {"max_new_tokens": 7}],
)
def test_what_decides_replies_is_told_apart(change):
    config = StudentConfig(prompt="compact", constrain=True)
    assert PlayedStudent.of(config, None, "cpu") != PlayedStudent.of(config.with_(**change), None, "cpu")


def test_a_temperature_given_for_the_stage_stands_for_the_students():
    config = StudentConfig(temperature=0.5)
    assert PlayedStudent.of(config, 0.0, "cpu").temperature == 0.0
    assert PlayedStudent.of(config, None, "cpu").temperature == 0.5


def test_judging_has_a_limit_on_steps_of_its_own():
    def limit(**evaluation):
        config = LeapConfig.model_validate({"environment": {"max_steps": 15}, "evaluation": evaluation})
        return EvaluationIdentity.of(config, 1, "test").environment.max_steps

    assert (limit(), limit(max_steps=30)) == (15, 30)


TEACHERS = {"openai": {"model": "m"}, "self": {}, "oracle": {}}


def identities():
    """What the corrections of each teacher, and an annotator's reasons, are known by."""
    config = {name: {"correction": {"teacher": name, "params": params}} for name, params in TEACHERS.items()}
    found = {name: CorrectionIdentity.of(LeapConfig.model_validate(one)) for name, one in config.items()}
    return {**found, "annotator": AnnotationIdentity.of(LeapConfig(), "m")}


@pytest.mark.parametrize("changed", ["shared/guidance.jinja", "alfworld/default/system.jinja"])
def test_another_wording_of_a_teachers_prompt_is_told_apart(tmp_path, monkeypatch, changed):
    shared = shutil.copytree(prompts.SHARED, tmp_path / "shared")
    own = shutil.copytree(prompts.prompts_folder("alfworld", "teacher"), tmp_path / "alfworld")
    monkeypatch.setattr(prompts, "SHARED", shared)
    monkeypatch.setattr(prompts, "prompts_folder", lambda environment, role: own)
    prompts.load_teacher_prompts.cache_clear()
    before = identities()
    (tmp_path / changed).write_text("Teach as you like.")
    prompts.load_teacher_prompts.cache_clear()
    after = identities()
    prompts.load_teacher_prompts.cache_clear()
    assert {name for name in before if before[name] != after[name]} == {"openai", "self", "annotator"}


@pytest.mark.parametrize("change", [{"constrain": True}, {"max_new_tokens": 7}])
def test_how_the_student_replies_matters_where_it_is_the_teacher(change):
    for teacher, params in TEACHERS.items():
        correction = {"teacher": teacher, "params": params}
        one, other = (LeapConfig.model_validate({"correction": correction, "student": some}) for some in ({}, change))
        assert (CorrectionIdentity.of(one) != CorrectionIdentity.of(other)) == (teacher == "self")


@pytest.mark.parametrize("changed", ["shared/system.jinja", "alfworld/default/about.jinja"])
def test_another_wording_of_a_judges_prompt_is_told_apart_and_moves_no_teacher(tmp_path, monkeypatch, changed):
    own = shutil.copytree(prompts.prompts_folder("alfworld", "judge"), tmp_path / "alfworld")
    monkeypatch.setattr(judge, "SHARED", shutil.copytree(judge.SHARED, tmp_path / "shared"))
    monkeypatch.setattr(judge, "prompts_folder", lambda environment, role: own)
    judge.load_judge_prompts.cache_clear()
    teachers, before = identities(), JudgementIdentity.of(LeapConfig(), "m")
    (tmp_path / changed).write_text("Judge as you like.")
    judge.load_judge_prompts.cache_clear()
    after = JudgementIdentity.of(LeapConfig(), "m")
    judge.load_judge_prompts.cache_clear()
    assert before != after
    assert identities() == teachers


@pytest.mark.parametrize("gate", [{"judge_temperature": None}, {"judge_max_tokens": 77}, {"judge_max_attempts": 1}])
def test_how_a_judge_is_asked_is_told_apart_and_what_it_may_fail_on_is_not(gate):
    def identity(**gate):
        return JudgementIdentity.of(LeapConfig.model_validate({"gate": gate}), "m")

    assert identity(**gate) != identity()
    assert identity(max_unjudged_share=0.7) == identity()
    assert JudgementIdentity.of(LeapConfig(), "another") != identity()
