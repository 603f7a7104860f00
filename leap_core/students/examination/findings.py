"""What a model is examined for, and what was found."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from leap_core.config import TrainingConfig
from leap_core.errors import StudentError
from leap_core.text.shown import shown
from leap_core.types import Message


@dataclass(frozen=True, kw_only=True)
class ModelFinding:
    """One thing that is not as it should be: what was expected, what came, and what to do.

    One that is not `fatal` is only reported; no run fails because of it.
    """

    what: str
    came: str
    expected: str = ""
    remedy: str = ""
    fatal: bool = True

    @property
    def text(self) -> str:
        """The finding in one line of text."""
        expected = f" Expected {self.expected.rstrip('.')}." if self.expected else ""
        remedy = f" {self.remedy}" if self.remedy else ""
        return shown(f"{self.came.rstrip('.')}.{expected}{remedy}")


@dataclass(frozen=True, kw_only=True)
class Purpose:
    """What a model is to be used for, and on which device.

    `training` is None if it only plays. `num_new_tokens` is the limit of one reply; `prompt` is the shortest one.
    """

    training: TrainingConfig | None = None
    device: str = "auto"
    num_new_tokens: int = 1
    prompt: tuple[Message, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What is known of a model (`facts`, by name, in order), and what is wrong with it."""

    model: str
    facts: dict[str, str] = field(default_factory=dict)
    findings: tuple[ModelFinding, ...] = ()

    @property
    def errors(self) -> list[ModelFinding]:
        """The findings that would end a run."""
        return [finding for finding in self.findings if finding.fatal]

    def check(self) -> None:
        """Raise a StudentError with everything that would end a run."""
        if self.errors:
            lines = "".join(f"\n  {finding.what}: {finding.text}" for finding in self.errors)
            raise StudentError(f"The model {self.model!r} cannot be used so:{lines}", item=self.model)


class Notes:
    """Collects findings. `catching` records an error and lets the examination go on."""

    def __init__(self) -> None:
        self.found: list[ModelFinding] = []

    def error(self, what: str, came: str, expected: str = "", remedy: str = "") -> None:
        """Record what would end a run."""
        self.found.append(ModelFinding(what=what, came=came, expected=expected, remedy=remedy))

    def remark(self, what: str, came: str, remedy: str = "") -> None:
        """Record what no run fails because of."""
        self.found.append(ModelFinding(what=what, came=came, remedy=remedy, fatal=False))

    @contextmanager
    def catching(self, what: str) -> Iterator[None]:
        """Record a StudentError that the block raises, instead of raising it."""
        try:
            yield
        except StudentError as error:
            self.error(what, str(error))

    @property
    def errors(self) -> list[ModelFinding]:
        """The findings so far that would end a run."""
        return [finding for finding in self.found if finding.fatal]
