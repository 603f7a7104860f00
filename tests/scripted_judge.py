"""What a judge at an endpoint would answer, made from the prompt alone."""

import json
import re

from chat_server import reply

LEAKING = "it is certainly behind this one"
"""A claim that the scripted judge takes for a leak, wherever it stands."""
_STEP = re.compile(r"^Step (\d+)$", re.MULTILINE)
_REASON = re.compile(r"^To be judged, the teacher's reason: (.*)$", re.MULTILINE)
_AGAIN = re.compile(r"judge only steps? ([\d, ]+)\.")


def is_for_judge(body):
    """Whether a request is for a judge, not for a teacher."""
    return "To be judged" in body["messages"][1]["content"]


def reasons(body):
    """The reasons to be judged, by the number of the step."""
    parts = _STEP.split(body["messages"][1]["content"])
    found = {int(number): _REASON.search(text) for number, text in zip(parts[1::2], parts[2::2], strict=True)}
    return {number: match[1] for number, match in found.items() if match}


def judged_steps(body):
    """The numbers of the steps that a request asks for."""
    again = _AGAIN.search(body["messages"][-1]["content"])
    return [int(number) for number in again[1].split(",")] if again else sorted(reasons(body))


def verdicts(body, **changes):
    """Verdicts as a judge gives them; `changes` like `step3={"rests_on": "guess"}`."""
    said = reasons(body)
    return [
        {
            "step": number,
            "claim": LEAKING if LEAKING in said[number] else "",
            "why": "Nothing that was shown says so.",
            "rests_on": "hidden" if LEAKING in said[number] else "common sense",
            **changes.get(f"step{number}", {}),
        }
        for number in judged_steps(body)
    ]


def judgement(steps, **fields):
    """An answer with these verdicts."""
    return reply(json.dumps({"verdicts": steps}), **fields)


def well_behaved(body, n):
    """Judge whatever is asked for."""
    tokens = {"prompt_tokens": len(str(body)) // 4, "completion_tokens": 50 * len(judged_steps(body))}
    return judgement(verdicts(body), **tokens)
