"""One run of an experiment: what it is made with, and what became of every stage so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from leap_core.chat.journal import JOURNAL
from leap_core.config import LeapConfig, Section
from leap_core.settings.gate import BASE, STUDENT
from leap_core.store.artifacts import ArtifactStore
from leap_core.students.base import uses_weights
from leap_core.students.smollm2 import place_model
from leap_core.types import ArtifactRef
from tasks.planned import PlannedCall, PlannedStage

StageState = Literal["computed", "cached", "resumed", "run"]
"""`run` is said by a plan: the stage would be made."""


@dataclass(frozen=True, kw_only=True)
class StageOutcome:
    """What happened to one call of a stage in this run; in a plan, what would happen, and `why`.

    `identity` and `inputs` are what the stage was called with.
    """

    stage: PlannedStage[Any]
    label: str
    iteration: int | None
    key: str
    artifact: str
    state: StageState
    seconds: float
    identity: Section
    inputs: Mapping[str, ArtifactRef]
    why: str = ""


@dataclass(kw_only=True)
class Run:
    """One run of an experiment: its configuration, its store, and the outcome of every stage so far, in order.

    `log` is called with a line for each stage, `tell` with what takes long outside of any, in a plan, too.
    """

    config: LeapConfig
    store: ArtifactStore
    planning: bool = False
    log: Callable[[str], None] = lambda line: None
    tell: Callable[[str], None] = lambda line: None
    on_outcome: Callable[[StageOutcome], None] = lambda outcome: None
    outcomes: list[StageOutcome] = field(default_factory=list)
    refs: dict[str, ArtifactRef] = field(default_factory=dict)

    @property
    def to_be_made(self) -> list[StageOutcome]:
        """In a plan: the stages that are not in the store."""
        return [outcome for outcome in self.outcomes if outcome.state == "run"]

    def placed_config(self) -> LeapConfig:
        """The configuration with what has a place in the home: the replies of endpoints, and models that are made here.

        Raises:
            LeapError: the model cannot be made or had.
        """
        config, home = with_journal(self.config, self.store.home), self.store.home.parent
        measure = config.gate.measure
        if measure not in (None, STUDENT, BASE):
            config = config.with_(gate=config.gate.with_(measure=place_model(measure, home, self.tell)))
        if not uses_weights(config.student):
            return config
        model = place_model(config.student.model, home, self.tell)
        return config.with_(student=config.student.with_(model=model))

    def planned_call(self, outcome: StageOutcome) -> PlannedCall[Section]:
        """The call behind an outcome of a plan."""
        return PlannedCall(
            config=self.placed_config(),
            store=self.store,
            label=outcome.label,
            stage=outcome.stage.name,
            iteration=outcome.iteration,
            identity=outcome.identity,
            inputs=outcome.inputs,
        )

    def as_plan(self) -> Run:
        """A run with the same configuration and store that makes nothing."""
        return Run(config=self.config, store=self.store, planning=True, tell=self.tell)

    def note(self, ref: ArtifactRef, outcome: StageOutcome) -> ArtifactRef:
        """Write down what happened to a stage."""
        self.outcomes.append(outcome)
        if ref.key:
            self.refs[ref.key] = ref
        why = f"  ({outcome.why})" if outcome.why else ""
        self.log(f"{outcome.label:<20} {outcome.state:<9} {outcome.seconds:7.1f} s  {outcome.artifact}{why}")
        self.on_outcome(outcome)
        return ref


def with_journal(config: LeapConfig, home: Path) -> LeapConfig:
    """The configuration with a place for the replies of endpoints: one for the whole home, unless one is set."""
    journal = config.execution.journal or str(home / JOURNAL)
    return config.with_(execution=config.execution.with_(journal=journal))
