"""Marks around words: what of a reply is its answer, and what looks like a control token."""

import time

import pytest

from leap_core.prompts import read_reply
from leap_core.text.markup import final_answer, find_control_token, find_open_thought
from leap_core.types import Action

ANSWER = "REASON: It is late.\nACTION: go to bed 1"
DRAFT = "REASON: hm\nACTION: jump out of the window"


@pytest.mark.parametrize(
    "text",
    [
        ANSWER,
        f"<think>{DRAFT}</think>{ANSWER}",
        f"{DRAFT}</think>\n\n{ANSWER}",
        f"<THINK>{DRAFT}</THINK>{ANSWER}",
        f"<thinking>{DRAFT}</thinking>{ANSWER}",
        f"<reasoning>{DRAFT}</reasoning>\n{ANSWER}",
        f"[THINK]{DRAFT}[/THINK]{ANSWER}",
        f"<seed:think>{DRAFT}</seed:think>{ANSWER}",
        f"◁think▷{DRAFT}◁/think▷{ANSWER}",
        f"<|START_THINKING|>{DRAFT}<|END_THINKING|>{ANSWER}",
        f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>final<|message|>{ANSWER}<|return|>",
        f"analysis{DRAFT}assistantfinal{ANSWER}",
        f"<think>one</think>{DRAFT}<think>two {DRAFT}</think>{ANSWER}",
        f"<think>{DRAFT}</think><answer>{ANSWER}</answer>",
        f"<|begin_of_thought|>{DRAFT}<|end_of_thought|>\n\n<|begin_of_solution|>{ANSWER}<|end_of_solution|>",
    ],
)
def test_only_what_follows_the_last_thought_is_an_answer(text):
    assert read_reply(text, ("go to bed 1", "jump out of the window")) == Action(
        reason="It is late.", command="go to bed 1"
    )


@pytest.mark.parametrize(
    "text",
    [
        f"<think>{DRAFT}",
        f"<think>\nI could write {DRAFT}\nor",
        f"[THINK]{DRAFT}",
        f"<reasoning>{DRAFT}\n",
        f"<|channel|>analysis<|message|>{DRAFT}",
        f"<|channel|>commentary<|message|>{DRAFT}",
        f"{DRAFT}\n<think>or rather",
        f"<think>{DRAFT}</think>",
        f"<think>one</think><think>{DRAFT}",
        f"analysisWe need {DRAFT}",
    ],
)
def test_a_thought_that_nothing_ends_is_no_answer(text):
    assert read_reply(text, None) is None


def test_words_that_speak_of_thinking_are_no_marks():
    text = (
        "Analysis of the room:\nREASON: My analysis: I think <so>, reasoning by analysis.\nACTION: grep '<b>' final.txt"
    )
    assert read_reply(text, None).command == "grep '<b>' final.txt"
    assert final_answer(text) == text


def test_an_answer_as_json_is_read_by_everybody():
    assert read_reply('{"reason": "It is late.", "action": "look"}', None) == Action(
        reason="It is late.", command="look"
    )
    assert read_reply("[" * 100_000, None) is None


def test_an_open_thought_tells_how_it_closes():
    assert find_open_thought("<|Assistant|><think>\n").closing == "</think>"
    assert find_open_thought("[THINK]").closing == "[/THINK]"
    assert find_open_thought("<think>\n\n</think>\n\n") is None
    assert find_open_thought("plain") is None


@pytest.mark.parametrize(
    "token",
    [
        "<|eot_id|>",
        "<|im_end|>",
        "<｜end▁of▁sentence｜>",
        "<end_of_turn>",
        "</s>",
        "[/INST]",
        "<</SYS>>",
        "<eos>",
        "<think>",
        "</think>",
        "<|START_THINKING|>",
        "<tool_call>",
    ],
)
def test_control_tokens_of_all_families_are_known(token):
    assert find_control_token(f"I look {token} for a mug.") == token


@pytest.mark.parametrize("text", ["a | b", "x < y > z", "[1] and [a]", "<b>bold</b>", "a <= b", "cat < in > out"])
def test_ordinary_words_are_no_control_tokens(text):
    assert find_control_token(text) is None


@pytest.mark.parametrize(
    "unit", [" ", "\n", "\r\n", "<", "[", "<think>", "</", "<answer>", "ACTION:", "analysis", "*", "'"]
)
@pytest.mark.parametrize("start", ["", "REASON: ", "REASON: a\nACTION: ", "<answer>"])
def test_a_huge_reply_is_read_in_time_that_grows_with_its_length_alone(start, unit):
    """A reader that looks back at each place would take minutes for each of these."""
    text = start + unit * (100_000 // len(unit))
    began = time.process_time()
    for end in ("", "x", "\nlook"):
        read_reply(text + end, None)
        find_control_token(text + end)
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "text", ["<answer> ACTION: look </answer>", "\n<ANSWER>ACTION: look</Answer>\n", "<answer>ACTION: look"]
)
def test_an_answer_in_its_own_marks_is_read_without_them(text):
    assert read_reply(text, None).command == "look"
