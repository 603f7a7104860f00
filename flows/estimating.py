"""What the teacher of a planned run would cost, from prompts of sampled episodes; and whether the budget is enough."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from leap_core.artifacts import ArtifactStore
from leap_core.chat.budget import Account
from leap_core.chat.journal import Journal
from leap_core.chat.prices import read_prices
from leap_core.config import LeapConfig
from leap_core.correction import needs_correction
from leap_core.loading import asks_endpoint, foresee_requests
from leap_core.report import formats
from leap_core.tables import read_privileged, read_trajectories
from leap_core.teachers.openai import teacher_scope
from leap_core.teachers.privilege import PrivilegedEpisode
from leap_core.types import ArtifactRef, Record, Usage
from tasks.stage import StageOutcome, with_journal

CHARACTERS_A_TOKEN = 4.0
"""Of English prose and of the games' texts, about."""
_MOST_SAMPLED = 25


class TeachingEstimate(Record):
    """What one correction stage would ask of an endpoint. `usage.cost_usd` is None where a price is not known.

    `basis` says which episodes were sampled. Asking again after a bad reply is not in it. Without any episode to sample
    there is no `usage`.
    """

    label: str
    num_episodes: int
    usage: Usage | None
    basis: str
    model: str = ""
    prices_of: str = ""

    @property
    def words(self) -> str:
        """One line for people."""
        usage = self.usage
        if usage is None:
            return f"{self.label}: no estimate: {self.basis}"
        cost = "cost unknown: the price file does not list the model"
        if usage.cost_usd is not None:
            cost = formats.cost(usage.cost_usd) + (f" at prices of {self.prices_of}" if self.prices_of else "")
        tokens = f"{usage.prompt_tokens:,} + {usage.completion_tokens:,}"
        return (
            f"{self.label}: about {usage.num_requests:,} requests to {self.model} for {self.num_episodes:,} episodes, "
            f"{tokens} tokens sent and received, {cost} ({self.basis})"
        )


class BudgetForecast(Record):
    """A budget beside what the experiment has spent of it and what is estimated. None where that is not known.

    `unit` is "usd" or "tokens".
    """

    setting: str
    unit: str
    limit: float
    spent: float | None
    estimate: float | None

    @property
    def words(self) -> str:
        """One line for people."""
        limit, spent, estimate = map(self._amount, (self.limit, self.spent, self.estimate))
        left = None if self.spent is None or self.estimate is None else self.limit - self.spent - self.estimate
        if left is None:
            verdict = "whether it is enough is not known"
        elif left >= 0:
            verdict = "it is enough, unless many replies have to be asked for again"
        else:
            verdict = f"{self._amount(-left)} too little: the run would stop in time, and go on when it is raised"
        return f"{self.setting} is {limit}, {spent} spent, {estimate} estimated: {verdict}"

    def _amount(self, value: float | None) -> str:
        if value is None:
            return "an unknown amount"
        return formats.cost(value) if self.unit == "usd" else f"{value:,.0f} tokens"


def estimate_teaching(config: LeapConfig, store: ArtifactStore, outcomes: list[StageOutcome]) -> list[TeachingEstimate]:
    """Estimate each correction stage that would run, from the prompts that sampled episodes make.

    The sample is the rollout that would be corrected, if it is there; else the newest one of this environment, or its
    demonstrations. A teacher that asks no endpoint needs no estimate.
    """
    if not asks_endpoint(config):
        return []
    to_run = [outcome for outcome in outcomes if outcome.stage == "correction" and outcome.state == "run"]
    return [_estimate(config, store, outcome, outcomes) for outcome in to_run]


def _estimate(
    config: LeapConfig, store: ArtifactStore, outcome: StageOutcome, outcomes: list[StageOutcome]
) -> TeachingEstimate:
    for ref, is_it in _candidates(config, store, outcome, outcomes):
        episodes = _pair(store, ref)
        failed = [one for one in episodes if needs_correction(one.trajectory, config.correction.threshold)]
        sample = (failed or episodes)[:_MOST_SAMPLED]
        if sample:
            share = len(failed) / len(episodes) if failed else 1.0
            count = len(failed) if is_it else round(share * config.rollout.num_episodes)
            whence = "the rollout itself" if is_it else f"{ref.id}, for want of the rollout"
            return _scale(config, outcome, sample, count, f"from prompts of {len(sample)} episodes of {whence}")
    why = (
        f"there is no episode of {config.environment.name!r} in {store.home} to make prompts of. Plan again when the "
        "demonstrations are there"
    )
    return TeachingEstimate(label=outcome.label, num_episodes=config.rollout.num_episodes, usage=None, basis=why)


def not_estimated(config: LeapConfig, outcomes: Sequence[StageOutcome]) -> list[str]:
    """What would ask an endpoint and is in no estimate: one line for each, for people."""
    stages = {outcome.stage for outcome in outcomes if outcome.state == "run"}
    lines = []
    if "annotation" in stages:
        lines.append(f"Not estimated: the reasons of demonstrations by {config.demonstrations.annotate_with}.")
    if stages & {"rollout", "evaluation"} and config.student.kind == "openai" and config.student.serve is None:
        lines.append(f"Not estimated: what the student {config.student.model} costs in rollouts and evaluations.")
    return lines


def foresee_budget(
    config: LeapConfig, store: ArtifactStore, estimates: Sequence[TeachingEstimate]
) -> list[BudgetForecast]:
    """Hold each budget of the teacher against what was spent and what is estimated."""
    teacher, found = config.execution.teacher, []
    spent = _spent(config, store)
    usages = [estimate.usage or Usage(cost_usd=None) for estimate in estimates]
    total = sum(usages, Usage())
    is_known = all(estimate.usage is not None for estimate in estimates)
    tokens = total.prompt_tokens + total.completion_tokens if is_known else None
    for unit, limit, so_far, estimate in (
        ("usd", teacher.budget_usd, None if spent.num_unknown else spent.usd, total.cost_usd),
        ("tokens", teacher.budget_tokens, float(spent.tokens), tokens),
    ):
        if limit is not None and estimates:
            setting = f"execution.teacher.budget_{unit}"
            found.append(BudgetForecast(setting=setting, unit=unit, limit=limit, spent=so_far, estimate=estimate))
    return found


def _spent(config: LeapConfig, store: ArtifactStore) -> Account:
    """What the experiment has paid its teacher so far. Nothing is made where there is no journal yet."""
    account, path = Account(), Path(str(with_journal(config, store.home).execution.journal))
    if path.exists():
        prices = read_prices(config.execution.teacher.prices)
        with closing(Journal(path)) as journal:
            for bought in journal.bought(teacher_scope(config.experiment)):
                account.add(bought.reply, prices.cost_usd(bought.model, bought.reply))
    return account


def _candidates(
    config: LeapConfig, store: ArtifactStore, outcome: StageOutcome, outcomes: list[StageOutcome]
) -> Iterator[tuple[ArtifactRef, bool]]:
    """Artifacts with episodes to sample, the best first, and whether it is the rollout that would be corrected."""
    for other in outcomes:
        if other.stage == "rollout" and other.iteration == outcome.iteration and other.artifact:
            yield store.resolve(other.artifact), True
    for stage in ("rollout", "demonstrations"):
        records = sorted(store.records(stage), key=lambda record: record.created_at, reverse=True)
        for record in records:
            environment = record.config.get("environment")
            if isinstance(environment, dict) and environment.get("name") == config.environment.name:
                yield record.ref, False


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
) -> TeachingEstimate:
    requests = foresee_requests(config, sample)
    model, factor = requests[0].model, num_episodes / len(sample)
    prompt_tokens = sum(request.num_characters for request in requests) / CHARACTERS_A_TOKEN * factor
    completion_tokens = sum(request.completion_tokens for request in requests) * factor
    prices = read_prices(config.execution.teacher.prices)
    price, cost = prices.find(model), None
    if price is not None:
        discount = price.batch if config.execution.teacher.batch else 1.0
        cost = (prompt_tokens * price.prompt + completion_tokens * price.completion) / 1e6 * discount
    usage = Usage(
        num_requests=round(len(requests) * factor),
        prompt_tokens=round(prompt_tokens),
        completion_tokens=round(completion_tokens),
        cost_usd=cost,
    )
    return TeachingEstimate(
        label=outcome.label,
        num_episodes=num_episodes,
        usage=usage,
        model=model,
        basis=basis,
        prices_of=prices.as_of,
    )
