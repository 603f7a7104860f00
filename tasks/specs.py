"""Stage `specs`: what the agent must do, for one split; games are generated or indexed here."""

from typing import Annotated

from pydantic import Field, JsonValue

from leap_core.config import Section
from leap_core.envs.skipped import read_skipped
from leap_core.errors import ConfigError
from leap_core.loading import load_suite
from leap_core.method.tables import write_specs
from leap_core.store.records import ArtifactRecord
from leap_core.types import ArtifactRef, Split
from tasks.counts import ByKind, Count, Counts, Each
from tasks.planned import Effort, Needs, PlannedCall
from tasks.run import Run
from tasks.stage import Stage, StageReport, StageWork


class SpecsCounts(Counts):
    """How many specs there are, and how many games or goals were passed over, by what is the matter with them."""

    specs: Count
    skipped: Annotated[ByKind, Each("skipped:{}")]


class SpecsIdentity(Section):
    """One split of one environment. Downloaded data is named by its path; what was found there is in the digest."""

    environment: str = Field(title="environment.name")
    data: str | None = Field(title="environment.data")
    params: dict[str, JsonValue] = Field(title="environment.params")
    split: Split
    num_specs: int = Field(title="environment.num_{part}")
    seed: int


def prepare_specs(run: Run, split: Split) -> ArtifactRef:
    """Return the specs of one split; raise ConfigError where the configuration leaves it empty."""
    environment = run.config.environment
    if environment.num_specs(split) == 0:
        raise ConfigError(f"The {split} split is empty: set environment.num_{split} to 1 or more.")
    identity = SpecsIdentity(
        environment=environment.name,
        data=environment.data,
        params=environment.params,
        split=split,
        num_specs=environment.num_specs(split),
        seed=run.config.seed,
    )
    return SPECS(run, identity, {}, part=split)


def _prepare(work: StageWork[SpecsIdentity]) -> StageReport:
    suite = load_suite(work.config.environment)
    specs = suite.prepare(work.output, work.identity.split, work.identity.seed)
    write_specs(work.output, specs)
    if len(specs) < work.identity.num_specs:
        work.log(
            f"warning: {len(specs):,} specs, fewer than the {work.identity.num_specs:,} of environment.num_"
            f"{work.identity.split}: there are no more. Stages take as many as there are."
        )
    return StageReport(counts=SpecsCounts(specs=len(specs), skipped=read_skipped(work.output).counts))


def _needs(call: PlannedCall[SpecsIdentity]) -> Needs:
    return Needs(data=True)


def _effort(call: PlannedCall[SpecsIdentity]) -> Effort:
    return Effort(num=call.identity.num_specs, alike=call.identity.environment)


def _effort_of(record: ArtifactRecord) -> Effort:
    return Effort(num=SpecsCounts.read(record.counts, record.ref.id).specs, alike=record.config["environment"])


SPECS = Stage(
    name="specs",
    version=4,
    work=_prepare,
    counts=SpecsCounts,
    needs=_needs,
    effort=_effort,
    effort_of=_effort_of,
)
