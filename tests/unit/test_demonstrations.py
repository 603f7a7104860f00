"""Expert episodes: played as the expert says, recorded as a student's would be, cloned only where they won."""

import pytest
from corridor import Corridor, corridors

from leap_core.errors import EnvironmentCrashError
from leap_core.method.demonstrations import demonstrate, successful
from leap_core.types import Action, PrivilegedState, StopReason, Usage

PRIVILEGED = PrivilegedState(spec_id="a", text="the door is on the right", source="test")


class Expert:
    """Says one command after the other, and keeps what it was asked."""

    def __init__(self, *commands):
        self.commands, self.asked = commands, []

    def advise(self, spec, history, observation, privileged, level):
        self.asked.append(([step.action.command for step in history], observation.text, privileged, level))
        return Action(reason=f"reason {len(history)}", command=self.commands[len(history)])


def play(*commands, length=3, max_steps=5, expert=None):
    spec = corridors(a=length)[0]
    return demonstrate(Corridor(), expert or Expert(*commands), spec, PRIVILEGED, 50, max_steps)


def test_each_step_is_what_the_expert_said_where_it_stood():
    episode = play("right", "left", "right", "right", "right")
    assert [step.index for step in episode.steps] == [0, 1, 2, 3, 4]
    assert [step.action.command for step in episode.steps] == ["right", "left", "right", "right", "right"]
    assert [step.observation.text for step in episode.steps[:3]] == [
        *("a: place 0.", "a: place 1 after 'right'.", "a: place 0 after 'left'.")
    ]
    assert episode.steps[1].reply == "REASON: reason 1\nACTION: left"
    assert episode.final_observation == "a: place 3 after 'right'."
    assert (episode.stop_reason, episode.score, episode.success) == (StopReason.TERMINATED, 1.0, True)
    assert (episode.id, episode.iteration, episode.student) == ("i0/a", 0, "expert-level-50")
    assert episode.usage == Usage()


def test_the_expert_is_asked_with_what_happened_so_far():
    expert = Expert("right", "left", "right")
    play(expert=expert, max_steps=3)
    assert expert.asked[2] == (["right", "left"], "a: place 0 after 'left'.", PRIVILEGED, 50)
    assert len(expert.asked) == 3


@pytest.mark.parametrize(
    ("commands", "max_steps", "stop", "success"),
    [
        (["right"] * 3, 3, StopReason.TERMINATED, True),  # with the last step that it has
        (["right"] * 3, 2, StopReason.STEP_LIMIT, False),
        (["right", "jump"], 5, StopReason.TERMINATED, False),  # the environment's end is not success
    ],
)
def test_only_an_episode_that_reached_its_goal_is_cloned(commands, max_steps, stop, success):
    episode, good = play(*commands, max_steps=max_steps), play("right", length=1)
    assert (episode.stop_reason, episode.success) == (stop, success)
    assert successful([episode, good]) == ([episode, good] if success else [good])


def test_a_refused_command_of_the_expert_is_an_error_that_names_it():
    with pytest.raises(EnvironmentCrashError, match=r"'fly'.*step 1 of 'a'"):
        play("right", "fly")
