"""Stage `privileged`: the hidden state of every spec of one split, kept apart from all that a student sees."""

from leap_core.config import Section
from leap_core.loading import load_suite
from leap_core.method.tables import read_specs, write_privileged
from leap_core.store.records import ArtifactRecord
from leap_core.types import ArtifactRef
from tasks.counts import Count, Counts
from tasks.identity import PlayedEnvironment
from tasks.planned import Effort, PlannedCall
from tasks.run import Run
from tasks.stage import Stage, StageReport, StageWork


class PrivilegedCounts(Counts):
    """How many specs have a hidden state: all."""

    states: Count


class PrivilegedIdentity(Section):
    """The environment whose hidden state is read."""

    environment: PlayedEnvironment


def reveal_privileged_states(run: Run, specs: ArtifactRef) -> ArtifactRef:
    """Return the hidden state at the start of each spec; only teachers and experts read this artifact."""
    identity = PrivilegedIdentity(environment=PlayedEnvironment.of(run.config.environment))
    return PRIVILEGED(run, identity, {"specs": specs})


def _reveal(work: StageWork[PrivilegedIdentity]) -> StageReport:
    suite, root = load_suite(work.config.environment), work.inputs["specs"]
    specs, states = read_specs(root), []
    for spec in specs:
        states.append(suite.privileged_state(root, spec))
        done, total = len(states), len(specs)
        work.progress(f"{done:,} of {total:,} specs", done=done, left=total - done)
    write_privileged(work.output, states)
    return StageReport(counts=PrivilegedCounts(states=len(states)))


def _effort(call: PlannedCall[PrivilegedIdentity]) -> Effort:
    return Effort(num=call.config.environment.num_train, alike=call.identity.environment.name)


def _effort_of(record: ArtifactRecord) -> Effort:
    identity = PrivilegedIdentity.model_validate(record.config)
    return Effort(num=PrivilegedCounts.read(record.counts, record.ref.id).states, alike=identity.environment.name)


PRIVILEGED = Stage(
    name="privileged", version=4, work=_reveal, counts=PrivilegedCounts, effort=_effort, effort_of=_effort_of
)
