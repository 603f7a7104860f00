"""Types of settings: numbers within bounds that have a reason, texts that are neither blank nor unprintable.

A number without bounds can end in a traceback or a hang hours later, so every numeric setting is of one of these
types; a test walks all sections to check it. A new setting is one line:
`limit: Annotated[int, Within(1, 100, "why")] = 3`.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_after_validator_function

from leap_core.types import Level

MAX_TEXT = 4096
"""Characters of one text: the longest path that Linux takes."""
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_DEVICE = re.compile(r"auto|cpu|mps|(cuda|xpu)(:[0-9]{1,3})?")


@dataclass(frozen=True)
class Within:
    """Annotates a number: the least and the most that it may be, and why. With `or_zero`, 0 is allowed as well."""

    least: float
    most: float
    why: str
    or_zero: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check the bounds after pydantic has checked the type."""
        return no_info_after_validator_function(self.check, handler(source))

    def check(self, value: float) -> float:
        """Return `value`; a negative zero becomes positive, as it would give another key for the same results."""
        if self.least <= value <= self.most or (self.or_zero and value == 0):
            return value + 0
        raise PydanticCustomError("out_of_bounds", "must be {range}: {why}", {"range": self.range, "why": self.why})

    @property
    def range(self) -> str:
        """The bounds in words."""
        return f"{'0, or ' if self.or_zero else ''}from {_write(self.least)} to {_write(self.most)}"


def _write(number: float) -> str:
    return f"{number:_}" if isinstance(number, int) else f"{number:g}"


def _check_text(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "must not be empty or blank; leave the setting out for its default")
    if len(text) > MAX_TEXT:
        raise PydanticCustomError(
            "too_long", "must have at most {most} characters, but has {length}", {"most": MAX_TEXT, "length": len(text)}
        )
    strange = _UNPRINTABLE.search(text)
    if strange is not None:
        raise PydanticCustomError(
            "unprintable",
            "must not contain the character {character} (at {place}): names and paths must be printable",
            {"character": ascii(strange[0]), "place": strange.start()},
        )
    return text


def _check_device(device: str) -> str:
    if not _DEVICE.fullmatch(device):
        raise PydanticCustomError(
            "device",
            "must be auto, cpu, cuda, cuda:N, mps or xpu; --set execution.device=auto takes what this machine has",
        )
    return device


def _check_whole(value: Any) -> Any:
    # To pydantic, False and 0.0 equal the literal 0.
    if type(value) is not int:
        raise PydanticCustomError("int_type", "must be one of 0, 25, 50, 75 and 100")
    return value


def check_pattern(pattern: str) -> str:
    """Return `pattern` if it is a regular expression; else raise an error for pydantic."""
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise PydanticCustomError("pattern", "must be a regular expression: {why}", {"why": str(error)}) from error
    return pattern


Text = Annotated[str, AfterValidator(_check_text)]
"""A name, a path, a model: not blank, printable, not too long."""
Pattern = Annotated[Text, AfterValidator(check_pattern)]
Device = Annotated[Text, AfterValidator(_check_device)]
ShareOfState = Annotated[Level, BeforeValidator(_check_whole)]

Seed = Annotated[int, Within(0, 2**31 - 1, "numpy and torch take no larger seeds on every machine")]
Specs = Annotated[int, Within(1, 10**6, "all specs of a split are kept in memory and played")]
SpecsOrNone = Annotated[int, Within(0, 10**6, "all specs of a split are kept in memory and played")]
Episodes = Annotated[int, Within(1, 10**6, "each is played on a spec of its own")]
Actions = Annotated[int, Within(1, 10_000, "no model's context holds a longer episode")]
Tokens = Annotated[int, Within(1, 2**20, "no model reads or writes more tokens at once")]
Rows = Annotated[int, Within(1, 2**16, "all are held in memory together")]
Temperature = Annotated[
    float, Within(0.01, 10, "0 is greedy; logits are divided by it, and beyond that replies are noise", or_zero=True)
]
Share = Annotated[float, Within(1e-6, 1, "it is a share of the whole", or_zero=True)]
LearningRate = Annotated[float, Within(1e-12, 1, "below that weights do not change, above it they diverge")]
Epochs = Annotated[float, Within(0.001, 10_000, "it is how often training passes over its rows")]
Seconds = Annotated[float, Within(0.01, 86_400, "seconds: at most a day")]
