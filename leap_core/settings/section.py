"""The base of all sections of a configuration."""

from pydantic import ConfigDict

from leap_core.types import Record


class Section(Record):
    """A part of the configuration. Unknown keys are an error, and so are texts and booleans in place of numbers."""

    model_config = ConfigDict(strict=True)
