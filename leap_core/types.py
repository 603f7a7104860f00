"""The vocabulary: every record that crosses a module boundary or reaches disk.

Records that reach disk are frozen pydantic models that refuse unknown fields. `SCHEMA_VERSION` is written
beside them; raise it when a field changes meaning.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from leap_core.text.outside import mended_in

SCHEMA_VERSION = 1

Split = Literal["train", "dev", "test"]
Level = Literal[0, 25, 50, 75, 100]
"""Share, in percent, of the privileged state that a teacher may use (the paper's realizability ablation)."""
Figure = Literal["success", "score"]
"""What decides which of two models is better: the share of episodes that succeed, or the mean score."""
LEVELS: tuple[Level, ...] = get_args(Level)


Count = Annotated[int, Field(strict=True, ge=0)]
"""How many there are of something: a whole number, never below 0, never a text or a bool."""


class Record(BaseModel):
    """Base of all records: immutable, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def with_(self, **changes: object) -> Self:
        """Return a record like this one but for `changes`, validated as a new one is.

        Records inside it are the same objects, not copies.

        Raises:
            ValidationError: a field is unknown, or a value is not one that it may have.
        """
        values = self.__dict__ | (self.__pydantic_extra__ or {})
        kept = (*type(self).model_fields, *(self.__pydantic_extra__ or ()))
        return self.model_validate({name: values[name] for name in kept} | changes)


class ForeignRecord(Record):
    """Base of records with text that environments and their data bring. It is mended, so that any file can hold it."""

    @model_validator(mode="before")
    @classmethod
    def _mend_text(cls, values: object) -> object:
        return mended_in(values)


class Message(Record):
    """One chat message, in the shape that chat templates and TRL expect."""

    role: Literal["system", "user", "assistant"]
    content: str


class Usage(Record):
    """What was spent. `cost_usd` is None where the price is not known: never 0 for unknown."""

    num_requests: Count = 0
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    cost_usd: float | None = Field(0.0, strict=True, ge=0)

    def __add__(self, other: Usage) -> Usage:
        unknown = self.cost_usd is None or other.cost_usd is None
        return Usage(
            num_requests=self.num_requests + other.num_requests,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cost_usd=None if unknown else (self.cost_usd or 0.0) + (other.cost_usd or 0.0),
        )


class Spec(ForeignRecord):
    """What the agent must do in one episode.

    `params` is the environment's own: what it needs to reset to exactly this episode (paths are relative to
    the specs artifact or absolute). `group` is the kind of spec that results are broken down by (ALFWorld: task type).
    """

    id: str
    env: str
    split: str
    instruction: str
    group: str = ""
    params: dict[str, JsonValue] = Field(default_factory=dict)


class Observation(ForeignRecord):
    """What the student sees. `admissible` is None where the environment has no such list."""

    text: str
    admissible: tuple[str, ...] | None = None


class Action(Record):
    """What the student answers: a reason, and the command that the environment executes."""

    reason: str
    command: str


class Step(Record):
    """One turn of an episode: the observation, then the action taken on it.

    `reply` is the student's raw text. `valid` is False where the reply could not be parsed or the command
    was not admissible (None admissible: the environment's own word for it).
    """

    index: Count
    observation: Observation
    action: Action
    reply: str = ""
    valid: bool = True
    usage: Usage = Usage()


class StopReason(StrEnum):
    """Why an episode ended."""

    TERMINATED = "terminated"
    """The environment ended it (for ALFWorld: the goal was reached)."""
    STEP_LIMIT = "step_limit"
    """The limit on actions was reached."""
    INVALID_LIMIT = "invalid_limit"
    """Too many invalid actions in a row; only collection uses this, to save time."""
    CONTEXT_LIMIT = "context_limit"
    """The next prompt would be longer than the model reads: a failed episode, with a score of 0."""
    ENV_ERROR = "env_error"
    """The environment failed: the episode has no score and counts as failed work, never as a low score."""
    STUDENT_ERROR = "student_error"
    """The student failed to answer at all: likewise without a score."""


class Trajectory(ForeignRecord):
    """One episode as it was played. `score` and `success` are None if and only if `error` says why.

    `score_parts` and `suspicion` are the environment's, of the result that ended the episode (`StepResult`). There are
    none where the score has no parts, or where the episode was broken off.
    """

    id: str
    spec: Spec
    iteration: int
    student: str
    steps: tuple[Step, ...]
    final_observation: str
    stop_reason: StopReason
    score: float | None
    success: bool | None
    score_parts: dict[str, float] = Field(default_factory=dict)
    suspicion: str | None = None
    usage: Usage = Usage()
    error: str | None = None


class PrivilegedState(ForeignRecord):
    """Hidden state of a spec at its start. `text` is for LLM teachers, `facts` for oracles and the leak gate.

    `facts` is the JSON of an environment's `HiddenFacts`, which alone writes and reads it.
    """

    spec_id: str
    text: str
    facts: dict[str, JsonValue] = Field(default_factory=dict)
    source: str


class FreeCommands(Record):
    """What a command must be like where none are listed.

    `form` is a regular expression for all of it. `unsayable` are names and words, even single ones, that neither it nor
    a reason may hold before they were seen. (Where a command solves the task by itself, as in a shell, there are none.)
    """

    form: str
    unsayable: tuple[str, ...]

    @field_validator("form")
    @classmethod
    def _is_a_pattern(cls, form: str) -> str:
        try:
            re.compile(form)
        except re.error as error:
            raise ValueError("the form of free commands must be a regular expression") from error
        return form


class HiddenFacts(Record):
    """What the leak gate knows of any environment's facts. Each environment extends it by the facts that it has.

    `topics` are phrases that say what kind of thing the task is about; they give nothing away once a word of them was
    seen. All other fields are secrets: whatever they hold of names, phrases, numbers, prices, and places of things
    (a dict from a name to a name). A whole number is a secret only where it is written as text. This base keeps
    fields that it does not know; those that extend it refuse them.
    Both fields are left out of the JSON where they are empty, so that an environment that needs none is as it was.
    """

    # Errors must not quote what is hidden: they reach logs.
    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)

    topics: tuple[str, ...] = ()
    free_commands: FreeCommands | None = None

    @classmethod
    def of(cls, privileged: PrivilegedState) -> Self:
        """Read the facts of a privileged state.

        Raises:
            ValidationError: they are of another environment.
        """
        return cls.model_validate(privileged.facts)

    @model_serializer(mode="wrap")
    def _without_what_is_empty(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        content: dict[str, object] = write(self)
        return {name: value for name, value in content.items() if value or name not in ("topics", "free_commands")}


class CorrectionStatus(StrEnum):
    """What became of the teacher's word on one step."""

    KEPT = "kept"
    """The teacher would do the same command; the reason may be rewritten."""
    CHANGED = "changed"
    """The teacher gives another command."""
    REJECTED = "rejected"
    """Not allowed to train anyone; `why` says which check failed."""


class StepCorrection(Record):
    """The teacher's reason and command for one step of a student's trajectory.

    `why` says what is wrong with one that is rejected, or with a leak that was let through.
    """

    step: Count
    reason: str
    command: str
    status: CorrectionStatus
    why: str = ""


class Correction(Record):
    """The corrections of one trajectory, one for each step, in order. `error` is set where the teacher failed."""

    trajectory_id: str
    spec_id: str
    teacher: str
    level: Level
    steps: tuple[StepCorrection, ...]
    usage: Usage = Usage()
    error: str | None = None


class ArtifactRef(Record):
    """Names one published artifact. `key` is made from what went in, `digest` from the files that came out."""

    stage: str
    name: str
    key: str
    digest: str

    @property
    def id(self) -> str:
        """The name by which people and settings speak of it: `<stage>/<name>-<key8>`."""
        return f"{self.stage}/{self.name}-{self.key[:8]}"


class Interval(Record):
    """A two-sided confidence interval, as shares in [0, 1] for rates."""

    low: float
    high: float


class EvaluationResult(Record):
    """How one model does on one split. `success` is a share in [0, 1] over episodes that have a score.

    `figure` says whether `success` or `mean_score` decides; `interval` is that of the success, `score_interval` that of
    the mean score, which only results of earlier versions lack. `num_suspect` counts the successes whose score may have
    been steered, `num_out_of_context` the episodes that failed because a prompt was longer than the model reads,
    `mean_parts` are means of the parts of the score, where the environment tells them; these three are written only
    where there is something to tell.
    """

    iteration: int
    split: str
    success: float
    interval: Interval
    mean_score: float
    mean_actions: float
    num_episodes: Count
    num_errors: Count = 0
    success_by_group: dict[str, float] = Field(default_factory=dict)
    num_by_group: dict[str, Count] = Field(default_factory=dict)
    mean_parts: dict[str, float] = Field(default_factory=dict)
    num_suspect: Count = 0
    num_out_of_context: Count = 0
    figure: Figure = "success"
    score_interval: Interval | None = None
    score_by_group: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_figure(self) -> Self:
        if self.figure == "score" and self.score_interval is None:
            raise ValueError("where the score decides, its interval must be there")
        return self

    @property
    def deciding(self) -> float:
        """The value of the figure that decides."""
        return self.mean_score if self.figure == "score" else self.success

    @property
    def deciding_interval(self) -> Interval:
        """The interval of the figure that decides."""
        return self.score_interval if self.figure == "score" and self.score_interval is not None else self.interval

    @property
    def deciding_by_group(self) -> dict[str, float]:
        """The figure that decides, by group."""
        return self.score_by_group if self.figure == "score" else self.success_by_group

    @model_serializer(mode="wrap")
    def _without_parts_that_are_not_there(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        content: dict[str, object] = write(self)
        absent = {name for name in ("mean_parts", "num_suspect", "num_out_of_context") if not content[name]}
        return {name: value for name, value in content.items() if name not in absent}


class Comparison(Record):
    """How two models compare on the same specs. `difference` is the first's success less the second's, in [-1, 1].

    `score_difference` is that of their mean scores, and `figure` says which of the two decides. Episodes without a
    score, of either, are left out; `num_episodes` are the pairs that are left. The intervals take into account that
    they are pairs.
    """

    first: str
    second: str
    num_episodes: Count
    num_only_first: Count
    num_only_second: Count
    figure: Figure
    difference: float
    interval: Interval
    score_difference: float
    score_interval: Interval
