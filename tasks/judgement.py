"""Stage `judgement`: a language model is asked which corrections only the hidden state can have made possible."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field

from leap_core.config import LeapConfig, Section
from leap_core.loading import set_up_judge
from leap_core.method.correction import needs_correction
from leap_core.method.judgement import (
    JudgementRow,
    JudgementSummary,
    check_judgements,
    judgement_rows,
    summarise_judgements,
)
from leap_core.method.second_gates import objections
from leap_core.method.tables import (
    read_corrections,
    read_judgements,
    read_leakage,
    read_privileged,
    read_trajectories,
    read_turn_rows,
    write_judgements,
)
from leap_core.store.artifacts import ArtifactStore
from leap_core.teachers.judge import (
    OWN,
    CorrectedEpisode,
    Judge,
    as_if_corrected,
    foresee_judgements,
    load_judge_prompts,
)
from leap_core.teachers.privilege import PrivilegedEpisode
from leap_core.types import ArtifactRef, Usage
from tasks.correction import CORRECTION, what_was_corrected
from tasks.counts import ByKind, Count, Counts, Each
from tasks.demonstrations import DEMONSTRATIONS
from tasks.estimates import estimate_requests, no_estimate
from tasks.planned import EndpointEstimate, Needs, PlannedCall, Request, is_pending
from tasks.run import Run
from tasks.samples import newest, own_or_newest, spread, undamaged, with_hidden_state
from tasks.stage import Stage, StageReport, StageWork


class JudgementCounts(Counts):
    """Corrections that were not rejected, and what was said of them.

    `own` are those that the student had written itself, on which nobody was asked, `unjudged` those on which no verdict
    could be read. `rests_on` counts the others by what their hardest claim rests on; leaks are those on "hidden".
    """

    corrections: Count
    leaks: Count
    own: Count
    unjudged: Count
    rests_on: Annotated[ByKind, Each("rests_on:{}")]

    @classmethod
    def of(cls, rows: Sequence[JudgementRow]) -> Self:
        """Count the rows."""
        grounds = Counter(row.why for row in rows if row.leaks is not None)
        own = grounds.pop(OWN, 0)
        return cls(
            corrections=len(rows),
            leaks=sum(row.leaks is True for row in rows),
            own=own,
            unjudged=sum(row.leaks is None for row in rows),
            rests_on=dict(sorted(grounds.items())),
        )


class JudgementIdentity(Section):
    """The model that judges, the digest of its prompt templates, and how it is asked."""

    environment: str = Field(title="environment.name")
    judge: str = Field(title="gate.judge")
    judge_prompts: str
    judge_temperature: float | None = Field(title="gate.judge_temperature")
    judge_max_tokens: int = Field(title="gate.judge_max_tokens")
    judge_context_tokens: int = Field(title="gate.judge_context_tokens")
    judge_max_attempts: int = Field(title="gate.judge_max_attempts")

    @classmethod
    def of(cls, config: LeapConfig, judge: str) -> Self:
        """Take over what of `config` decides a verdict."""
        gate, environment = config.gate, config.environment.name
        return cls(
            environment=environment,
            judge=judge,
            judge_prompts=load_judge_prompts(environment, gate.judge_prompt).digest,
            judge_temperature=gate.judge_temperature,
            judge_max_tokens=gate.judge_max_tokens,
            judge_context_tokens=gate.judge_context_tokens,
            judge_max_attempts=gate.judge_max_attempts,
        )


def judge(run: Run, iteration: int, rollout: ArtifactRef | None, correction: ArtifactRef) -> ArtifactRef | None:
    """Return the verdicts on corrections; None where nobody judges (`gate.judge`).

    `rollout` are the episodes that were corrected; None: those that the correction's record names.
    """
    if run.config.gate.judge is None:
        return None
    corrected = what_was_corrected(run, rollout, correction)
    inputs = {"episodes": corrected.episodes, "privileged": corrected.privileged, "correction": correction}
    return JUDGEMENT(run, JudgementIdentity.of(run.config, run.config.gate.judge), inputs, iteration)


def _judge(work: StageWork[JudgementIdentity]) -> StageReport:
    episodes = read_corrected(work.inputs)
    with closing(Judge(set_up_judge(work.config, work.identity.judge, work.log))) as asked:
        judgements = asked.judge(episodes)
        account = asked.account()
    rows = judgement_rows(judgements)
    check_judgements(rows, work.config.gate.max_unjudged_share)
    write_judgements(work.output, rows)
    num_judged = sum(row.leaks is not None for row in rows)
    return StageReport(
        counts=JudgementCounts.of(rows),
        metrics={"judged_leak_rate": sum(row.leaks is True for row in rows) / max(num_judged, 1), **account},
        usage=sum((one.usage for one in judgements), Usage()),
    )


def read_corrected(inputs: Mapping[str, Path]) -> list[CorrectedEpisode]:
    """The episodes of which some step could train somebody, each with its hidden state and its correction."""
    episodes = {one.id: one for one in read_trajectories(inputs["episodes"])}
    states = {state.spec_id: state for state in read_privileged(inputs["privileged"])}
    corrected = [
        CorrectedEpisode(
            episode=PrivilegedEpisode(trajectory=episodes[one.trajectory_id], privileged=states[one.spec_id]),
            correction=one,
        )
        for one in read_corrections(inputs["correction"])
    ]
    return [one for one in corrected if one.taught]


def _needs(call: PlannedCall[JudgementIdentity]) -> Needs:
    return Needs(request=Request(endpoint="teacher", model=call.identity.judge))


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """Some of `num_episodes` corrected episodes that are to be judged, and where they come from."""

    episodes: list[CorrectedEpisode]
    num_episodes: int
    basis: str


def _estimate(call: PlannedCall[JudgementIdentity]) -> EndpointEstimate:
    """From the corrections themselves, else from the newest ones, else from episodes as if each step was corrected."""
    sample = _corrections(call) or _episodes(call)
    if sample is None:
        return no_estimate(call, "teacher", call.config.rollout.num_episodes)
    requests = foresee_judgements(set_up_judge(call.config, call.identity.judge), sample.episodes)
    if not requests:
        why = "no sampled correction has to be judged, or none fits into gate.judge_context_tokens"
        return no_estimate(call, "teacher", sample.num_episodes, why)
    return estimate_requests(
        call,
        "teacher",
        requests,
        num_episodes=sample.num_episodes,
        factor=sample.num_episodes / len(sample.episodes),
        basis=f"from {sample.basis}",
    )


def _corrections(call: PlannedCall[JudgementIdentity]) -> _Sample | None:
    """Those that would be judged, if they are there; else the newest of which everything is in the store."""
    if not is_pending(call.inputs["correction"]):
        episodes = read_corrected({role: call.store.path(ref) for role, ref in call.inputs.items()})
        return _Sample(
            episodes=spread(episodes),
            num_episodes=len(episodes),
            basis="the corrections themselves" if episodes else "corrections of which none has to be judged",
        )
    for record in undamaged(call, newest(call, CORRECTION.name)):
        refs = {
            "correction": record.ref,
            "episodes": record.inputs["episodes"],
            "privileged": record.inputs["privileged"],
        }
        if any(call.store.verify(ref) is not None for ref in refs.values()):
            continue
        episodes = read_corrected({role: call.store.path(ref) for role, ref in refs.items()})
        if episodes:
            share = len(episodes) / max(CORRECTION.counts_of(call.store, record.ref).episodes, 1)
            return _Sample(
                episodes=spread(episodes),
                num_episodes=max(round(share * call.config.rollout.num_episodes), 1),
                basis=f"corrections of {record.ref.id}, as there are none yet",
            )
    return None


def _episodes(call: PlannedCall[JudgementIdentity]) -> _Sample | None:
    """Episodes as if a teacher had written what is in them, of every step."""
    for source, is_own in own_or_newest(call, "episodes", "rollout", DEMONSTRATIONS.name):
        episodes = with_hidden_state(call, source)
        settings = call.config.correction
        low = [
            one
            for one in episodes
            if needs_correction(one.trajectory, settings.threshold, keep_suspect=settings.keep_suspect)
        ]
        if episodes:
            num = len(low) if is_own else round(len(low or episodes) / len(episodes) * call.config.rollout.num_episodes)
            return _Sample(
                episodes=[as_if_corrected(one) for one in spread(low or episodes)],
                num_episodes=num,
                basis=f"every step of episodes of {source.id}, as nothing is corrected yet",
            )
    return None


JUDGEMENT = Stage(
    name="judgement",
    version=1,
    work=_judge,
    counts=JudgementCounts,
    needs=_needs,
    estimate=_estimate,
)


def judgement_summary(
    store: ArtifactStore, ref: ArtifactRef, correction: ArtifactRef, leakage: ArtifactRef | None, max_bits: float | None
) -> JudgementSummary:
    """What the verdicts on one iteration's corrections amount to; `leakage` is what was measured of them, if it was."""
    rows = read_turn_rows(store.path(correction))
    by_rules = {(row.episode, row.step) for row in rows if row.leaked}
    by_bits = None
    if leakage is not None and max_bits is not None:
        by_bits = objections(read_leakage(store.path(leakage)), max_bits)
    return summarise_judgements(read_judgements(store.path(ref)), store.record(ref).usage, by_rules, by_bits)
