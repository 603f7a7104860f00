"""What a stage says of itself before it is made: what it needs, what it will do, and what that may cost."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from pydantic import JsonValue

from leap_core.config import EndpointName, LeapConfig, Section
from leap_core.report import formats
from leap_core.store.artifacts import ArtifactStore
from leap_core.store.records import ArtifactRecord
from leap_core.types import ArtifactRef, Record, Usage

IdentityT = TypeVar("IdentityT", bound=Section)


PENDING = "pending"
"""Digest of an artifact that a plan knows will be made, but not with which content."""


def is_pending(ref: ArtifactRef) -> bool:
    """Whether `ref` stands for an artifact that a plan would have to make first."""
    return ref.digest == PENDING


@dataclass(frozen=True, kw_only=True)
class PlannedCall(Generic[IdentityT]):
    """A call of a stage that a plan would make."""

    config: LeapConfig
    store: ArtifactStore
    label: str
    stage: str
    iteration: int | None
    identity: IdentityT
    inputs: Mapping[str, ArtifactRef]

    def is_known(self, *roles: str) -> bool:
        """Whether these inputs are in the store already."""
        return not any(is_pending(self.inputs[role]) for role in roles)


@dataclass(frozen=True, kw_only=True)
class Request:
    """Whom a stage sends requests to. `model` is None where its name is not known yet: its weights are to be made."""

    endpoint: EndpointName
    model: str | None


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a stage needs beside its inputs.

    `data`: what `environment.data` names. `weights`: the student's model in this process or served by it, to play or to
    train. `device`: `execution.device`. `request`: a key, and a price where a budget is counted in dollars.
    """

    data: bool = False
    device: bool = False
    weights: Literal["play", "train"] | None = None
    request: Request | None = None


@dataclass(frozen=True, kw_only=True)
class Foresight:
    """What is known of a stage before it is made, in lines for people; `warnings` are what may not be meant."""

    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class EndpointEstimate(Record):
    """What one stage would request of an endpoint. `usage.cost_usd` is None where a price is not known.

    `endpoint` is the one whose budget is spent. `basis` says which episodes were sampled, and on what the length of
    replies rests. Requests that follow a bad reply are not in it, nor is what the journal may hold. Without any episode
    to sample there is no `usage`.
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


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much a stage has to do, in units that take about equally long each: at least where `alike` is the same.

    `activity` is what the student's model does all the time, in this process: it plays steps, as many episodes at once
    as `width` if they may, or is trained on rows. None where another takes the time.
    """

    num: float
    alike: JsonValue
    activity: Literal["play", "train"] | None = None
    width: int = 1
    is_at_most: bool = False


@dataclass(frozen=True, kw_only=True)
class PlannedStage(Generic[IdentityT]):
    """What a plan knows of a kind of stage, and asks of each call of it."""

    name: str
    version: int
    needs: Callable[[PlannedCall[IdentityT]], Needs] = lambda call: Needs()
    foresee: Callable[[PlannedCall[IdentityT]], Foresight] = lambda call: Foresight()
    estimate: Callable[[PlannedCall[IdentityT]], EndpointEstimate | None] = lambda call: None
    effort: Callable[[PlannedCall[IdentityT]], Effort | None] = lambda call: None
    effort_of: Callable[[ArtifactRecord], Effort | None] = lambda record: None
