"""What a corridor hides: the thing behind each door."""

import re
from collections.abc import Sequence
from random import Random

from pydantic import ConfigDict

from leap_core.envs.toy.environment import Corridor
from leap_core.types import HiddenFacts, Observation, PrivilegedState, Spec


class HiddenThings(HiddenFacts):
    """The facts, for the oracle and the leak gate: where each thing is, as {"cup 1": "door 3"}."""

    model_config = ConfigDict(extra="forbid")

    locations: dict[str, str]


def reveal(spec: Spec) -> PrivilegedState:
    """Tell where everything is: in words for a language model, as facts for the oracle."""
    return _describe(spec, Corridor.model_validate(spec.params).behind)


def imagine(spec: Spec, observation: Observation, rng: Random) -> PrivilegedState:
    """Tell where everything may be as well, as far as an observation shows: behind the doors that are still closed."""
    things = list(Corridor.model_validate(spec.params).behind)
    _, *closed = (int(number) - 1 for number in re.findall(r"door (\d+)", observation.text))
    turn = rng.randrange(1, len(closed)) if len(closed) > 1 else 0
    hidden = [things[door] for door in closed]
    for door, thing in zip(closed, hidden[turn:] + hidden[:turn], strict=True):
        things[door] = thing
    return _describe(spec, things)


def _describe(spec: Spec, behind: Sequence[str]) -> PrivilegedState:
    hidden = HiddenThings(locations={f"{thing} 1": f"door {number}" for number, thing in enumerate(behind, start=1)})
    text = "\n".join(f"The {thing} is behind {door}." for thing, door in hidden.locations.items())
    return PrivilegedState(spec_id=spec.id, text=text, facts=hidden.model_dump(mode="json"), source="corridor")
