"""The rule-based expert: it opens the nearest closed door, or, at level 100, walks to the right one."""

import re
from collections.abc import Sequence

from leap_core.envs.toy.privileged import HiddenThings
from leap_core.types import Action, Level, Observation, PrivilegedState, Spec, Step


class ToyOracle:
    """The expert that the suite offers as an `Oracle`."""

    levels: tuple[Level, ...] = (0, 100)

    def advise(
        self, spec: Spec, history: Sequence[Step], observation: Observation, privileged: PrivilegedState, level: Level
    ) -> Action:
        """Head for a door. The reason speaks of what the observation shows, whatever guides the choice."""
        here, *closed = map(int, re.findall(r"door (\d+)", observation.text))
        target = min(closed, key=lambda door: abs(door - here))
        if level == 100:
            place = HiddenThings.of(privileged).locations[f"{spec.group} 1"]
            target = int(place.removeprefix("door "))
        command = "open" if target == here else "go right" if target > here else "go left"
        return Action(reason=f"I look for the {spec.group}. Door {target} is still closed.", command=command)
