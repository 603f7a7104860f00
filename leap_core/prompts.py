"""The one place where the student's text is made and read: prompts from templates, replies parsed and formatted.

A prompt set is a directory `prompts/<environment>/<set>/` of Jinja templates:
`system.jinja` (may be empty), `first.jinja` (goal and first observation), `turn.jinja` (each later observation).
Rollout and dataset assembly both call `student_messages`, so what is trained on is what was played.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from leap_core.errors import UnknownNameError
from leap_core.types import Action, Message, Observation, Spec, Step

PROMPTS_DIR = Path(__file__).parent / "prompts"
_REPLY = re.compile(r"^\s*REASON:(?P<reason>.*?)\n?\s*ACTION:[ \t]*(?P<command>[^\n]*)", re.DOTALL)


class PromptSet:
    """The templates that one kind of student is prompted with."""

    def __init__(self, environment: str, name: str) -> None:
        folder = PROMPTS_DIR / environment
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


def has_prompts(environment: str, name: str) -> bool:
    """Whether there is a prompt set of this name."""
    return (PROMPTS_DIR / environment / name / "turn.jinja").is_file()


@lru_cache(maxsize=32)
def load_prompts(environment: str, name: str) -> PromptSet:
    """Load a prompt set once.

    Raises:
        UnknownNameError: no such set for this environment.
    """
    return PromptSet(environment, name)


def format_reply(action: Action) -> str:
    """The reply that a student is taught to give for `action`."""
    return f"REASON: {action.reason}\nACTION: {action.command}"


def parse_reply(text: str) -> Action | None:
    """Read a student's reply; None where it has not the form `REASON: ... ACTION: ...` or names no command."""
    match = _REPLY.match(text)
    if match is None or not match["command"].strip():
        return None
    return Action(reason=match["reason"].strip(), command=match["command"].strip())
