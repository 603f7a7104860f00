"""Every error this project raises on purpose: what was expected, what came, which item, what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class LeapError(Exception):
    """Base of all deliberate errors. The command line prints its text, without a traceback, and exits with 1."""


class ConfigError(LeapError):
    """A preset, key or value of the configuration is wrong."""


class UnknownNameError(ConfigError):
    """A name that must be one of a known set is not: a kind of environment, a split, a preset, a key."""

    def __init__(self, what: str, name: str, known: Iterable[str], advice: str = "") -> None:
        names = sorted(known)
        close = get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(names) or 'none'}."
        super().__init__(f"Unknown {what} {name!r}. {hint}{' ' + advice if advice else ''}")
        self.name = name
        self.suggestion = close[0] if close else None


class MissingPackageError(LeapError):
    """An optional package is not installed."""

    def __init__(self, package: str, purpose: str, install: str) -> None:
        super().__init__(f"{purpose} needs the package {package!r}, which is not installed. Install it: {install}")


class GameFileError(LeapError):
    """A game file is missing, damaged, or in a dialect that the engine does not play."""


class UnplayableGameError(GameFileError):
    """A game file can be read, but its rules or its wording are of a kind that the engine does not play."""


class LeftOutGameError(GameFileError):
    """A game file is whole, but of a kind that the environment does not play."""


class EnvironmentCrashError(LeapError):
    """An environment failed while it was played. Never to be mistaken for a low score."""


class WrongSpecError(LeapError):
    """Two records that must speak of the same spec do not."""


class StudentError(LeapError):
    """A student could not be loaded or could not answer."""


class TeacherReplyError(LeapError):
    """A teacher gave no usable reply; carries the last raw text."""

    def __init__(self, message: str, raw: str = "") -> None:
        super().__init__(message)
        self.raw = raw


class ChatError(LeapError):
    """One request to an endpoint came to nothing. Others may fare better."""


class TooMuchError(ChatError):
    """A request asks for more than the endpoint takes at once. One that asks for less may fare better."""


class ContextLengthError(TooMuchError):
    """A request is longer than what the model can read."""


class EndpointError(LeapError):
    """An endpoint refuses everything it is asked: a wrong key or model, no credit. Asking on would not help."""


class BudgetError(LeapError):
    """The next request would overrun the budget. What was paid for is kept."""


class ArtifactError(LeapError):
    """An artifact is missing, ambiguous or damaged."""


class StageFailedError(LeapError):
    """A stage's share of failed items is over its limit."""


class NothingToCorrectError(LeapError):
    """No episode is at or below the correction threshold: the student has nothing left to learn from this split."""
