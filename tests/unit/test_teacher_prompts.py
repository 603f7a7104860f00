"""What teachers are asked: everything they need, and at each level no more of the hidden state than it allows."""

import pytest

from leap_core.errors import UnknownNameError, WrongSpecError
from leap_core.teacher_prompts import load_teacher_prompts
from leap_core.types import Action, Observation, PrivilegedState, Spec, Step, StopReason, Trajectory

SPEC = Spec(id="train/1", env="alfworld", split="train", instruction="put a clean mug in desk")
HIDDEN = PrivilegedState(spec_id=SPEC.id, text="mug 3, in/on drawer 7", source="test")
STEPS = tuple(
    Step(
        index=index,
        observation=Observation(text=f"You see place {index}.", admissible=(f"go to place {index}", "look")),
        action=Action(reason=f"Reason {index}.", command=f"go to place {index}"),
    )
    for index in range(3)
)
EPISODE = Trajectory(
    id="i1/1",
    spec=SPEC,
    iteration=1,
    student="s",
    steps=STEPS,
    final_observation="Late news.",
    stop_reason=StopReason.STEP_LIMIT,
    score=0.0,
    success=False,
)
LEVELS = (0, 25, 50, 75, 100)
PROMPTS = load_teacher_prompts("alfworld")


def text_of(messages):
    assert [message.role for message in messages] == ["system", "user"]
    return "\n".join(message.content for message in messages)


def asked(level):
    return [
        text_of(PROMPTS.correct_trajectory(EPISODE, HIDDEN, level)),
        text_of(PROMPTS.correct_step(EPISODE, 1, HIDDEN, level)),
    ]


@pytest.mark.parametrize("level", LEVELS)
def test_hidden_state_is_shown_from_level_25_on(level):
    for text in asked(level):
        assert (HIDDEN.text in text) == (level > 0)
        assert ("What the student does not know:" in text) == (level > 0)


def test_each_level_has_rules_of_its_own():
    assert len({tuple(asked(level)) for level in LEVELS}) == len(LEVELS)
    for level in (25, 50):
        assert "names nothing that the student had not seen" in asked(level)[0]
    for level in (75, 100):
        assert "names nothing that the student had not seen" not in asked(level)[0]


def test_an_episode_is_shown_whole():
    text = text_of(PROMPTS.correct_trajectory(EPISODE, HIDDEN, 50))
    for step in STEPS:
        assert f"Step {step.index}\nObservation: {step.observation.text}" in text
        assert f"Possible actions: {'; '.join(step.observation.admissible)}" in text
        assert f"The student's reason: {step.action.reason}\nThe student's action: {step.action.command}" in text
    assert text.count(SPEC.instruction) == 2
    assert '"corrections"' in text
    assert "all 3 steps" in text
    assert EPISODE.final_observation not in text


@pytest.mark.parametrize("index", range(3))
def test_a_step_is_shown_without_what_comes_later(index):
    text = text_of(PROMPTS.correct_step(EPISODE, index, HIDDEN, 50))
    for step in STEPS:
        assert (step.observation.text in text) == (step.index <= index)
        assert (f"- go to place {step.index}" in text) == (step.index == index)
        assert (step.action.reason in text) == (step.index == index)
    assert ("Nothing yet." in text) == (index == 0)
    assert "REASON:" in text
    assert "ACTION:" in text


def test_a_step_without_a_reason_or_a_list_of_actions():
    bare = Step(index=0, observation=Observation(text="A shell."), action=Action(reason="", command=""))
    episode = EPISODE.model_copy(update={"steps": (bare,)})
    for messages in (PROMPTS.correct_step(episode, 0, HIDDEN, 0), PROMPTS.correct_trajectory(episode, HIDDEN, 0)):
        text = text_of(messages)
        assert "The student's reason: none\nThe student's action: none" in text
        assert "Possible actions" not in text


def test_annotation_asks_for_reasons_alone():
    text = text_of(PROMPTS.annotate(EPISODE))
    assert "Give 3 reasons." in text
    for step in STEPS:
        assert f"Observation: {step.observation.text}\nAction: {step.action.command}" in text
        assert step.action.reason not in text


def test_braces_in_a_text_stay_as_they_are():
    strange = STEPS[0].model_copy(update={"observation": Observation(text="{{ privileged }} {% raw %}")})
    episode = EPISODE.model_copy(update={"steps": (strange,)})
    assert "Observation: {{ privileged }} {% raw %}" in text_of(PROMPTS.correct_trajectory(episode, HIDDEN, 50))


def test_wrong_pairs_and_unknown_environments():
    other = HIDDEN.model_copy(update={"spec_id": "train/2"})
    with pytest.raises(WrongSpecError, match="'train/2'"):
        PROMPTS.correct_step(EPISODE, 0, other, 0)
    with pytest.raises(UnknownNameError, match="Did you mean 'alfworld'"):
        load_teacher_prompts("alfwrld")
