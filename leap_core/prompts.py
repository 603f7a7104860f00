"""The one place where the student's text is made and read: prompts from templates, replies parsed and formatted.

A prompt set is a directory `envs/<environment>/prompts/student/<set>/` of Jinja templates:
`system.jinja` (may be empty), `first.jinja` (goal and first observation), `turn.jinja` (each later observation).
Rollout and dataset assembly both call `student_messages`, so what is trained on is what was played.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from leap_core.errors import UnknownNameError
from leap_core.text.markup import final_answer
from leap_core.text.outside import read_json
from leap_core.types import Action, Message, Observation, Spec, Step

_ENVIRONMENTS = Path(__file__).parent / "envs"
_LABEL = re.compile(r"^(action|command)\s*:\s*", re.IGNORECASE)
_WRAPPED = re.compile(r"(?P<mark>\*\*|`|\"|')(?P<inner>.+)(?P=mark)")
_FREE_REASON = re.compile(r"^[\s>#*_]*(reason|thought)[*_ \t]*:[*_ \t]*", re.IGNORECASE)
_FREE_ACTION = re.compile(r"(?:^|\s)[>#*_]*action[*_ \t]*:[*_ \t]*", re.IGNORECASE)
_FENCE = re.compile(r"^```\w*$")
_REPLY = re.compile(r"^\s*REASON:(?P<reason>.*?)ACTION:[ \t]*(?P<command>[^\n]*)", re.DOTALL)


class PromptSet:
    """The templates that one kind of student is prompted with."""

    def __init__(self, environment: str, name: str) -> None:
        folder = prompts_folder(environment, "student")
        known = [path.parent.name for path in folder.glob("*/turn.jinja")]
        if name not in known:
            raise UnknownNameError(f"prompt set for {environment}", name, known, f"Add a directory {folder / name}.")
        jinja = Environment(  # prompts are plain text for a model, not HTML
            loader=FileSystemLoader(folder / name), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self._system: Template = jinja.get_template("system.jinja")
        self._first: Template = jinja.get_template("first.jinja")
        self._turn: Template = jinja.get_template("turn.jinja")

    def student_messages(self, spec: Spec, history: Sequence[Step], observation: Observation) -> tuple[Message, ...]:
        """Render the prompt at `observation`, after the steps in `history` (paper, section 3).

        Past reasons are not shown, and admissible commands only for the current observation, so each prompt
        of an episode starts with the text of the one before it.
        """
        messages = []
        system = self._system.render(spec=spec).strip()
        if system:
            messages.append(Message(role="system", content=system))
        for step in history:
            messages.append(self._user(spec, step.index, step.observation.text, None))
            messages.append(Message(role="assistant", content=f"ACTION: {step.action.command}"))
        messages.append(self._user(spec, len(history), observation.text, observation.admissible))
        return tuple(messages)

    def _user(self, spec: Spec, index: int, observation: str, admissible: Sequence[str] | None) -> Message:
        template = self._first if index == 0 else self._turn
        text = template.render(goal=spec.instruction, observation=observation, admissible=admissible)
        return Message(role="user", content=text.strip())


def prompts_folder(environment: str, role: Literal["student", "teacher", "judge"]) -> Path:
    """Where an environment keeps the prompt sets of a role."""
    return _ENVIRONMENTS / environment / "prompts" / role


def has_prompts(environment: str, name: str) -> bool:
    """Whether there is a prompt set of this name."""
    return (prompts_folder(environment, "student") / name / "turn.jinja").is_file()


load_prompts = lru_cache(maxsize=32)(PromptSet)
"""Loads a prompt set, each once; raises UnknownNameError where an environment has none of this name."""


def format_reply(action: Action) -> str:
    """The reply that a student is taught to give for `action`."""
    return f"REASON: {action.reason}\nACTION: {action.command}"


def command_place(reply: str) -> int:
    """Where in a reply of that form the line with the command begins; its length where there is none."""
    place = reply.rfind("\nACTION:")
    return len(reply) if place < 0 else place


def read_reply(text: str, admissible: Sequence[str] | None) -> Action | None:
    """Read a student's reply leniently; None where it names no command, or ends inside a thought.

    A student that was taught the form is read by it: `REASON: ... ACTION: ...`. In the words of one that plays as it
    is, labels may be missing, marked up or in another case, the command may be quoted or in a fence, or all of it may
    be JSON. `admissible` are the commands that the environment lists, if it lists any.
    """
    answer = final_answer(text)
    if answer is None:
        return None
    return _read_form(answer, admissible) or _read_json(answer) or _read_free(answer, admissible)


def _read_form(answer: str, admissible: Sequence[str] | None) -> Action | None:
    match = _REPLY.match(answer)
    command = match_command(match["command"].strip(), admissible) if match else ""
    return Action(reason=match["reason"].strip(), command=command) if match and command else None


def _read_json(answer: str) -> Action | None:
    try:
        value: Any = read_json(answer)
        return Action(reason=value["reason"], command=value["action"])
    except (ValueError, KeyError, TypeError):
        return None


def _read_free(answer: str, admissible: Sequence[str] | None) -> Action | None:
    label = _FREE_ACTION.search(answer)
    if label is None:
        return None
    lines = (line.strip() for line in answer[label.end() :].splitlines())
    line = next((line for line in lines if line and not _FENCE.match(line)), "")
    command = match_command(line, admissible)
    reason = _FREE_REASON.sub("", answer[: label.start()]).strip(" \t\r\n*_#>")
    return Action(reason=reason, command=command) if command else None


def match_command(command: str, admissible: Sequence[str] | None) -> str:
    """The admissible command that is meant, where only case, blanks and what stands around it differ.

    Else, and where none are listed, the command itself without marks around the whole of it: in a shell, quotes and
    stars at its end are part of it.
    """
    if admissible is not None and command in admissible:
        return command
    plain = _without_marks(command)
    meant = [known for known in admissible or () if _loosely(known) == _loosely(plain)]
    return meant[0] if len(meant) == 1 else plain


def _without_marks(command: str) -> str:
    text = _LABEL.sub("", command.strip())
    while (wrapped := _WRAPPED.fullmatch(text)) and wrapped["mark"] not in wrapped["inner"]:
        text = _LABEL.sub("", wrapped["inner"].strip())
    return text


def _loosely(command: str) -> str:
    return " ".join(command.lower().strip(" \t`\"'*[].").split())
