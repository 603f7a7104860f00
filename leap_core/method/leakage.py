"""How much of a correction only the true hidden state makes likely.

The same words are scored after the same history with different hidden states: the true one, and others that agree with
all that was seen. What the true one alone makes likely has leaked, whatever words it is in. Of the command it is asked
whether the expert that knows everything would give it in the true state, and in the others.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from leap_core.envs.base import Oracle
from leap_core.errors import LeapError
from leap_core.method.counterfactuals import Others
from leap_core.prompts import command_place
from leap_core.students.base import GivenReply, ReplyScore, ReplyScorer
from leap_core.types import Level, Message, PrivilegedState, Record, Trajectory

PREFACE = "For this once you may know what cannot be seen here:\n{hidden}\n\n{prompt}"
"""How a hidden state stands before the last message of the student's own prompt."""


@dataclass(frozen=True, kw_only=True)
class MeasuredReply:
    """A reply to be measured: the student's prompt, the true hidden state in words, others, and the reply's text."""

    messages: tuple[Message, ...]
    hidden: str
    others: tuple[str, ...]
    completion: str


class Leakage(Record):
    """What was measured of one reply. Log-probabilities are sums over its tokens, in nats.

    `logprob_other` is the mean over other hidden states, and `bits` what the true one adds, a token: 0 where there are
    no others. `reason_bits` and `command_bits` are the same of the two parts: a command may well follow the hidden
    state, the reason for it may not. `student_logprob` is that of the reply under the student's prompt alone, by the
    weights that measured. `telling` are the words of the reason, in a row, for which the true state makes most of a
    difference, `telling_bits` in all.
    """

    num_tokens: int
    num_others: int
    logprob_true: float
    logprob_other: float
    bits: float
    reason_bits: float
    command_bits: float
    student_logprob: float
    telling: str
    telling_bits: float


class LeakageRow(Record):
    """One row of leakage.parquet. What was measured is None where the prompt was longer than the model reads.

    `are_made`: the other hidden states are the environment's own (`Others`). `command_fits_true` says whether the
    expert that knows everything gives this command, `command_fits_other` in which share of the other states it does,
    and `command_fits_seen` whether the one that goes by what was seen does; None where they give no advice.
    """

    episode: str
    step: int
    num_tokens: int | None
    num_others: int
    are_made: bool
    logprob_true: float | None
    logprob_other: float | None
    bits: float | None
    reason_bits: float | None
    command_bits: float | None
    student_logprob: float | None
    telling: str
    telling_bits: float | None
    command_fits_true: bool | None
    command_fits_other: float | None
    command_fits_seen: bool | None

    @property
    def command_leaks(self) -> bool:
        """Whether the command is right in the true state alone, of several, and does not follow from what was seen."""
        alone = self.num_others > 1 and self.command_fits_true is True and self.command_fits_other == 0
        return alone and self.command_fits_seen is False


@dataclass(frozen=True, kw_only=True)
class Fits:
    """Whether a command is what experts advise; see `LeakageRow`."""

    true: bool | None = None
    other: float | None = None
    seen: bool | None = None


def measure(scorer: ReplyScorer, replies: Sequence[MeasuredReply]) -> list[Leakage | None]:
    """Measure each reply; None where its prompt, with a hidden state, is longer than the model reads."""
    scores = scorer.score([_group(reply) for reply in replies])
    return [_leakage(scorer, *group) for group in scores]


def _group(reply: MeasuredReply) -> list[GivenReply]:
    """The reply after the prompt with the true hidden state, with none, and with each other one."""
    prompts = [_with(reply.messages, reply.hidden), reply.messages]
    prompts += [_with(reply.messages, other) for other in reply.others]
    return [GivenReply(messages=messages, text=reply.completion) for messages in prompts]


def _with(messages: tuple[Message, ...], hidden: str) -> tuple[Message, ...]:
    content = PREFACE.format(hidden=hidden.strip(), prompt=messages[-1].content)
    return (*messages[:-1], Message(role="user", content=content))


def _leakage(
    scorer: ReplyScorer, true: ReplyScore | None, plain: ReplyScore | None, *others: ReplyScore | None
) -> Leakage | None:
    known = [other for other in others if other is not None]
    if true is None or plain is None or len(known) < len(others):
        return None
    gains = [0.0] * len(true.ids)
    if known:
        by_token = zip(*(other.logprobs for other in known), strict=True)
        gains = [(own - sum(rest) / len(rest)) / math.log(2) for own, rest in zip(true.logprobs, by_token, strict=True)]
    num_reason = _num_reason(scorer, true.ids)
    start, stop = _largest_run(gains[:num_reason])
    return Leakage(
        num_tokens=len(true.ids),
        num_others=len(known),
        logprob_true=true.total,
        logprob_other=sum(other.total for other in known) / len(known) if known else true.total,
        bits=fmean(gains),
        reason_bits=fmean(gains[:num_reason] or [0.0]),
        command_bits=fmean(gains[num_reason:] or [0.0]),
        student_logprob=plain.total,
        telling=scorer.text_of(true.ids[start:stop]).strip(),
        telling_bits=sum(gains[start:stop]),
    )


def _num_reason(scorer: ReplyScorer, ids: Sequence[int]) -> int:
    """How many tokens of a reply come before its command, the one that holds the line's beginning among these."""
    place = command_place(scorer.text_of(ids))
    return bisect_right(range(len(ids)), place, key=lambda num: len(scorer.text_of(ids[:num]))) - 1


def _largest_run(values: Sequence[float]) -> tuple[int, int]:
    """Start and stop of the values in a row with the largest sum; an empty run where none is above 0."""
    best, chosen, total, start = 0.0, (0, 0), 0.0, 0
    for place, value in enumerate(values):
        if total <= 0:
            total, start = 0.0, place
        total += value
        if total > best:
            best, chosen = total, (start, place + 1)
    return chosen


def judge_command(
    oracle: Oracle, trajectory: Trajectory, step: int, command: str, true: PrivilegedState, others: Others
) -> Fits:
    """Hold a command against what the expert advises who knows everything, and who knows what was seen."""
    if not others.are_made:
        return Fits()

    def fits(state: PrivilegedState, level: Level) -> bool | None:
        now = trajectory.steps[step]
        try:
            advice = oracle.advise(trajectory.spec, trajectory.steps[:step], now.observation, state, level)
        except LeapError:  # it has nothing to say from here
            return None
        return advice.command == command

    elsewhere = [fit for state in others.states if (fit := fits(state, oracle.levels[-1])) is not None]
    return Fits(
        true=fits(true, oracle.levels[-1]),
        other=sum(elsewhere) / len(elsewhere) if elsewhere else None,
        seen=fits(true, oracle.levels[0]) if oracle.levels[0] == 0 else None,
    )


def leakage_row(episode: str, step: int, others: Others, measured: Leakage | None, fits: Fits) -> LeakageRow:
    """What was measured of one correction, as a row."""
    found = dict.fromkeys(Leakage.model_fields) | {"telling": ""} if measured is None else dict(measured)
    return LeakageRow(
        episode=episode,
        step=step,
        are_made=others.are_made,
        command_fits_true=fits.true,
        command_fits_other=fits.other,
        command_fits_seen=fits.seen,
        **{**found, "num_others": len(others.states)},
    )
