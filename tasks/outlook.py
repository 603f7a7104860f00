"""How many steps episodes that are under way, or have not begun, will still take."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class StepsSeen:
    """What was played so far: steps, and how many episodes ended before the limit on steps."""

    num_steps: int = 0
    num_early: int = 0

    @classmethod
    def of(cls, finished: Sequence[int], live: Sequence[int], limit: int) -> "StepsSeen":
        """Count, from the steps of each finished episode and those so far of each live one."""
        return cls(num_steps=sum(finished) + sum(live), num_early=sum(steps < limit for steps in finished))

    def __add__(self, other: "StepsSeen") -> "StepsSeen":
        """Both."""
        return StepsSeen(num_steps=self.num_steps + other.num_steps, num_early=self.num_early + other.num_early)

    def foresee(self, live: Sequence[int], num_waiting: int, limit: int) -> float:
        """The steps still to come: of live episodes with so many steps each, and of those that have not begun.

        An episode that reaches its goal ends early. Each step is taken to be the last one as often as it was so far;
        until some episode has ended early, all are taken to go on up to the limit.
        """
        end = min(self.num_early / self.num_steps, 1.0) if self.num_steps else 0.0
        return sum(_expected(limit - steps, end) for steps in live) + num_waiting * _expected(limit, end)


def _expected(most: int, end: float) -> float:
    """Steps of at most `most`, each of which is the last one with the probability `end`."""
    return most if end == 0 else (1 - (1 - end) ** most) / end
