"""What each stage of a plan would ask of an endpoint and pay for, from prompts of sampled episodes.

Prompts are made by the code that would ask them. Our own weights cost nothing and give no estimate.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

from flows.forecast.samples import (
    StepSample,
    sample_for_annotation,
    sample_for_correction,
    sample_for_playing,
)
from leap_core.chat.messages import ForeseenRequest
from leap_core.chat.prices import read_prices
from leap_core.config import EndpointName
from leap_core.loading import foresee_corrections, foresee_replies, pays_for_corrections_at
from leap_core.method.rollout import foresee_turns
from leap_core.prompts import load_prompts
from leap_core.report import formats
from leap_core.students.base import replies_are_paid
from leap_core.students.weights import resolve_model
from leap_core.teachers.annotator import foresee_reasons
from leap_core.types import Record, Usage
from tasks.annotation import ANNOTATION, AnnotationIdentity
from tasks.base_student import BASE
from tasks.correction import CORRECTION, CorrectionIdentity
from tasks.demonstrations import DEMONSTRATIONS
from tasks.evaluation import EVALUATION, EvaluationIdentity
from tasks.identity import PlayedIdentity
from tasks.playing import rollout_settings
from tasks.rollout import ROLLOUT, RolloutIdentity
from tasks.stage import Run, StageOutcome, is_pending

CHARACTERS_A_TOKEN = 4.0
"""Of English prose and of the games' texts, about."""
TOKENS_AROUND_A_MESSAGE = 4
"""Marks that chat formats put where a message begins and ends, and its role: OpenAI's count."""


class EndpointEstimate(Record):
    """What one stage would ask of an endpoint. `usage.cost_usd` is None where a price is not known.

    `endpoint` is the one whose budget is spent. `basis` says which episodes were sampled, and on what the length of
    replies rests. Asking again after a bad reply is not in it, nor is what the journal may hold. Without any episode to
    sample there is no `usage`.
    """

    label: str
    endpoint: EndpointName
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


def estimate_endpoints(run: Run) -> list[EndpointEstimate]:
    """Estimate each stage of a planned run that would ask an endpoint, in order.

    Raises:
        ConfigError: a setting of an endpoint's model, or a price file, is wrong.
    """
    to_run = [outcome for outcome in run.outcomes if outcome.state == "run" and outcome.stage in _ESTIMATORS]
    found = [_ESTIMATORS[outcome.stage](run, outcome) for outcome in to_run]
    return [estimate for estimate in found if estimate is not None]


def _estimate_annotation(run: Run, outcome: StageOutcome) -> EndpointEstimate:
    """From one prompt for each step of demonstrations."""
    assert isinstance(outcome.identity, AnnotationIdentity)
    sample = sample_for_annotation(run, outcome)
    if sample is None:
        return _no_estimate(outcome, "teacher", run.config.demonstrations.num_episodes, _nothing_to_sample(run))
    num_episodes = sample.num_episodes if sample.is_own else run.config.demonstrations.num_episodes
    requests = foresee_reasons(outcome.identity.model, outcome.identity.environment, sample.episodes)
    whence = "the demonstrations themselves" if sample.is_own else f"{sample.source.id}, for want of the demonstrations"
    return _estimate(
        run,
        outcome,
        "teacher",
        requests,
        num_episodes=num_episodes,
        factor=num_episodes * sample.mean_steps / sample.num_steps,
        basis=f"from a prompt for every step of {len(sample.episodes)} episodes of {whence}; {_replies(requests)}",
    )


def _estimate_correction(run: Run, outcome: StageOutcome) -> EndpointEstimate | None:
    """From prompts for episodes at or below the threshold, or for any where none is."""
    endpoint = pays_for_corrections_at(run.config)
    if endpoint is None:
        return None
    assert isinstance(outcome.identity, CorrectionIdentity)
    sample = sample_for_correction(run, outcome, outcome.identity)
    if sample is None:
        return _no_estimate(outcome, endpoint, run.config.rollout.num_episodes, _nothing_to_sample(run))
    num_episodes = sample.num_failed if sample.is_own else round(sample.share * run.config.rollout.num_episodes)
    model = model_of(run, outcome) if "model" in outcome.inputs else None
    requests = foresee_corrections(run.config, model, sample.episodes)
    if not requests:
        why = "no step fits into correction.params.context_tokens. Raise it, or choose a model that reads more"
        return _no_estimate(outcome, endpoint, num_episodes, why)
    whence = "the rollout itself" if sample.is_own else f"{sample.source.id}, for want of the rollout"
    return _estimate(
        run,
        outcome,
        endpoint,
        requests,
        num_episodes=num_episodes,
        factor=num_episodes / len(sample.episodes),
        basis=f"from prompts of {len(sample.episodes)} episodes of {whence}; {_replies(requests)}",
    )


def _estimate_playing(run: Run, outcome: StageOutcome) -> EndpointEstimate | None:
    """From prompts of every step of episodes of this student, or of others, as this one would be asked."""
    if not replies_are_paid(run.config.student):
        return None
    identity = outcome.identity
    assert isinstance(identity, PlayedIdentity)
    num_episodes = _num_episodes(run, outcome, identity)
    sample = sample_for_playing(run, outcome, identity)
    if sample is None:
        return _no_estimate(outcome, "student", num_episodes, _nothing_to_sample(run))
    prompts = load_prompts(identity.environment.name, identity.student.prompt)
    settings = rollout_settings(identity, max_consecutive_invalid=None, batch_size=1)
    turns = [turn for one in sample.episodes for turn in foresee_turns(prompts, one, settings)]
    reply_tokens = _reply_tokens(sample, is_taught=outcome.inputs["model"].stage != BASE.name)
    requests = foresee_replies(run.config, model_of(run, outcome), turns, reply_tokens)
    most = num_episodes * identity.environment.max_steps
    as_there = ", as there" if reply_tokens else ""
    return _estimate(
        run,
        outcome,
        "student",
        requests,
        num_episodes=num_episodes,
        factor=num_episodes * sample.mean_steps / sample.num_steps,
        basis=f"from prompts of every step of {len(sample.episodes)} episodes of {sample.source.id}, {_whose(sample)}: "
        f"{most:,} requests at most; {_replies(requests)}{as_there}",
    )


def _whose(sample: StepSample) -> str:
    """How far the length of sampled episodes tells that of others."""
    if sample.is_own:
        return "of the same model"
    if sample.source.stage == DEMONSTRATIONS.name:
        return "an expert's, mostly shorter than a student's"
    return "which may be longer or shorter than those of this student"


_ESTIMATORS: dict[str, Callable[[Run, StageOutcome], EndpointEstimate | None]] = {
    ANNOTATION.name: _estimate_annotation,
    CORRECTION.name: _estimate_correction,
    ROLLOUT.name: _estimate_playing,
    EVALUATION.name: _estimate_playing,
}


def _num_episodes(run: Run, outcome: StageOutcome, identity: PlayedIdentity) -> int:
    """How many episodes a stage would play: as many as there are specs, or of a rollout as many as are asked for."""
    specs, environment = outcome.inputs["specs"], run.config.environment
    split = identity.split if isinstance(identity, EvaluationIdentity) else "train"
    sizes = {"train": environment.num_train, "dev": environment.num_dev, "test": environment.num_test}
    num_specs = sizes[split] if is_pending(specs) else run.store.record(specs).counts["specs"]
    return min(identity.num_episodes, num_specs) if isinstance(identity, RolloutIdentity) else num_specs


def model_of(run: Run, outcome: StageOutcome) -> Path | str:
    """The model of a stage as its student would be opened with it; of one that is to be made, the artifact's name."""
    ref = outcome.inputs["model"]
    if ref.stage == BASE.name:  # what is paid for is never a tiny one
        return resolve_model(run.config.student.model)
    return Path(ref.stage, ref.name) if is_pending(ref) else run.store.path(ref)


def _reply_tokens(sample: StepSample, is_taught: bool) -> int | None:
    """The mean length of sampled replies, where they tell of this model's; None where they do not.

    They do where they are its own, and where it is taught: all that are taught reply in the same form.
    """
    steps = [step for one in sample.episodes for step in one.steps]
    if sample.is_own and all(step.usage.completion_tokens for step in steps):
        return round(fmean(step.usage.completion_tokens for step in steps))
    if sample.is_own or is_taught:
        return max(round(fmean(len(step.reply) for step in steps) / CHARACTERS_A_TOKEN), 1)
    return None


def _replies(requests: Sequence[ForeseenRequest]) -> str:
    """On what the length of replies rests."""
    return f"replies taken to be {fmean(one.completion_tokens for one in requests):,.0f} tokens long"


def _no_estimate(outcome: StageOutcome, endpoint: EndpointName, num_episodes: int, why: str) -> EndpointEstimate:
    return EndpointEstimate(label=outcome.label, endpoint=endpoint, num_episodes=num_episodes, usage=None, basis=why)


def _nothing_to_sample(run: Run) -> str:
    return (
        f"there is no episode of {run.config.environment.name!r} in {run.store.home} to make prompts of. Plan again "
        "when there are some: demonstrations, a rollout, or an evaluation of any model"
    )


def _prompt_tokens(request: ForeseenRequest) -> float:
    return request.num_characters / CHARACTERS_A_TOKEN + request.num_messages * TOKENS_AROUND_A_MESSAGE


def _estimate(
    run: Run,
    outcome: StageOutcome,
    endpoint: EndpointName,
    requests: Sequence[ForeseenRequest],
    *,
    num_episodes: int,
    factor: float,
    basis: str,
) -> EndpointEstimate:
    """Add requests up and take them `factor` times: so many of each are expected."""
    settings, model = run.config.execution.endpoint(endpoint), requests[0].model
    prompt_tokens = sum(map(_prompt_tokens, requests)) * factor
    completion_tokens = sum(request.completion_tokens for request in requests) * factor
    prices = read_prices(settings.prices)
    price, cost = prices.find(model), None
    if price is not None:
        discount = price.batch if settings.batch else 1.0
        cost = (prompt_tokens * price.prompt + completion_tokens * price.completion) / 1e6 * discount
    usage = Usage(
        num_requests=round(len(requests) * factor),
        prompt_tokens=round(prompt_tokens),
        completion_tokens=round(completion_tokens),
        cost_usd=cost,
    )
    return EndpointEstimate(
        label=outcome.label,
        endpoint=endpoint,
        num_episodes=num_episodes,
        usage=usage,
        model=model,
        basis=basis,
        prices_of=prices.as_of,
    )
