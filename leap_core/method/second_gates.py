"""What looks at corrections after the rules, and which of them it keeps from training anyone."""

from collections.abc import Sequence

from leap_core.method.dataset import TrainingRow
from leap_core.method.judgement import JudgementRow
from leap_core.method.leakage import LeakageRow

BITS, JUDGE = "bits", "judge"
"""The names of the second gates."""
StepName = tuple[str, int]
"""An episode and the number of a step in it."""


def objections(
    leakage: Sequence[LeakageRow], max_bits: float | None, judgements: Sequence[JudgementRow] = ()
) -> dict[StepName, str]:
    """The corrections that a second gate objects to, each with the gate's name: "bits", "judge", or both of them.

    The judge objects to what it calls a leak, not to what it gave no verdict on.
    """
    found = dict[StepName, str]()
    if max_bits is not None:
        found |= {(row.episode, row.step): BITS for row in leakage if row.bits is not None and row.bits > max_bits}
    for row in judgements:
        if row.leaks:
            name = (row.episode, row.step)
            found[name] = f"{BITS} and {JUDGE}" if name in found else JUDGE
    return found


def with_measures(rows: Sequence[TrainingRow], leakage: Sequence[LeakageRow]) -> list[TrainingRow]:
    """The rows to train on, with what was measured of those that are corrections."""
    known = {(row.episode, row.step): row for row in leakage}
    return [
        row if found is None else row.with_(bits=found.bits, student_logprob=found.student_logprob)
        for row in rows
        for found in [known.get((row.episode, row.step))]
    ]
