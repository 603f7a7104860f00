"""The protocol of a student: many prompts in, one reply each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from leap_core.config import ExecutionConfig, StudentConfig
from leap_core.types import Message, Usage


@dataclass(frozen=True, kw_only=True)
class ActRequest:
    """One prompt to answer.

    `slot` names the episode, so that a student can reuse what it computed for the episode's earlier turns.
    `admissible` is set where generation must be constrained to end in one of these commands; `listed` are those that
    the environment lists, if it lists any. `seed` makes the sample of this turn reproducible whatever else is in the
    batch.
    """

    slot: str
    messages: tuple[Message, ...]
    admissible: tuple[str, ...] | None
    seed: int
    listed: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class ActReply:
    """One answer. `text` is the reply as text, without the end-of-turn token.

    There is none where `error` is set, and where the prompt is longer than the model reads (`out_of_context`).
    """

    text: str
    usage: Usage
    error: str | None = None
    out_of_context: bool = False


@dataclass(frozen=True, kw_only=True)
class GivenReply:
    """A reply that stands after a prompt."""

    messages: tuple[Message, ...]
    text: str


@dataclass(frozen=True, kw_only=True)
class ReplyScore:
    """The natural log-probability of each token of a reply, the one that ends the turn among them."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]

    @property
    def total(self) -> float:
        """That of the whole reply, in nats."""
        return sum(self.logprobs)


def replies_are_paid(student: StudentConfig) -> bool:
    """Whether the student is behind an endpoint that is not ours: what it says costs, and is in the journal next time.

    A server that is started for a stage has another address each time, and replies are found by the address.
    """
    return student.kind == "openai" and student.serve is None


def computes_here(student: StudentConfig) -> bool:
    """Whether the student's weights are in this process."""
    return student.kind == "hf"


def uses_weights(student: StudentConfig) -> bool:
    """Whether a student's model is one that is loaded or served here, not only a name at somebody's endpoint."""
    return computes_here(student) or student.serve is not None


class Student(Protocol):
    """A policy that answers batches of prompts.

    It is made from its weights at `path`, its settings, where it runs, and the temperature of its samples; `log` is
    called with what takes long.
    """

    name: str

    def __init__(
        self,
        path: Path | str,
        config: StudentConfig,
        execution: ExecutionConfig,
        temperature: float,
        log: Callable[[str], None] = lambda line: None,
    ) -> None: ...

    def act(self, requests: Sequence[ActRequest]) -> list[ActReply]:
        """Answer each request, in order. The same requests in the same batches give the same replies."""
        ...

    def release(self, slots: Sequence[str]) -> None:
        """Forget what is held for these episodes; they are over."""
        ...

    def close(self) -> None:
        """Free the model's memory."""
        ...


@runtime_checkable
class IndependentStudent(Student, Protocol):
    """A student that takes requests in while others are still being answered: no episode has to wait for another.

    What one reply depends on, and the order in which replies come, is up to the student: one in this process counts
    forward passes, so that the same requests after the same replies give the same; an endpoint gives them by time.
    """

    def submit(self, requests: Sequence[ActRequest]) -> None:
        """Take requests in, at most one of each slot at a time."""
        ...

    def collect(self) -> dict[str, ActReply]:
        """Return the replies that are there, by slot; wait until there is one."""
        ...


class ReplyScorer(Protocol):
    """What says how likely given replies are after given prompts."""

    def score(self, groups: Sequence[Sequence[GivenReply]]) -> list[list[ReplyScore | None]]:
        """Score each reply of each group; None where it is longer with its prompt than the model reads.

        Prompts of a group begin alike, and mostly as those of the group before: what they share may be computed once.
        """
        ...

    def text_of(self, ids: Sequence[int]) -> str:
        """The text of some tokens of a reply."""
        ...
