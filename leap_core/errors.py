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

    def __init_subclass__(cls, *, code: str) -> None:
        super().__init_subclass__()
        cls.code = code

    def __init__(self, message: str, *, item: str = "") -> None:
        super().__init__(message)
        self.item = item


class ConfigError(LeapError, code="config"):
    """A preset, key or value of the configuration is wrong."""


class UnknownNameError(ConfigError, code="unknown_name"):
    """A name that must be one of a known set is not: a kind of environment, a split, a preset, a key."""

    def __init__(self, what: str, name: str, known: Iterable[str], advice: str = "") -> None:
        names = sorted(known)
        close = get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(names) or 'none'}."
        super().__init__(f"Unknown {what} {name!r}. {hint}{' ' + advice if advice else ''}", item=name)


class MissingPackageError(LeapError, code="missing_package"):
    """An optional package is not installed."""

    def __init__(self, package: str, purpose: str, install: str) -> None:
        text = f"{purpose} needs the package {package!r}, which is not installed. Install it: {install}"
        super().__init__(text, item=package)


class GameFileError(LeapError, code="game_file"):
    """A game file is missing, damaged, or in a dialect that the engine does not play."""


class UnplayableGameError(GameFileError, code="unplayable_game"):
    """A game file can be read, but its rules or its wording are of a kind that the engine does not play."""


class LeftOutGameError(GameFileError, code="left_out_game"):
    """A game file is whole, but of a kind that the environment does not play."""


class EnvironmentCrashError(LeapError, code="environment_crash"):
    """An environment failed while it was played. Never to be mistaken for a low score."""


class WrongSpecError(LeapError, code="wrong_spec"):
    """Two records that must be of the same spec are not."""


class StudentError(LeapError, code="student"):
    """A student could not be loaded or could not answer."""


class TeacherReplyError(LeapError, code="teacher_reply"):
    """A teacher gave no usable reply."""


class ChatError(LeapError, code="chat"):
    """One request to an endpoint failed. Others may succeed."""


class TooMuchError(ChatError, code="too_much"):
    """A request asks for more than the endpoint takes at once. A smaller one may succeed."""


class ContextLengthError(TooMuchError, code="context_length"):
    """A request is longer than the model's context."""


class EndpointError(LeapError, code="endpoint"):
    """An endpoint refuses every request: a wrong key or model, no credit. Further requests would not help."""


class BudgetError(LeapError, code="budget"):
    """The next request would exceed the budget. What was paid for is kept."""


class ArtifactError(LeapError, code="artifact"):
    """An artifact is missing, ambiguous or damaged, or cannot be written."""


class StageFailedError(LeapError, code="stage_failed"):
    """A stage's share of failed items is over its limit."""


class NothingToCorrectError(LeapError, code="nothing_to_correct"):
    """No episode is at or below the correction threshold: the student has nothing left to learn from this split."""
