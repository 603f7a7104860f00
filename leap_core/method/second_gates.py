"""What looks at corrections after the rules, and which of them it keeps from training anyone."""

from collections.abc import Sequence

from leap_core.method.dataset import TrainingRow
from leap_core.method.leakage import LeakageRow

StepName = tuple[str, int]
"""An episode and the number of a step in it."""


def objections(leakage: Sequence[LeakageRow], max_bits: float | None) -> dict[StepName, str]:
    """The corrections that a second gate objects to, each with the name of the gate."""
    if max_bits is None:
        return {}
    return {(row.episode, row.step): "bits" for row in leakage if row.bits is not None and row.bits > max_bits}


def with_measures(rows: Sequence[TrainingRow], leakage: Sequence[LeakageRow]) -> list[TrainingRow]:
    """The rows to train on, with what was measured of those that are corrections."""
    known = {(row.episode, row.step): row for row in leakage}
    return [
        row if found is None else row.with_(bits=found.bits, student_logprob=found.student_logprob)
        for row in rows
        for found in [known.get((row.episode, row.step))]
    ]
