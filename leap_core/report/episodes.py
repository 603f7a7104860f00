"""The sampled episodes as JSON for the page's browser: compact, and safe inside a `<script>` element.

Every text is stored once, in `texts`, and named by its place: observations, reasons and commands repeat a lot.
A step is `[observation, reason, command, reply]`, with null for the reply of a valid step, and its correction
`[status, reason, command, why]`. `report.js` is the only reader.
"""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from leap_core.report import formats
from leap_core.report.model import EpisodeReport
from leap_core.types import Step, StepCorrection, Trajectory

MAX_TEXT = 2000
"""Longer texts, in characters, are cut: a page of web observations would otherwise be tens of megabytes."""


def shorten(text: str) -> str:
    """Cut a text to `MAX_TEXT` characters and say how many are left out."""
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} … ({len(text) - MAX_TEXT:,} more characters)"


def episodes_json(episodes: Sequence[EpisodeReport]) -> Markup:
    """Encode episodes; `<`, `>` and `&` are written as escapes, so nothing in a text can end the element."""
    texts, seen = dict[str, int](), Counter[str]()
    rows = [_episode(episode, texts, seen) for episode in episodes]
    text = json.dumps({"texts": list(texts), "episodes": rows}, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _episode(episode: EpisodeReport, texts: dict[str, int], seen: "Counter[str]") -> dict[str, Any]:
    trajectory, correction = episode.trajectory, episode.correction
    return {
        "key": _key(episode, seen),
        "iteration": episode.iteration,
        "split": episode.split,
        "outcome": outcome(trajectory),
        "group": trajectory.spec.group,
        "title": shorten(trajectory.spec.instruction),
        "final": shorten(trajectory.final_observation),
        "error": None if trajectory.error is None else shorten(trajectory.error),
        "facts": _facts(episode),
        "steps": [_step(step, texts) for step in trajectory.steps],
        "corrected": correction is not None,
        "teacherError": None if correction is None or correction.error is None else shorten(correction.error),
        "corrections": {} if correction is None else {step.step: _correction(step, texts) for step in correction.steps},
    }


def outcome(trajectory: Trajectory) -> str:
    """Say how an episode ended; one without a result is an error, never a failure."""
    if trajectory.error is not None or trajectory.success is None:
        return "error"
    return "success" if trajectory.success else "failure"


def _key(episode: EpisodeReport, seen: "Counter[str]") -> str:
    """Make the name by which the address of the page links to an episode; a repeated one gets a number."""
    key = f"{episode.iteration}/{episode.split}/{episode.trajectory.id}"
    seen[key] += 1
    return key if seen[key] == 1 else f"{key}~{seen[key]}"


def _facts(episode: EpisodeReport) -> list[tuple[str, str]]:
    trajectory, correction = episode.trajectory, episode.correction
    facts = [
        ("Episode", trajectory.id),
        ("Spec", trajectory.spec.id),
        ("Type", trajectory.spec.group),
        ("Student", trajectory.student),
        ("Ended by", trajectory.stop_reason.replace("_", " ")),
        ("Score", formats.number(trajectory.score, 2)),
        ("Score's parts", formats.parts(trajectory.score_parts)),
        ("Suspicion", trajectory.suspicion or ""),
        ("Actions", formats.count(len(trajectory.steps))),
        ("Tokens", formats.count(trajectory.usage.prompt_tokens + trajectory.usage.completion_tokens)),
    ]
    if correction is not None:
        facts.append(("Teacher", f"{correction.teacher}, level {correction.level}{formats.NBSP}%"))
    return [(name, shorten(value)) for name, value in facts if value]


def _step(step: Step, texts: dict[str, int]) -> list[int | None]:
    reply = None if step.valid else _place(step.reply, texts)
    said = (step.observation.text, step.action.reason, step.action.command)
    return [*(_place(text, texts) for text in said), reply]


def _correction(step: StepCorrection, texts: dict[str, int]) -> list[int | str]:
    return [step.status.value, *(_place(text, texts) for text in (step.reason, step.command, step.why))]


def _place(text: str, texts: dict[str, int]) -> int:
    return texts.setdefault(shorten(text), len(texts))
