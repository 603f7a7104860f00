"""How long the stages of a plan will take on this machine, and all of them together.

By what stages of the same kind took here, if there are any; else by how fast the model is, from a few seconds of
measurement (speeds.py).
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from pydantic import ValidationError

from leap_core.errors import ArtifactError
from leap_core.store.artifacts import ArtifactStore
from leap_core.store.provenance import machine_kind
from leap_core.store.records import ArtifactRecord
from leap_core.text.durations import rough, rough_range
from leap_core.types import Record
from tasks.base_student import BASE
from tasks.planned import Effort
from tasks.run import Run, StageOutcome

Measured = Callable[[Effort], tuple[float, str]]
"""Seconds for an effort of the student's model, and how fast it is in words."""
_MOST_RECORDS = 5
_RECORDED_WITHIN = 1.25
_MEASURED_WITHIN = 1.6
"""By which factor a stage may take more or less: there are other things to do, and machines are shared."""
_NO_TIME = {"base", "dataset"}
"""Stages that take seconds."""


class StageTime(Record):
    """How long one stage will take, in seconds; `is_at_most` if it may have much less to do. `basis` says why so."""

    label: str
    low_s: float
    high_s: float
    is_at_most: bool
    basis: str

    @property
    def words(self) -> str:
        """One line for people."""
        return f"{self.label}: {_span(self.low_s, self.high_s, self.is_at_most)} ({self.basis})"


class TimeForecast(Record):
    """How long the stages of a plan will take; `unknown` are those of which that is not known."""

    stages: list[StageTime]
    unknown: list[str]

    @property
    def lines(self) -> list[str]:
        """For people; none where nothing is known."""
        if not self.stages:
            return []
        low, high = sum(one.low_s for one in self.stages), sum(one.high_s for one in self.stages)
        without = f", without {', '.join(self.unknown)}" if self.unknown else ""
        total = f"all stages: {_span(low, high, any(one.is_at_most for one in self.stages))}{without}"
        return [*(one.words for one in self.stages), total]


def _span(low: float, high: float, is_at_most: bool) -> str:
    return f"at most {rough(high)}" if is_at_most else rough_range(low, high)


def foresee_times(run: Run, measured: Measured | None) -> TimeForecast:
    """Say for each stage that a plan would make how long it will take; `measured` where no records tell it.

    Raises:
        LeapError: the student's model cannot be measured.
    """
    stages, unknown = [], []
    for outcome in run.to_be_made:
        effort = outcome.stage.effort(run.planned_call(outcome))
        found = None if effort is None else _by_records(run, outcome, effort)
        if found is None and effort is not None and effort.activity is not None and measured is not None:
            found = _by_measurement(outcome, effort, measured)
        if found is not None:
            stages.append(found)
        elif outcome.stage.name not in _NO_TIME:
            unknown.append(outcome.label)
    return TimeForecast(stages=stages, unknown=unknown)


def _by_measurement(outcome: StageOutcome, effort: Effort, measured: Measured) -> StageTime:
    seconds, words = measured(effort)
    return StageTime(
        label=outcome.label,
        low_s=seconds / _MEASURED_WITHIN,
        high_s=seconds * _MEASURED_WITHIN,
        is_at_most=effort.is_at_most,
        basis=f"measured: {words}",
    )


def _by_records(run: Run, outcome: StageOutcome, effort: Effort) -> StageTime | None:
    """By the time that the newest stages alike took for a unit; None where there are none."""
    paces = [record.seconds / past.num for record, past in _alike(run, outcome, effort)]
    if not paces:
        return None
    source = "the last time" if len(paces) == 1 else f"the last {len(paces)} times"
    return StageTime(
        label=outcome.label,
        low_s=effort.num * min(paces) / _RECORDED_WITHIN,
        high_s=effort.num * max(paces) * _RECORDED_WITHIN,
        is_at_most=effort.is_at_most,
        basis=f"by {source} here",
    )


def _alike(run: Run, outcome: StageOutcome, effort: Effort) -> list[tuple[ArtifactRecord, Effort]]:
    """Records of the same kind of stage on such a machine, the newest first, with what they did."""
    found = []
    source = _source_of_plan(run) if effort.activity is not None else None
    for record in _newest(run.store, outcome.stage.name):
        try:
            past = outcome.stage.effort_of(record)
            is_alike = past is not None and past.num > 0 and past.alike == effort.alike
            if is_alike and (effort.activity is None or _source_of(run.store, record) == source):
                found.append((record, past))
        except (ArtifactError, ValidationError, KeyError):  # of another version, or its lineage is gone
            continue
    return [(record, past) for record, past in found[:_MOST_RECORDS] if past is not None]


def _newest(store: ArtifactStore, stage: str) -> Iterator[ArtifactRecord]:
    records: Sequence[ArtifactRecord] = [
        one for one in store.records(stage) if one.machine == machine_kind() and not one.resumed and one.seconds > 0
    ]
    return iter(sorted(records, key=lambda one: datetime.fromisoformat(one.created_at), reverse=True))


def _source_of_plan(run: Run) -> object:
    """What the identity of the model says that a plan begins with."""
    base = next((outcome.identity for outcome in run.outcomes if outcome.stage is BASE), None)
    return None if base is None else base.model_dump(mode="json")


def _source_of(store: ArtifactStore, record: ArtifactRecord) -> object:
    """The same of the model that the one of a record was made from, iteration by iteration."""
    while record.stage != BASE.name:
        record = store.record(record.inputs["model"])
    return record.config
