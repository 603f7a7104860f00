"""What looks at corrections after the rules, and which of them it keeps from training anyone."""

from collections.abc import Mapping, Sequence

from leap_core.method.leakage import LeakageRow

StepName = tuple[str, int]
"""An episode and the number of a step in it."""


def objections(leakage: Sequence[LeakageRow], max_bits: float | None) -> dict[StepName, str]:
    """The corrections that a second gate objects to, each with the name of the gate."""
    if max_bits is None:
        return {}
    return {(row.episode, row.step): "bits" for row in leakage if row.bits is not None and row.bits > max_bits}


def by_step(leakage: Sequence[LeakageRow]) -> Mapping[StepName, LeakageRow]:
    """What was measured of each correction."""
    return {(row.episode, row.step): row for row in leakage}
