"""One live episode in a corridor, as the student sees it."""

from leap_core.envs.base import StepResult
from leap_core.types import Observation, Record, Spec


class Corridor(Record):
    """The params of a spec: what to find, and what is behind each door, from the left."""

    wanted: str
    behind: tuple[str, ...]


class ToyEnvironment:
    """The student starts at door 1, walks, and opens doors. Opening the right one ends the episode."""

    def reset(self, spec: Spec) -> Observation:
        """Close all doors."""
        self._corridor = Corridor.model_validate(spec.params)
        self._here, self._closed = 1, list(range(1, len(self._corridor.behind) + 1))
        return self._observe("You enter a corridor.")

    def step(self, command: str) -> StepResult:
        """Walk on or open a door; anything else changes nothing."""
        valid, found, event = command in self._admissible(), False, "That is not possible here."
        if valid and command == "open":
            self._closed.remove(self._here)
            thing = self._corridor.behind[self._here - 1]
            found, event = thing == self._corridor.wanted, f"Behind the door is a {thing}."
        elif valid:
            self._here += 1 if command == "go right" else -1
            event = "You walk on."
        return StepResult(
            observation=self._observe(event), terminated=found, score=float(found), success=found, valid=valid
        )

    def close(self) -> None:
        """Nothing is held."""

    def _admissible(self) -> tuple[str, ...]:
        possible = {
            "go left": self._here > 1,
            "go right": self._here < len(self._corridor.behind),
            "open": self._here in self._closed,
        }
        return tuple(command for command, is_possible in possible.items() if is_possible)

    def _observe(self, event: str) -> Observation:
        closed = ", ".join(f"door {number}" for number in self._closed)
        return Observation(
            text=f"{event} You are at door {self._here}. Still closed: {closed}.", admissible=self._admissible()
        )
