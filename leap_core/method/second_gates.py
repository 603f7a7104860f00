"""What looks at corrections after the rules, and which of them it keeps from training anyone."""

import math
from collections.abc import Collection, Iterable, Sequence
from statistics import fmean

from leap_core.method.dataset import TrainingRow
from leap_core.method.judgement import JudgementRow
from leap_core.method.leakage import LeakageRow
from leap_core.types import Record

BITS, JUDGE = "bits", "judge"
"""The names of the second gates."""
StepName = tuple[str, int]
"""An episode and the number of a step in it."""
MOST_TELLING = 8
"""So many corrections are shown as examples."""


class Telling(Record):
    """One correction that only the hidden state makes likely, and its most telling words."""

    episode: str
    step: int
    reason_bits: float
    telling: str
    telling_bits: float


class Agreement(Record):
    """How many corrections the rules take for leaks, measure more than `gate.max_bits`, or both."""

    both: int
    rules_alone: int
    bits_alone: int
    neither: int


class LeakageSummary(Record):
    """What the measured corrections of one iteration amount to. Means are over those that the rules let pass.

    `num_open` are those of them for which what was seen leaves other hidden states. `mean_bits` is what the true one
    adds, a token, `reason_bits` and `command_bits` the same of the two parts, and `surprise_bits` how unlikely they are
    to the student without it, a token: how far the dataset is from what it would say. `above` is the share over
    `gate.max_bits`, None without one. `command_fits_true` and `command_fits_other` say how often the expert that knows
    everything gives the command in the true state and in others, of those that are open, and `num_command_leaks` are
    right in the true one alone (`LeakageRow`).
    """

    num_measured: int
    num_open: int
    mean_bits: float | None
    reason_bits: float | None
    command_bits: float | None
    surprise_bits: float | None
    above: float | None
    command_fits_true: float | None
    command_fits_other: float | None
    num_command_leaks: int
    agreement: Agreement | None
    telling: tuple[Telling, ...]
    seconds: float


def objections(
    leakage: Sequence[LeakageRow], max_bits: float | None, judgements: Sequence[JudgementRow] = ()
) -> dict[StepName, str]:
    """The corrections that a second gate objects to, each with the gate's name: "bits", "judge", or "bits and judge".

    Of the bits it is the reason's that count: how far the hidden state may guide the command is `correction.level`'s to
    say. The judge objects to what it calls a leak, not to what it gave no verdict on.
    """
    found = {
        (row.episode, row.step): BITS
        for row in leakage
        if max_bits is not None and row.reason_bits is not None and row.reason_bits > max_bits
    }
    for row in judgements:
        if row.leaks:
            name = (row.episode, row.step)
            found[name] = f"{BITS} and {JUDGE}" if name in found else JUDGE
    return found


def with_measures(rows: Sequence[TrainingRow], leakage: Sequence[LeakageRow]) -> list[TrainingRow]:
    """The rows to train on, with what was measured of those that are corrections."""
    known = {(row.episode, row.step): row for row in leakage}
    return [
        row
        if found is None
        else row.with_(bits=found.bits, reason_bits=found.reason_bits, student_logprob=found.student_logprob)
        for row in rows
        for found in [known.get((row.episode, row.step))]
    ]


def summarise_leakage(
    rows: Sequence[LeakageRow], leaks: Collection[StepName], max_bits: float | None, seconds: float
) -> LeakageSummary:
    """Say what rows amount to; `leaks` are those that the rules take for leaks, `seconds` what measuring took."""
    measured = [row for row in rows if row.bits is not None]
    passed = [row for row in measured if (row.episode, row.step) not in leaks]
    still_open = [row for row in passed if row.num_others]
    stopped = objections(measured, max_bits)
    return LeakageSummary(
        num_measured=len(measured),
        num_open=len(still_open),
        mean_bits=_mean(row.bits for row in passed),
        reason_bits=_mean(row.reason_bits for row in passed),
        command_bits=_mean(row.command_bits for row in passed),
        surprise_bits=_mean(_surprise(row) for row in passed),
        above=None if max_bits is None else _mean((row.episode, row.step) in stopped for row in passed),
        command_fits_true=_mean(row.command_fits_true for row in still_open),
        command_fits_other=_mean(row.command_fits_other for row in still_open),
        num_command_leaks=sum(row.command_leaks for row in still_open),
        agreement=None if max_bits is None else _agreement(measured, leaks, stopped),
        telling=_most_telling(passed),
        seconds=seconds,
    )


def _surprise(row: LeakageRow) -> float | None:
    if row.student_logprob is None or not row.num_tokens:
        return None
    return -row.student_logprob / row.num_tokens / math.log(2)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _agreement(rows: Sequence[LeakageRow], leaks: Collection[StepName], stopped: Collection[StepName]) -> Agreement:
    names = {(row.episode, row.step) for row in rows}
    by_rules, by_bits = names & set(leaks), names & set(stopped)
    return Agreement(
        both=len(by_rules & by_bits),
        rules_alone=len(by_rules - by_bits),
        bits_alone=len(by_bits - by_rules),
        neither=len(names - by_rules - by_bits),
    )


def _most_telling(rows: Sequence[LeakageRow]) -> tuple[Telling, ...]:
    found = [
        Telling(
            episode=row.episode,
            step=row.step,
            reason_bits=row.reason_bits,
            telling=row.telling,
            telling_bits=row.telling_bits,
        )
        for row in rows
        if row.reason_bits is not None and row.telling_bits and row.telling
    ]
    return tuple(sorted(found, key=lambda one: (-one.telling_bits, one.episode, one.step))[:MOST_TELLING])
