"""How many steps a stage has to play, and how many one has played."""

from typing import Any

from pydantic import JsonValue

from leap_core.store.records import ArtifactRecord
from leap_core.students.base import computes_here
from tasks.identity import PlayedIdentity
from tasks.planned import Effort, PlannedCall
from tasks.samples import newest


def effort_of_playing(call: PlannedCall[Any], num_episodes: int) -> Effort | None:
    """The steps of so many episodes: as long as the newest of this kind, or at most as long as they may be.

    None where the model is behind an endpoint: how long that takes is not ours to say.
    """
    if not computes_here(call.config.student):
        return None
    identity: PlayedIdentity = call.identity
    limit, length = identity.environment.max_steps, steps_an_episode(call, call.stage)
    return Effort(
        num=num_episodes * (limit if length is None else min(length, limit)),
        alike=_what_a_step_takes(identity.environment.name, identity.student.model_dump(mode="json")),
        activity="play",
        width=num_episodes,
        is_at_most=length is None,
    )


def effort_played(record: ArtifactRecord) -> Effort | None:
    """The steps that were played."""
    environment, student = record.config.get("environment"), record.config.get("student")
    if not isinstance(environment, dict) or not isinstance(student, dict):
        return None
    alike = _what_a_step_takes(environment.get("name"), student)
    return Effort(num=record.counts.get("steps", 0), alike=alike, activity="play", width=record.counts["episodes"])


def _what_a_step_takes(environment: JsonValue, student: dict[str, Any]) -> JsonValue:
    """What decides how long a step takes, beside the model."""
    return [
        environment,
        *(student.get(name) for name in ("kind", "prompt", "constrain", "max_new_tokens", "precision")),
    ]


def steps_an_episode(call: PlannedCall[Any], stage: str) -> float | None:
    """How many steps the newest artifact of a stage has of each episode, in this environment; None where none has any.

    Of corrections, each episode counts that was played.
    """
    found = [record.counts for record in newest(call, stage) if record.counts.get("steps")]
    return found[0]["steps"] / max(found[0]["episodes"], 1) if found else None
