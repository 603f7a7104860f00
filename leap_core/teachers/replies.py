"""Reading what a teacher or judge answers, however wrapped: JSON alone, in a fence, between sentences, nearly right."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain

from pydantic import JsonValue

from leap_core.chat.messages import ReplySchema
from leap_core.text.markup import final_answer
from leap_core.text.outside import read_json
from leap_core.types import Action

_FENCE = re.compile(r"```[a-zA-Z]*\s*\n(.*?)(?:```|\Z)", re.DOTALL)
_TRAILING_COMMA = re.compile(r",\s*([\]}])")
_ADVICE_KEYS = {"step": ("step", "number", "index"), "reason": ("reason", "thought"), "action": ("action", "command")}


@cache
def correction_schema() -> ReplySchema:
    """The form of a teacher's reply, for endpoints that can enforce it."""
    step = _object({"step": {"type": "integer"}, "reason": {"type": "string"}, "action": {"type": "string"}})
    definition = _object({"summary": {"type": "string"}, "steps": {"type": "array", "items": step}})
    return ReplySchema(name="corrections", definition=definition)


def _object(properties: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The schema of an object that has all of these and nothing else."""
    required: list[JsonValue] = list(properties)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def read_advice(text: str, wanted: Sequence[int]) -> dict[int, Action] | None:
    """Advice by step, counted from 0; None where the text holds none that can be read.

    Of two pieces of advice on one step the first counts. Where one step alone is wanted, it need not be in a list.
    """
    for value in _json_values(text):
        if isinstance(value, dict) and len(wanted) == 1 and _first(value, _ADVICE_KEYS["action"]) is not None:
            value = [{**value, "step": wanted[0] + 1}]
        steps = value.get("steps", value.get("corrections")) if isinstance(value, dict) else value
        if isinstance(steps, dict):  # {"1": {...}, "2": {...}}
            steps = [{"step": key, **item} for key, item in steps.items() if isinstance(item, dict)]
        if isinstance(steps, list) and (advice := _advice(steps)) is not None:
            return advice
    return None


@cache
def verdict_schema(grounds: tuple[str, ...]) -> ReplySchema:
    """The form of a judge's reply: for each step a claim, why, and on which of `grounds` it rests."""
    rests_on: dict[str, JsonValue] = {"type": "string", "enum": list(grounds)}
    verdict = _object(
        {"step": {"type": "integer"}, "claim": {"type": "string"}, "why": {"type": "string"}, "rests_on": rests_on}
    )
    definition = _object({"verdicts": {"type": "array", "items": verdict}})
    return ReplySchema(name="verdicts", definition=definition)


def read_verdicts(text: str) -> dict[int, tuple[str, str]] | None:
    """The claim, and what it rests on, by step counted from 0; None where the text holds none that can be read.

    Strictly: another form than the one asked for may mean another thing, and here nothing catches a misreading. A
    verdict without its parts is left out; of two on one step the first counts.
    """
    for value in _json_values(text):
        verdicts = value.get("verdicts") if isinstance(value, dict) else None
        if isinstance(verdicts, list):
            found: dict[int, tuple[str, str]] = {}
            for item in verdicts:
                match item:
                    case {"step": int(step), "claim": str(claim), "rests_on": str(ground)}:
                        found.setdefault(step - 1, (claim.strip(), ground.strip().lower()))
            return found
    return None


def read_reason(text: str) -> str | None:
    """One reason, or None."""
    for value in _json_values(text):
        if isinstance(value, dict) and isinstance(value.get("reason"), str):
            return str(value["reason"]).strip() or None
    return None


def _advice(steps: list[JsonValue]) -> dict[int, Action] | None:
    found: dict[int, Action] = {}
    for item in steps:
        if not isinstance(item, dict):
            return None
        number, reason, action = (_first(item, names) for names in _ADVICE_KEYS.values())
        digits = re.search(r"\d{1,9}", str(number))
        if digits is None or not isinstance(action, str):
            return None
        found.setdefault(int(digits.group()) - 1, Action(reason=str(reason or "").strip(), command=action))
    return found


def _first(item: dict[str, JsonValue], names: Sequence[str]) -> JsonValue:
    return next((item[name] for name in names if name in item), None)


def _json_values(text: str) -> Iterator[JsonValue]:
    """All that could be meant as the JSON of a reply, the likeliest first."""
    text = final_answer(text) or ""
    for candidate in chain((text,), _FENCE.findall(text), _balanced(text)):
        for variant in (candidate, _TRAILING_COMMA.sub(r"\1", candidate)):
            try:
                value = read_json(variant)
            except ValueError:
                continue
            if isinstance(value, dict | list):
                yield value
                break


def _balanced(text: str) -> Iterator[str]:
    """Each outermost {...} or [...] of a text; brackets inside strings do not count."""
    depth, start, in_string, escaped = 0, 0, False, False
    for position, character in enumerate(text):
        if escaped:
            escaped = False
        elif in_string:
            escaped, in_string = character == "\\", character != '"'
        elif character == '"' and depth:
            in_string = True
        elif character in "{[":
            start = position if depth == 0 else start
            depth += 1
        elif character in "}]" and depth:
            depth -= 1
            if depth == 0:
                yield text[start : position + 1]
