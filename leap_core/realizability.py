"""The gate between a teacher and training: prompts only *ask* a teacher not to leak; this *checks*.

A correction passes if its command was admissible at that step, and if its reason names nothing that stands in the
privileged state but not in what the student had seen by then (paper, section 3.2).
"""

import re
from collections.abc import Iterator, Sequence

from pydantic import JsonValue

from leap_core.types import Correction, CorrectionStatus, PrivilegedState, Step, StepCorrection, Trajectory

_WORDS = re.compile(r"[a-z]+|\d+")
LEAK = "leak"


def apply_gate(correction: Correction, trajectory: Trajectory, privileged: PrivilegedState) -> Correction:
    """Mark each step correction that fails a check as rejected, with the reason; none is dropped."""
    secrets = sorted(set(_secrets(privileged.facts)))
    seen = normalise(trajectory.spec.instruction)
    checked = []
    for step, step_correction in zip(trajectory.steps, correction.steps, strict=True):
        seen = f"{seen} | {_what_was_seen(step)}"
        why = _why_rejected(step_correction, step, seen, secrets)
        update = {"status": CorrectionStatus.REJECTED, "why": why}
        checked.append(step_correction.model_copy(update=update) if why else step_correction)
        seen = f"{seen} | {normalise(step.action.command)}"
    return correction.model_copy(update={"steps": tuple(checked)})


def normalise(text: str) -> str:
    """Lower case, words and numbers only, single spaces: `Mug 1,` and `mug 1` become the same."""
    return " ".join(_WORDS.findall(text.lower()))


def leaks(reason: str, seen: str, secrets: Sequence[str]) -> list[str]:
    """The secrets that `reason` names and `seen` does not show; all three normalised alike."""
    said, shown = f" {normalise(reason)} ", f" {seen} "
    return [secret for secret in secrets if f" {secret} " in said and f" {secret} " not in shown]


def _what_was_seen(step: Step) -> str:
    # Separators keep two neighbouring commands from forming a phrase that neither of them has.
    admissible = " | ".join(normalise(command) for command in step.observation.admissible or ())
    return f"{normalise(step.observation.text)} | {admissible}"


def _why_rejected(correction: StepCorrection, step: Step, seen: str, secrets: Sequence[str]) -> str:
    if correction.status is CorrectionStatus.REJECTED:
        return correction.why
    admissible = step.observation.admissible
    if admissible is not None and correction.command not in admissible:
        return "inadmissible: the command was not possible at this step"
    if not correction.reason.strip():
        return "no reason"
    leaked = leaks(correction.reason, seen, secrets)
    return f"{LEAK}: the reason names {leaked[0]!r}, which the student had not seen" if leaked else ""


def _secrets(facts: JsonValue) -> Iterator[str]:
    """Every name or phrase of the privileged facts that could only be known from there.

    Single words without a number ("mug", "clean") are general knowledge or part of the goal and are no secret.
    """
    if isinstance(facts, dict):
        for key, value in facts.items():
            yield from _secrets(value)
            if any(character.isdigit() for character in key):  # a name, as in {"mug 1": "cabinet 3"}; not a field
                yield normalise(key)
    elif isinstance(facts, list):
        for value in facts:
            yield from _secrets(value)
    elif isinstance(facts, str):
        text = normalise(facts)
        if " " in text:
            yield text
