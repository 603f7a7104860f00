"""What a corridor hides: the thing behind each door."""

from pydantic import ConfigDict

from leap_core.envs.toy.environment import Corridor
from leap_core.types import HiddenFacts, PrivilegedState, Spec


class HiddenThings(HiddenFacts):
    """The facts, for the oracle and the leak gate: where each thing is, as {"cup 1": "door 3"}."""

    model_config = ConfigDict(extra="forbid")

    locations: dict[str, str]


def reveal(spec: Spec) -> PrivilegedState:
    """Tell where everything is: in words for a language model, as facts for the oracle."""
    things = enumerate(Corridor.model_validate(spec.params).behind, start=1)
    hidden = HiddenThings(locations={f"{thing} 1": f"door {number}" for number, thing in things})
    text = "\n".join(f"The {thing} is behind {door}." for thing, door in hidden.locations.items())
    return PrivilegedState(spec_id=spec.id, text=text, facts=hidden.model_dump(mode="json"), source="corridor")
