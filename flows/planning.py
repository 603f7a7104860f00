"""What a run would do, and what its teacher would cost: the same walk over the stages, without doing any."""

from collections.abc import Iterator

from flows.leap import walk_leap
from leap_core.artifacts import ArtifactStore
from leap_core.chat.prices import read_prices
from leap_core.config import LeapConfig
from leap_core.correction import needs_correction
from leap_core.loading import foresee_requests
from leap_core.tables import read_privileged, read_trajectories
from leap_core.teachers.privilege import PrivilegedEpisode
from leap_core.types import ArtifactRef, Record, Usage
from tasks.stage import Run, StageOutcome

CHARACTERS_A_TOKEN = 4.0
"""Of English prose and of the games' texts, about."""
_MOST_SAMPLED = 25


def plan_experiment(config: LeapConfig, store: ArtifactStore) -> list[StageOutcome]:
    """Return each stage of flow `leap` in order, cached or to be run, with the reason."""
    run = Run(config=config, store=store, planning=True)
    walk_leap(run)
    return run.outcomes


class TeachingEstimate(Record):
    """What one correction stage would ask of an endpoint. `usage.cost_usd` is None where a price is not known.

    `basis` says which episodes were sampled. Asking again after a bad reply is not in it.
    """

    label: str
    num_episodes: int
    usage: Usage
    model: str
    basis: str

    @property
    def words(self) -> str:
        """One line for people."""
        usage = self.usage
        cost = "cost unknown" if usage.cost_usd is None else f"${usage.cost_usd:.2f}"
        tokens = f"{usage.prompt_tokens:,} + {usage.completion_tokens:,}"
        return (
            f"{self.label}: about {usage.num_requests:,} requests to {self.model} for {self.num_episodes:,} episodes, "
            f"{tokens} tokens sent and received, {cost} ({self.basis})"
        )


def estimate_teaching(config: LeapConfig, store: ArtifactStore, outcomes: list[StageOutcome]) -> list[TeachingEstimate]:
    """Estimate each correction stage that would run, from the prompts that sampled episodes make.

    The sample is the rollout that would be corrected, if it is there; else the newest one of this environment, or its
    demonstrations. Nothing is estimated where there is no such episode yet, or where the teacher asks no endpoint.
    """
    estimates = []
    for outcome in outcomes:
        if outcome.stage != "correction" or outcome.state != "run":
            continue
        for ref, what in _candidates(config, store, outcome, outcomes):
            episodes = _pair(store, ref)
            failed = [one for one in episodes if needs_correction(one.trajectory, config.correction.threshold)]
            sample = (failed or episodes)[:_MOST_SAMPLED]
            if sample:
                is_it = what == "the rollout itself"
                share = len(failed) / len(episodes) if failed else 1.0
                count = len(failed) if is_it else round(share * config.rollout.num_episodes)
                estimate = _scale(config, outcome, sample, count, f"{len(sample)} prompts sampled from {what}")
                estimates += [estimate] if estimate else []
                break
    return estimates


def _candidates(
    config: LeapConfig, store: ArtifactStore, outcome: StageOutcome, outcomes: list[StageOutcome]
) -> Iterator[tuple[ArtifactRef, str]]:
    for other in outcomes:
        if other.stage == "rollout" and other.iteration == outcome.iteration and other.artifact:
            yield store.resolve(other.artifact), "the rollout itself"
    for stage in ("rollout", "demonstrations"):
        records = sorted(store.records(stage), key=lambda record: record.created_at, reverse=True)
        for record in records:
            environment = record.config.get("environment")
            if isinstance(environment, dict) and environment.get("name") == config.environment.name:
                yield record.ref, record.ref.id


def _pair(store: ArtifactStore, ref: ArtifactRef) -> list[PrivilegedEpisode]:
    """The episodes of an artifact with the hidden states of their specs; none where those are not in the store."""
    specs = store.record(ref).inputs["specs"]
    for record in store.records("privileged"):
        if record.inputs["specs"].digest == specs.digest:
            states = {state.spec_id: state for state in read_privileged(store.path(record.ref))}
            episodes = read_trajectories(store.path(ref))
            return [
                PrivilegedEpisode(trajectory=one, privileged=states[one.spec.id])
                for one in episodes
                if one.spec.id in states and one.steps
            ]
    return []


def _scale(
    config: LeapConfig, outcome: StageOutcome, sample: list[PrivilegedEpisode], num_episodes: int, basis: str
) -> TeachingEstimate | None:
    requests = foresee_requests(config, sample)
    if not requests:
        return None
    model, factor = requests[0].model, num_episodes / len(sample)
    prompt_tokens = sum(request.num_characters for request in requests) / CHARACTERS_A_TOKEN * factor
    completion_tokens = sum(request.completion_tokens for request in requests) * factor
    price = read_prices(config.execution.teacher.prices).find(model)
    cost = None
    if price is not None:
        discount = price.batch if config.execution.teacher.batch else 1.0
        cost = (prompt_tokens * price.prompt + completion_tokens * price.completion) / 1e6 * discount
    usage = Usage(
        num_requests=round(len(requests) * factor),
        prompt_tokens=round(prompt_tokens),
        completion_tokens=round(completion_tokens),
        cost_usd=cost,
    )
    return TeachingEstimate(label=outcome.label, num_episodes=num_episodes, usage=usage, model=model, basis=basis)
