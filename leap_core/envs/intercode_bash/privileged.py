"""The hidden state of a task: the gold command, and what it does in a fresh copy."""

import json

from pydantic import JsonValue

from leap_core.envs.intercode_bash.environment import Task, birthday, readable, run_gold
from leap_core.envs.intercode_bash.sandbox.backends import Backend
from leap_core.types import PrivilegedState, Spec

SOURCE = "gold command"


def reveal(spec: Spec, task: Task, backend: Backend, command_timeout_s: float, output_limit: int) -> PrivilegedState:
    """Run the gold command in a fresh copy and describe what comes of it.

    The facts are: gold, gold_output (at most `output_limit` characters), gold_changes (lines of `git status --short`).

    Raises:
        EnvironmentCrashError: the sandbox failed.
    """
    fresh = backend.open(task.file_system, task.archive, birthday())
    try:
        outcome = run_gold(fresh, task.gold, command_timeout_s)
    finally:
        fresh.close()
    output = readable(outcome.output or "", output_limit)
    changes: list[JsonValue] = [line.strip() for line in (outcome.status or "").splitlines()]
    lines = [
        f"Task: {spec.instruction}",
        f"A command that does it: {task.gold}",
        f"What that prints: {json.dumps(output, ensure_ascii=False)}",
        f"What that changes (git status): {json.dumps(changes, ensure_ascii=False)}",
    ]
    facts: dict[str, JsonValue] = {"gold": task.gold, "gold_output": output, "gold_changes": changes}
    return PrivilegedState(spec_id=spec.id, text="\n".join(lines), facts=facts, source=SOURCE)


def gold_of(privileged: PrivilegedState) -> str | None:
    """The gold command that a privileged state reveals."""
    gold = privileged.facts.get("gold")
    return gold if isinstance(gold, str) else None
