"""What a planned stage would pay an endpoint for, added up from the requests of sampled episodes.

Requests are made by the code that would send them. Our own weights cost nothing and give no estimate.
"""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from leap_core.chat.messages import ForeseenRequest
from leap_core.chat.prices import read_prices
from leap_core.config import EndpointName
from leap_core.types import Usage
from tasks.planned import EndpointEstimate, PlannedCall

CHARACTERS_A_TOKEN = 4.0
"""Of English prose and of the games' texts, about."""
TOKENS_AROUND_A_MESSAGE = 4
"""Marks that chat formats put where a message begins and ends, and its role: OpenAI's count."""


def estimate_requests(
    call: PlannedCall[Any],
    endpoint: EndpointName,
    requests: Sequence[ForeseenRequest],
    *,
    num_episodes: int,
    factor: float,
    basis: str,
) -> EndpointEstimate:
    """Add requests up and take them `factor` times: so many of each are expected.

    Raises:
        ConfigError: a price file is wrong.
    """
    settings, model = call.config.execution.endpoint(endpoint), requests[0].model
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
        label=call.label,
        endpoint=endpoint,
        num_episodes=num_episodes,
        usage=usage,
        model=model,
        basis=f"{basis}; {_length_of_replies(requests)}",
        prices_of=prices.as_of,
    )


def no_estimate(
    call: PlannedCall[Any], endpoint: EndpointName, num_episodes: int, why: str | None = None
) -> EndpointEstimate:
    """An estimate that says why there is none; without `why`: there are no episodes to sample."""
    nothing = (
        f"there is no episode of {call.config.environment.name!r} in {call.store.home} to make prompts of. Plan again "
        "when there are some: demonstrations, a rollout, or an evaluation of any model"
    )
    return EndpointEstimate(
        label=call.label, endpoint=endpoint, num_episodes=num_episodes, usage=None, basis=why or nothing
    )


def _prompt_tokens(request: ForeseenRequest) -> float:
    return request.num_characters / CHARACTERS_A_TOKEN + request.num_messages * TOKENS_AROUND_A_MESSAGE


def _length_of_replies(requests: Sequence[ForeseenRequest]) -> str:
    return f"replies taken to be {fmean(one.completion_tokens for one in requests):,.0f} tokens long"
