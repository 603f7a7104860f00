"""Prompts: one renderer, prefixes that are shared, and replies read back as they were written."""

import pytest

from leap_core.errors import UnknownNameError
from leap_core.prompts import (
    format_reply,
    load_prompts,
    match_command,
    prompts_folder,
    read_reply,
)
from leap_core.types import Action, Observation, Spec, Step

SPEC = Spec(id="train/a", env="alfworld", split="train", instruction="put a mug in cabinet.")
STEPS = [
    Step(
        index=n,
        observation=Observation(text=f"You see place {n}.", admissible=("look", f"go to place {n + 1}")),
        action=Action(reason="hidden thought", command=f"go to place {n + 1}"),
    )
    for n in range(3)
]
NOW = Observation(text="You see place 3.", admissible=("look", "go to place 9"))
SETS = sorted(path.parent.name for path in prompts_folder("alfworld", "student").glob("*/turn.jinja"))


@pytest.mark.parametrize("name", SETS)
def test_history_is_observations_and_commands_without_reasons(name):
    text = "\n".join(message.content for message in load_prompts("alfworld", name).student_messages(SPEC, STEPS, NOW))
    assert "hidden thought" not in text
    assert all(step.observation.text in text and step.action.command in text for step in STEPS)


@pytest.mark.parametrize("name", SETS)
def test_all_but_the_last_message_stay_as_they_were(name):
    prompts = load_prompts("alfworld", name)
    for length in range(len(STEPS)):
        earlier = prompts.student_messages(SPEC, STEPS[:length], STEPS[length].observation)
        assert prompts.student_messages(SPEC, STEPS, NOW)[: len(earlier) - 1] == earlier[:-1]


def test_admissible_commands_are_shown_for_the_current_observation_only():
    messages = load_prompts("alfworld", "default").student_messages(SPEC, STEPS, NOW)
    assert "go to place 9" in messages[-1].content
    assert not any("look" in message.content for message in messages[1:-1])
    assert SPEC.instruction in messages[1].content


def test_unknown_prompt_set():
    with pytest.raises(UnknownNameError, match=r"'compat'.*'compact'"):
        load_prompts("alfworld", "compat")


@pytest.mark.parametrize("reason", ["short", "two\nlines", "says ACTION without colon", "ünïcode"])
def test_replies_round_trip(reason):
    action = Action(reason=reason, command="go to mug 1")
    assert read_reply(format_reply(action), None) == action


@pytest.mark.parametrize("text", ["", "go to mug 1", "REASON: x", "REASON: x\nACTION:   "])
def test_what_has_not_the_form_is_not_guessed_at(text):
    assert read_reply(text, None) is None


def test_only_the_first_line_of_a_command_counts():
    assert read_reply("REASON: a\nACTION: look\nREASON: b\nACTION: help", None).command == "look"


def test_a_shell_shows_output_and_no_list_of_commands():
    spec = SPEC.with_(env="intercode_bash", instruction="Count the files.")
    steps = [Step(index=0, observation=Observation(text="Count the files."), action=Action(reason="r", command="ls"))]
    messages = load_prompts("intercode_bash", "default").student_messages(spec, steps, Observation(text=""))
    assert [message.content for message in messages[1:]] == [
        "Task: Count the files.",
        "ACTION: ls",
        "Output:\n(nothing)",
    ]


LISTED = ("look", "go to bed 1", "put mug 1 in/on bed 1", "click[Buy Now]")


@pytest.mark.parametrize(
    "text",
    [
        "REASON: It is late.\nACTION: go to bed 1",
        "Reason: It is late.\nAction: go to bed 1",
        "**REASON:** It is late. **ACTION:** go to bed 1",
        "**Reason**: It is late.\n\n**Action**: `go to bed 1`",
        "<think>Hm. ACTION: look</think>REASON: It is late.\nACTION: go to bed 1.",
        "It is late.\nACTION: [go to bed 1]",
        "### Thought: It is late.\n### Action:\n```\ngo to bed 1\n```",
        "REASON: It is late.\nACTION: Go to bed 1\nREASON: more\nACTION: look",
    ],
)
def test_a_reply_in_other_words_is_read_as_it_is_meant(text):
    assert read_reply(text, LISTED) == Action(reason="It is late.", command="go to bed 1")


@pytest.mark.parametrize("text", ["", "go to bed 1", "I am sorry, no.", "REASON: x\nACTION:   ", "an action: "])
def test_where_no_action_is_named_none_is_guessed(text):
    assert read_reply(text, LISTED) is None


@pytest.mark.parametrize(
    "command",
    [
        "ls *",
        'echo "a"',
        "find . -name '*.txt'",
        "[ -f a ]",
        "awk '{print $1}' a | grep -c \"x\"",
        "cd ..",
        "echo `date`",
    ],
)
def test_a_command_in_free_form_keeps_its_quotes_and_stars(command):
    assert match_command(command, None) == command
    assert match_command(f"`{command}`", None) == (command if "`" not in command else f"`{command}`")
    assert read_reply(f"REASON: so.\nACTION: {command}", None).command == command


def test_a_command_that_is_listed_is_found_whatever_stands_around_it():
    assert match_command("Click[buy now]", LISTED) == "click[Buy Now]"
    assert match_command('Action: "Look."', LISTED) == "look"
    assert match_command("jump.", LISTED) == "jump."


def test_a_command_that_could_be_either_of_two_is_neither():
    alike = ("take Mug", "take mug", "look")
    assert match_command("TAKE MUG", alike) == "TAKE MUG"
    assert match_command("take mug", alike) == "take mug"
    assert match_command("LOOK", alike) == "look"
