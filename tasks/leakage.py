"""Stage `leakage`: how much of each correction only the true hidden state makes likely. It rejects nothing."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from pydantic import Field, JsonValue

from leap_core.config import Section
from leap_core.loading import load_scorer, load_suite
from leap_core.method.counterfactuals import Counterfactuals
from leap_core.method.dataset import TurnRow
from leap_core.method.leakage import LeakageRow, MeasuredReply, judge_command, leakage_row, measure
from leap_core.method.second_gates import LeakageSummary, summarise_leakage
from leap_core.method.tables import (
    read_corrections,
    read_leakage,
    read_privileged,
    read_specs,
    read_trajectories,
    read_turn_rows,
    write_leakage,
)
from leap_core.settings.gate import BASE, STUDENT
from leap_core.store.artifacts import ArtifactStore
from leap_core.store.records import ArtifactRecord
from leap_core.students.precision import Precision, resolve_precision
from leap_core.students.weights import locate_model
from leap_core.types import ArtifactRef, Trajectory
from tasks.base_student import provide_base_student, provide_measuring_model
from tasks.correction import CORRECTION, what_was_corrected
from tasks.counts import Count, Counts
from tasks.efforts import steps_an_episode
from tasks.identity import PlayedEnvironment
from tasks.planned import Effort, Needs, PlannedCall
from tasks.run import Run
from tasks.shards import Shards
from tasks.stage import Stage, StageReport, StageWork

if TYPE_CHECKING:
    from leap_core.students.scoring import Scorer


class LeakageCounts(Counts):
    """Corrections that were looked at, and of them those that say nothing of a leak.

    `unmeasured`: the prompt was longer than the model reads. `settled`: what was seen leaves no other hidden state.
    `borrowed`: the environment makes none, so that those of other specs stand for it.
    """

    corrections: Count
    unmeasured: Count = 0
    settled: Count = 0
    borrowed: Count = 0

    @classmethod
    def of(cls, rows: Sequence[LeakageRow]) -> "LeakageCounts":
        """Count what was measured."""
        return cls(
            corrections=len(rows),
            unmeasured=sum(row.bits is None for row in rows),
            settled=sum(row.num_others == 0 for row in rows),
            borrowed=sum(not row.are_made for row in rows),
        )


class LeakageIdentity(Section):
    """By what corrections are measured, and against how many other hidden states."""

    environment: PlayedEnvironment
    measure: str = Field(title="gate.measure")
    num_counterfactuals: int = Field(title="gate.num_counterfactuals")
    precision: Precision = Field(title="student.precision")
    seed: int


def measure_leakage(
    run: Run, iteration: int, rollout: ArtifactRef | None, correction: ArtifactRef, model: ArtifactRef
) -> ArtifactRef | None:
    """Return what was measured of corrections; None where nothing is to be measured (`gate.measure`).

    `rollout` are the episodes that were corrected; None: those that the correction's record names. `model` is the
    student that played.
    """
    config = run.config
    measure = config.gate.measure
    if measure is None:
        return None
    identity = LeakageIdentity(
        environment=PlayedEnvironment.of(config.environment),
        measure=measure,
        num_counterfactuals=config.gate.num_counterfactuals,
        precision=resolve_precision(config.student.precision, config.execution.device),
        seed=config.seed,
    )
    corrected = what_was_corrected(run, rollout, correction)
    inputs = {**dict(corrected), "correction": correction, "model": _measuring(run, measure, model)}
    return LEAKAGE(run, identity, inputs, iteration)


def _measuring(run: Run, measure: str, student: ArtifactRef) -> ArtifactRef:
    """The model that measures."""
    if measure == STUDENT:
        return student
    return provide_base_student(run) if measure == BASE else provide_measuring_model(run, measure)


@dataclass(frozen=True, kw_only=True)
class _Item:
    """One episode with the rows of its corrections that are measured, and the commands of all of them."""

    trajectory: Trajectory
    rows: list[TurnRow]
    commands: list[str]


def _measure(work: StageWork[LeakageIdentity]) -> StageReport:
    items, measuring = _items(work), _Measuring(work)
    shards = Shards(
        scratch=work.scratch,
        size=work.config.execution.shard_size,
        # Rows that are computed together round each other.
        tag=f"batch-{work.config.execution.batch_size}",
        write=write_leakage,
        read=read_leakage,
    )
    num_rows = sum(len(item.rows) for item in items)

    def tell(num_done: int) -> None:
        work.progress(f"{num_done:,} of {num_rows:,} corrections", done=num_done, left=num_rows - num_done)

    tell(0)  # what was loaded until now says nothing of how long the rest takes
    with closing(measuring):
        rows = shards.map(lambda some: measuring.rows_of(some, tell), items, measuring.begin_after)
    write_leakage(work.output, rows)
    measured = [row.bits for row in rows if row.bits is not None]
    return StageReport(
        counts=LeakageCounts.of(rows),
        metrics={"mean_bits": fmean(measured) if measured else None},
        resumed=shards.num_resumed > 0,
    )


def _items(work: StageWork[LeakageIdentity]) -> list[_Item]:
    """Episodes with corrections that pass the rules or that these take for leaks, so that both can be compared."""
    rows: dict[str, list[TurnRow]] = {}
    for row in read_turn_rows(work.inputs["correction"]):
        if row.accepted or row.leaked:
            rows.setdefault(row.episode, []).append(row)
    commands = {
        one.trajectory_id: [step.command for step in one.steps] for one in read_corrections(work.inputs["correction"])
    }
    return [
        _Item(trajectory=one, rows=rows[one.id], commands=commands[one.id])
        for one in read_trajectories(work.inputs["episodes"])
        if one.id in rows
    ]


class _Measuring:
    """Weights, which are loaded when the first shard has to be measured, and hidden states."""

    def __init__(self, work: StageWork[LeakageIdentity]) -> None:
        self._work, self._num_done = work, 0
        self._scorer: Scorer | None = None
        suite = load_suite(work.config.environment)
        self._oracle = suite.oracle()
        self._hidden = Counterfactuals(
            suite=suite,
            root=work.inputs["specs"],
            specs=read_specs(work.inputs["specs"]),
            states={state.spec_id: state for state in read_privileged(work.inputs["privileged"])},
            num=work.identity.num_counterfactuals,
            seed=work.identity.seed,
        )

    def begin_after(self, num_done: int) -> None:
        """Take note of how many corrections the shards so far hold."""
        self._num_done = num_done

    def rows_of(self, items: Sequence[_Item], tell: Callable[[int], None]) -> list[LeakageRow]:
        """Measure the corrections of some episodes; `tell` is called after each with how many are done in all."""
        found: list[LeakageRow] = []
        for item in items:
            found += self._rows(item)
            tell(self._num_done + len(found))
        return found

    def close(self) -> None:
        """Free the model's memory."""
        if self._scorer is not None:
            self._scorer.close()

    def _rows(self, item: _Item) -> list[LeakageRow]:
        if self._scorer is None:
            config = self._work.config
            name = config.student.model if config.gate.measure in (STUDENT, BASE) else str(config.gate.measure)
            self._scorer = load_scorer(locate_model(self._work.inputs["model"], name), config)
        true = self._hidden.states[item.trajectory.spec.id]
        others = [self._hidden.of(item.trajectory, row.step) for row in item.rows]
        replies = [
            MeasuredReply(messages=row.prompt, hidden=true.text, others=other.texts, completion=row.completion)
            for row, other in zip(item.rows, others, strict=True)
        ]
        return [
            leakage_row(
                row.episode,
                row.step,
                other,
                measured,
                judge_command(self._oracle, item.trajectory, row.step, item.commands[row.step], true, other),
            )
            for row, other, measured in zip(item.rows, others, measure(self._scorer, replies), strict=True)
        ]


def _needs(call: PlannedCall[LeakageIdentity]) -> Needs:
    return Needs(device=True, weights="play" if call.identity.measure in (STUDENT, BASE) else None)


def _effort(call: PlannedCall[LeakageIdentity]) -> Effort:
    """Corrections: those that there are, else as many of each episode as the newest correction had, or all steps."""
    length = steps_an_episode(call, CORRECTION.name)
    num = call.config.rollout.num_episodes * (length or call.config.environment.max_steps)
    if call.is_known("correction"):
        num = CORRECTION.counts_of(call.store, call.inputs["correction"]).steps
    is_guess = length is None and not call.is_known("correction")
    return Effort(num=num, alike=_what_a_correction_takes(call.identity), is_at_most=is_guess)


def _effort_of(record: ArtifactRecord) -> Effort:
    identity = LeakageIdentity.model_validate(record.config)
    num = LEAKAGE.counts.read(record.counts, record.ref.id).corrections
    return Effort(num=num, alike=_what_a_correction_takes(identity))


def _what_a_correction_takes(identity: LeakageIdentity) -> JsonValue:
    return [identity.environment.name, identity.measure, identity.num_counterfactuals, identity.precision]


LEAKAGE = Stage(
    name="leakage",
    version=1,
    work=_measure,
    counts=LeakageCounts,
    needs=_needs,
    effort=_effort,
    effort_of=_effort_of,
)


def summary_of(
    store: ArtifactStore, ref: ArtifactRef, correction: ArtifactRef, max_bits: float | None
) -> LeakageSummary:
    """What the measured corrections of one iteration amount to."""
    rows = read_turn_rows(store.path(correction))
    leaks = {(row.episode, row.step) for row in rows if row.leaked}
    return summarise_leakage(read_leakage(store.path(ref)), leaks, max_bits, store.record(ref).seconds)
