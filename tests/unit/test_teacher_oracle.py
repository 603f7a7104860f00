"""The oracle teacher: every step of the student's own episode, and nothing it says fails the realizability gate."""

import pytest

from leap_core.config import CorrectionConfig, EnvironmentConfig, ExecutionConfig, StudentConfig
from leap_core.envs.alfworld.privileged import AlfworldFacts
from leap_core.envs.alfworld.suite import AlfworldSuite
from leap_core.errors import WrongSpecError
from leap_core.gate.realizability import apply_gate
from leap_core.method.demonstrations import demonstrate
from leap_core.teachers.base import TeacherSetup
from leap_core.teachers.oracle import OracleTeacher
from leap_core.types import Action, CorrectionStatus, Step, StopReason, Trajectory, Usage


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    suite = AlfworldSuite(EnvironmentConfig(num_train=12))
    return suite, root, suite.prepare(root, "train", 5)


def play(world, spec, commands):
    """A student's episode with these commands."""
    suite, root, _ = world
    environment = suite.make(root)
    observation, steps = environment.reset(spec), []
    for index, command in enumerate(commands):
        result = environment.step(command)
        action = Action(reason="Because.", command=command)
        steps.append(Step(index=index, observation=observation, action=action, valid=result.valid))
        observation = result.observation
    return Trajectory(
        id=f"i1/{spec.id}",
        spec=spec,
        iteration=1,
        student="student",
        steps=tuple(steps),
        final_observation=observation.text,
        stop_reason=StopReason.STEP_LIMIT,
        score=0.0,
        success=False,
    )


def teacher(suite, level=0):
    setup = TeacherSetup(
        config=CorrectionConfig(level=level),
        suite=suite,
        execution=ExecutionConfig(),
        student=StudentConfig(),
        experiment="test",
    )
    return OracleTeacher(setup)


def test_steps_that_agree_are_kept_and_others_changed(world):
    suite, root, specs = world
    spec, privileged = specs[0], suite.privileged_state(root, specs[0])
    first = demonstrate(suite.make(root), suite.oracle(), spec, privileged, 0, 1).steps[0].action
    trajectory = play(world, spec, [first.command, "look", "juggle", "inventory"])
    correction = teacher(suite).correct_episode(trajectory, privileged)
    assert [step.status for step in correction.steps] == [CorrectionStatus.KEPT] + [CorrectionStatus.CHANGED] * 3
    assert correction.steps[0].reason == first.reason
    assert [step.step for step in correction.steps] == [0, 1, 2, 3]
    assert (correction.teacher, correction.level, correction.usage) == ("oracle", 0, Usage())


def test_each_step_is_corrected_after_the_students_own_steps(world):
    """The advice at a step depends on what the student did before, not on what it was told to do."""
    suite, root, specs = world
    spec, privileged = specs[0], suite.privileged_state(root, specs[0])
    trajectory = play(world, spec, ["look", "inventory", "look"])
    correction = teacher(suite).correct_episode(trajectory, privileged)
    assert len({step.command for step in correction.steps}) == 1
    expected = suite.oracle().advise(spec, trajectory.steps[:2], trajectory.steps[2].observation, privileged, 0)
    assert correction.steps[2].command == expected.command


@pytest.mark.parametrize("level", [0, 25, 50, 75, 100])
def test_no_correction_is_stopped_by_the_gate(world, level):
    suite, root, specs = world
    for spec in specs:
        privileged = suite.privileged_state(root, spec)
        places = list(dict.fromkeys(AlfworldFacts.of(privileged).locations.values()))
        commands = [command for place in places for command in (f"go to {place}", f"open {place}")][:18]
        trajectory = play(world, spec, commands)
        correction = apply_gate(teacher(suite, level).correct_episode(trajectory, privileged), trajectory, privileged)
        assert [step.why for step in correction.steps if step.status is CorrectionStatus.REJECTED] == []


def test_a_step_without_advice_is_rejected_and_not_dropped(world):
    suite, root, specs = world
    trajectory = play(world, specs[0], ["look", "look"])
    blind = trajectory.steps[1].observation.with_(admissible=("look",))
    steps = (trajectory.steps[0], trajectory.steps[1].with_(observation=blind))
    correction = teacher(suite).correct_episode(trajectory.with_(steps=steps), suite.privileged_state(root, specs[0]))
    assert correction.steps[0].status is CorrectionStatus.CHANGED
    assert correction.steps[1].status is CorrectionStatus.REJECTED
    assert correction.steps[1].command == "look"
    assert "not admissible" in correction.steps[1].why


def test_the_state_of_another_spec_is_refused(world):
    suite, root, specs = world
    with pytest.raises(WrongSpecError, match=specs[1].id):
        teacher(suite).correct_episode(play(world, specs[0], ["look"]), suite.privileged_state(root, specs[1]))
