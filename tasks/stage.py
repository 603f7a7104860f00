"""How a stage is run: as a Prefect task over the content-addressed artifact store.

This is the only file that knows how Prefect and the cache meet. The store alone decides whether a stage is cached:
its key is made from the stage's name and version, its identity and the digests of its inputs. Prefect's own result
cache is not used (two caches can disagree); a stage served from the store ends in a Prefect state named `Cached`.

The same call either runs a stage or, in a planning run, says what would happen and why.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from prefect import State, Task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed
from pydantic import JsonValue

from leap_core.config import LeapConfig, Section
from leap_core.disk.canonical import diff_configs, stage_key
from leap_core.pace import Pace, Progress
from leap_core.store.artifacts import ArtifactStore
from leap_core.types import ArtifactRef, Usage
from tasks.counts import Counts
from tasks.keys import as_today, declared_key, key_content
from tasks.planned import PENDING, PlannedStage, is_pending
from tasks.run import Run, StageOutcome, StageState

IdentityT = TypeVar("IdentityT", bound=Section)
CountsT = TypeVar("CountsT", bound=Counts)


@dataclass(frozen=True, kw_only=True)
class StageReport:
    """What a stage reports of its work, for the artifact's record. `counts` are of the kind that the stage declares."""

    counts: Counts = field(default_factory=Counts)
    metrics: Mapping[str, JsonValue] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    resumed: bool = False


@dataclass(frozen=True, kw_only=True)
class StageWork(Generic[IdentityT]):
    """What a stage's work function is given.

    `identity` holds the settings that its result depends on, and they are in its key. `config` is there for where
    and how to run (`execution`, the place of data and models) and for nothing else. `progress` takes a line on how far
    the work is, in every round of it; of those it says few, and how long is left (leap_core/pace.py).
    """

    identity: IdentityT
    config: LeapConfig
    inputs: Mapping[str, Path]
    output: Path
    scratch: Path
    log: Callable[[str], None]
    progress: Progress


@dataclass(frozen=True, kw_only=True)
class Stage(PlannedStage[IdentityT], Generic[IdentityT, CountsT]):
    """A kind of stage. Raise `version` whenever its output changes for the same identity and inputs.

    `needs`, `foresee`, `estimate`, `effort` and `effort_of` are for plans: what must be there, what the stage will do,
    what its requests may cost, how much it has to do, and how much one did that is in the store.
    """

    work: Callable[[StageWork[IdentityT]], StageReport]
    counts: type[CountsT]

    def counts_of(self, store: ArtifactStore, ref: ArtifactRef) -> CountsT:
        """What an artifact of this stage was reported with."""
        return self.counts.read(store.record(ref).counts, ref.id)

    def __call__(
        self,
        run: Run,
        identity: IdentityT,
        inputs: Mapping[str, ArtifactRef],
        iteration: int | None = None,
        part: str = "",
    ) -> ArtifactRef:
        """Return the artifact of this stage: from the store if it is there, else by doing the work.

        `part` distinguishes several artifacts of one stage and iteration in their names (usually the split).

        Raises:
            LeapError: the work failed; what it had finished is kept and the next call goes on from there.
        """
        execution = _Execution(stage=self, run=run, identity=identity, inputs=inputs, iteration=iteration, part=part)
        if run.planning:
            return execution.plan()
        if execution.key() in run.refs:  # an earlier call of this run had the same
            return run.refs[execution.key()]
        # The execution travels inside the function: Prefect would otherwise walk through it in search of futures.
        task = Task(
            fn=execution.perform, name=self.name, task_run_name=execution.label, cache_policy=NO_CACHE, retries=0
        )
        task()
        assert execution.outcome is not None
        assert execution.ref is not None
        return run.note(execution.ref, execution.outcome)


@dataclass(kw_only=True)
class _Execution(Generic[IdentityT, CountsT]):
    """One call of one stage."""

    stage: Stage[IdentityT, CountsT]
    run: Run
    identity: IdentityT
    inputs: Mapping[str, ArtifactRef]
    iteration: int | None
    part: str
    ref: ArtifactRef | None = None
    outcome: StageOutcome | None = None

    @property
    def suffix(self) -> str:
        """What distinguishes this call from others of its stage: `-i1-dev`."""
        return ("" if self.iteration is None else f"-i{self.iteration}") + (f"-{self.part}" if self.part else "")

    @property
    def label(self) -> str:
        """The name people see: `evaluation-i1-dev`."""
        return self.stage.name + self.suffix

    @property
    def artifact_name(self) -> str:
        """The name of the artifact, without its key: `demo-i1-dev`."""
        return self.run.config.experiment + self.suffix

    def key(self) -> str:
        """The content address of what this call makes."""
        content = key_content(declared_key(self.stage.name, self.stage.version), self.identity)
        return stage_key(self.stage.name, self.stage.version, content, self.inputs)

    def perform(self) -> State[ArtifactRef]:
        """Look the artifact up, or do the work under the stage's lock and publish it."""
        started, key, store = time.monotonic(), self.key(), self.run.store
        with store.lock(self.stage.name, key, on_wait=self.run.log):
            # Another run may have made it while this one waited for the lock.
            found = store.inspect(self.stage.name, key)
            if found.problem:
                self.run.log(f"{self.label}: {found.problem}. It is made again.")
            if found.ref is not None:
                self._finish(found.ref, "cached", started)
                return Completed(name="Cached", message=f"Served from {found.ref.id}", data=found.ref)
            report = self._work(key)
            ref = self._publish(key, report, time.monotonic() - started)
        self._finish(ref, "resumed" if report.resumed else "computed", started)
        return Completed(message=f"Published {ref.id}", data=ref)

    def plan(self) -> ArtifactRef:
        """Say whether this call would be served from the store, and if not, why."""
        made_first = [role for role, ref in self.inputs.items() if is_pending(ref)]
        if made_first:
            return self._pending(f"waits for {', '.join(made_first)}")
        if self.key() in self.run.refs:
            return self.run.refs[self.key()]
        found = self.run.store.inspect(self.stage.name, self.key())
        if found.ref is None:
            return self._pending(found.problem or self._what_changed())
        outcome = self._outcome(found.ref, "cached", 0.0)
        return self.run.note(found.ref, outcome)

    def _work(self, key: str) -> StageReport:
        self.run.log(f"{self.label:<20} started")
        workspace = self.run.store.workspace(self.stage.name, key)

        def log(line: str) -> None:
            self.run.log(f"{self.label}: {line}")

        return self.stage.work(
            StageWork(
                identity=self.identity,
                config=self.run.placed_config(),
                inputs={role: self.run.store.path(ref) for role, ref in self.inputs.items()},
                output=workspace / "output",
                scratch=workspace / "scratch",
                log=log,
                progress=Pace(log=log),
            )
        )

    def _publish(self, key: str, report: StageReport, seconds: float) -> ArtifactRef:
        return self.run.store.publish(
            stage=self.stage.name,
            version=self.stage.version,
            key=key,
            name=self.artifact_name,
            config=self.identity.model_dump(mode="json"),
            inputs=dict(self.inputs),
            counts=report.counts.flat(),
            metrics=dict(report.metrics),
            usage=report.usage,
            seconds=seconds,
            resumed=report.resumed,
            experiment=self.run.config.experiment,
            iteration=self.iteration,
        )

    def _finish(self, ref: ArtifactRef, state: StageState, started: float) -> None:
        self.ref, self.outcome = ref, self._outcome(ref, state, time.monotonic() - started)

    def _outcome(self, ref: ArtifactRef, state: StageState, seconds: float, why: str = "") -> StageOutcome:
        return StageOutcome(
            stage=self.stage,
            label=self.label,
            iteration=self.iteration,
            key=ref.key,
            artifact=ref.id if ref.key else "",
            state=state,
            seconds=round(seconds, 2),
            identity=self.identity,
            inputs=self.inputs,
            why=why,
        )

    def _pending(self, why: str) -> ArtifactRef:
        ref = ArtifactRef(stage=self.stage.name, name=self.artifact_name, key="", digest=PENDING)
        if any(outcome.label == self.label for outcome in self.run.outcomes):  # an earlier call of this plan
            return ref
        return self.run.note(ref, self._outcome(ref, "run", 0.0, why))

    def _what_changed(self) -> str:
        """Compare with the nearest artifact of the same stage, iteration and part."""
        mine = self._by_setting(self.identity.model_dump(mode="json"))
        candidates = []
        for record in self.run.store.records(self.stage.name):
            if record.name.removeprefix(record.experiment) != self.suffix:
                continue
            changes = diff_configs(self._by_setting(record.config), mine)
            changes += [
                f"input {role} {record.inputs[role].key[:8] if role in record.inputs else 'none'} -> {ref.key[:8]}"
                for role, ref in self.inputs.items()
                if role not in record.inputs or record.inputs[role].digest != ref.digest
            ]
            if record.version != self.stage.version:
                changes.append(f"stage version {record.version} -> {self.stage.version}")
            candidates.append(changes)
        if not candidates:
            return "not made yet"
        nearest = min(candidates, key=len)
        return "; ".join(nearest[:3]) + (f"; and {len(nearest) - 3} more" if len(nearest) > 3 else "")

    def _by_setting(self, identity: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """The same values under the names of the settings that they come from, where fields are titled with them.

        `{part}` in a title stands for this call's part.
        """
        kind = type(self.identity)
        titles = {name: field.title for name, field in kind.model_fields.items()}
        today = as_today(declared_key(self.stage.name, self.stage.version), kind, identity)
        return {(titles.get(name) or name).format(part=self.part): value for name, value in today.items()}
