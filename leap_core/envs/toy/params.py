"""Toy's settings."""

from typing import Annotated

from pydantic import Field

from leap_core.envs.base import EnvironmentParams
from leap_core.settings.bounds import Within


class ToyParams(EnvironmentParams):
    """`environment.params` of this environment."""

    num_doors: Annotated[int, Within(3, 7, "there is one thing behind each, of seven")] = Field(
        5, description="Doors of a corridor."
    )
