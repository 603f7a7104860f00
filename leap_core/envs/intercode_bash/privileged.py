"""The hidden state of a task: the gold command, and what it does in a fresh copy."""

import json
from contextlib import closing

from pydantic import ConfigDict

from leap_core.envs.intercode_bash.environment import Task, birthday, readable, run_gold
from leap_core.envs.intercode_bash.sandbox.backends import Backend
from leap_core.types import HiddenFacts, PrivilegedState, Spec

SOURCE = "gold command"


class IntercodeBashFacts(HiddenFacts):
    """The facts of a privileged state: the gold command, and what it prints and changes.

    `gold_output` is cut to the environment's limit; `gold_changes` are lines of `git status --short`.
    """

    model_config = ConfigDict(extra="forbid")

    gold: str
    gold_output: str
    gold_changes: tuple[str, ...]


def reveal(spec: Spec, task: Task, backend: Backend, command_timeout_s: float, output_limit: int) -> PrivilegedState:
    """Run the gold command in a fresh copy and describe what comes of it; `output_limit` is in characters.

    Raises:
        EnvironmentCrashError: the sandbox failed.
    """
    with closing(backend.open(task.file_system, task.archive, birthday())) as fresh:
        outcome = run_gold(fresh, task.gold, command_timeout_s)
    facts = IntercodeBashFacts(
        gold=task.gold,
        gold_output=readable(outcome.output or "", output_limit),
        gold_changes=tuple(line.strip() for line in (outcome.status or "").splitlines()),
    )
    lines = [
        f"Task: {spec.instruction}",
        f"A command that does it: {task.gold}",
        f"What that prints: {json.dumps(facts.gold_output, ensure_ascii=False)}",
        f"What that changes (git status): {json.dumps(facts.gold_changes, ensure_ascii=False)}",
    ]
    return PrivilegedState(spec_id=spec.id, text="\n".join(lines), facts=facts.model_dump(mode="json"), source=SOURCE)
