"""Markup that models write around their answers: thoughts, and control tokens.

Families of models differ in their markup; all of it is known here and nowhere else.
"""

import re
from dataclasses import dataclass

_TAGS = r"think(?:ing)?|thoughts?|reasoning|analysis|scratchpad|reflection"
_OPENED = re.compile(
    rf"<(?:seed:)?(?:{_TAGS})\s*>|\[(?:THINK|REASONING)\]|<\|?(?:START_THINKING|begin_of_thought)\|?>|◁think▷"
    r"|<\|channel\|?>\s*(?!final\b)\w+|(?-i:^\s*analysis(?=[A-Z]))",
    re.IGNORECASE,
)
_CLOSED = re.compile(
    rf"</(?:seed:)?(?:{_TAGS})\s*>|\[/(?:THINK|REASONING)\]|<\|?(?:END_THINKING|end_of_thought)\|?>|◁/think▷"
    r"|<\|channel\|>\s*final\b(?:\s*<\|constrain\|>\s*\w+)?\s*<\|message\|>|<channel\|>|(?-i:assistantfinal)",
    re.IGNORECASE,
)
_PART_OF_MARK = re.compile(r"<\|?(?:channel|message|constrain)\|?>")
_WRAPPINGS = (("<answer>", "</answer>"), ("<|begin_of_solution|>", "<|end_of_solution|>"))
_END = re.compile(r"(?:<\|(?:return|end|im_end|eot_id|endoftext|end_of_text)\|>|<｜end▁of▁sentence｜>)\s*$")
_CONTROL = re.compile(
    r"<\|[^<>|\s]{1,40}\|>|<｜[^<>｜]{1,40}｜>|<\|?(?:start|end)_of_\w{1,20}\|?>|</?s>|<(?:bos|eos|pad|unk|mask)>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|TOOL_CALLS|AVAILABLE_TOOLS|TOOL_RESULTS)\]|<</?SYS>>|\[(?:CLS|SEP|MASK|PAD|UNK)\]"
    rf"|</?(?:seed:)?(?:{_TAGS}|tool_call|tool_response)\s*>|\[/?THINK\]|◁/?think▷"
)


def final_answer(text: str) -> str | None:
    """The answer in a reply, without its thoughts; None if the reply ends inside a thought.

    Everything before the last closing mark is thought, whether or not an opening mark is there: some templates put it
    into the prompt. After an opening mark that is never closed nothing is an answer, and neither is what comes before
    it: the model was still thinking.
    """
    closings = list(_CLOSED.finditer(text))
    answer = text[closings[-1].end() :] if closings else text
    if _OPENED.search(answer):
        return None
    return _unwrapped(_END.sub("", answer))


def _unwrapped(answer: str) -> str:
    text = answer.strip()
    for opening, closing in _WRAPPINGS:
        if text[: len(opening)].lower() == opening:
            is_closed = text[-len(closing) :].lower() == closing
            return text[len(opening) : -len(closing) if is_closed else None]
    return answer


@dataclass(frozen=True, kw_only=True)
class OpenThought:
    """The mark that opened a thought, and the one that would close it."""

    opening: str
    closing: str


def find_open_thought(text: str) -> OpenThought | None:
    """The thought that `text` ends in, or None."""
    openings = list(_OPENED.finditer(text))
    if not openings or final_answer(text) is not None:
        return None
    mark = openings[-1].group()
    return OpenThought(opening=mark, closing=mark[0] + "/" + mark[1:])


def is_thought_mark(token: str) -> bool:
    """Whether a token opens or closes a thought, or is part of the marks that do."""
    return bool(_OPENED.search(token) or _CLOSED.search(token) or _PART_OF_MARK.fullmatch(token))


def find_control_token(text: str) -> str | None:
    """The first thing in `text` that is a control token in some family of models, or looks like one."""
    found = _CONTROL.search(text)
    return found.group() if found else None
