"""What a well-behaved teacher at an endpoint would answer, made from the prompt alone."""

import json
import re

from chat_server import reply

_STEP = re.compile(r"^Step (\d+)( \(to be corrected\))?$", re.MULTILINE)
_POSSIBLE = re.compile(r"^Possible actions: (.*)$", re.MULTILINE)
_WANTED = re.compile(r"Correct (?:the steps (\d+) to (\d+)|step (\d+))\.")
_AGAIN = re.compile(r"list only steps? ([\d, ]+)\.")


def wanted_steps(body):
    """The numbers of the steps that a request asks for."""
    last = body["messages"][-1]["content"]
    again = _AGAIN.search(last)
    if again:
        return [int(number) for number in again[1].split(",")]
    first, stop, only = _WANTED.search(last).groups()
    return [int(only)] if only else list(range(int(first), int(stop) + 1))


def possible_actions(body):
    """The possible actions at each step that the record shows with them, by number."""
    parts = _STEP.split(body["messages"][1]["content"])
    found = {}
    for number, _, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        if match := _POSSIBLE.search(text):
            found[int(number)] = match[1].split("; ")
    return found


def advice(body, reason="I have not looked there yet, so this comes next.", **changes):
    """Steps as a teacher gives them: the first possible action each; `changes` like `step3={"action": ...}`."""
    possible = possible_actions(body)
    return [
        {"step": number, "reason": reason, "action": possible[number][0], **changes.get(f"step{number}", {})}
        for number in wanted_steps(body)
    ]


def corrections(steps, **fields):
    """An answer with these steps."""
    return reply(json.dumps({"summary": "It went round in circles.", "steps": steps}), **fields)


def well_behaved(body, n):
    """Correct whatever is asked for."""
    return corrections(advice(body), prompt_tokens=len(str(body)) // 4, completion_tokens=40 * len(advice(body)))
