"""Every error this project raises on purpose: what was expected, what came, which item, what to do.

Each class has a stable `code`, by which programs and tests can tell errors apart whatever their text says.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar


class LeapError(Exception):
    """Base of all deliberate errors. The command line prints its text, without a traceback, and exits with 1.

    `item` names what is wrong (a setting, a file, an artifact), where it is one thing; else it is empty.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, item: str = "") -> None:
        super().__init__(message)
        self.item = item


class ConfigError(LeapError):
    """A preset, key or value of the configuration is wrong."""

    code = "config"


class UnknownNameError(ConfigError):
    """A name that must be one of a known set is not: a kind of environment, a split, a preset, a key."""

    code = "unknown_name"

    def __init__(self, what: str, name: str, known: Iterable[str], advice: str = "") -> None:
        names = sorted(known)
        close = get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(names) or 'none'}."
        super().__init__(f"Unknown {what} {name!r}. {hint}{' ' + advice if advice else ''}", item=name)


class MissingPackageError(LeapError):
    """An optional package is not installed."""

    code = "missing_package"

    def __init__(self, package: str, purpose: str, install: str) -> None:
        text = f"{purpose} needs the package {package!r}, which is not installed. Install it: {install}"
        super().__init__(text, item=package)


class GameFileError(LeapError):
    """A game file is missing, damaged, or in a dialect that the engine does not play."""

    code = "game_file"


class UnplayableGameError(GameFileError):
    """A game file can be read, but its rules or its wording are of a kind that the engine does not play."""

    code = "unplayable_game"


class LeftOutGameError(GameFileError):
    """A game file is whole, but of a kind that the environment does not play."""

    code = "left_out_game"


class EnvironmentCrashError(LeapError):
    """An environment failed while it was played. Never to be mistaken for a low score."""

    code = "environment_crash"


class WrongSpecError(LeapError):
    """Two records that must be of the same spec are not."""

    code = "wrong_spec"


class StudentError(LeapError):
    """A student could not be loaded or could not answer."""

    code = "student"


class TeacherReplyError(LeapError):
    """A teacher gave no usable reply."""

    code = "teacher_reply"


class ChatError(LeapError):
    """One request to an endpoint failed. Others may succeed."""

    code = "chat"


class TooMuchError(ChatError):
    """A request asks for more than the endpoint takes at once. A smaller one may succeed."""

    code = "too_much"


class ContextLengthError(TooMuchError):
    """A request is longer than the model's context."""

    code = "context_length"


class EndpointError(LeapError):
    """An endpoint refuses every request: a wrong key or model, no credit. Further requests would not help."""

    code = "endpoint"


class BudgetError(LeapError):
    """The next request would exceed the budget. What was paid for is kept."""

    code = "budget"


class ArtifactError(LeapError):
    """An artifact is missing, ambiguous or damaged, or cannot be written."""

    code = "artifact"


class StageFailedError(LeapError):
    """A stage's share of failed items is over its limit."""

    code = "stage_failed"


class NothingToCorrectError(LeapError):
    """No episode is at or below the correction threshold: the student has nothing left to learn from this split."""

    code = "nothing_to_correct"
