"""The section `[gate]`: what looks at a correction after the rules of the realizability gate."""

from typing import Annotated

from pydantic import Field

from leap_core.settings.bounds import Text, Within
from leap_core.settings.section import Section

STUDENT, BASE = "student", "base"
"""Values of `measure` that are no model's name: the weights that played, and those before any training."""


class GateConfig(Section):
    """What looks at corrections that the rules let pass. All of it is off by default."""

    measure: Text | None = Field(
        None,
        description="Weights that measure how much of each correction only the hidden state makes likely: those of the "
        "student that played (student), those before any training (base), or another model's directory or hub id; "
        "none: it is not measured.",
    )
    num_counterfactuals: Annotated[int, Within(1, 64, "each is one more prompt for every correction")] = Field(
        3, description="Other hidden states, each in line with all that was seen, that the true one is compared with."
    )
    max_bits: Annotated[float, Within(1e-6, 100, "bits a token", or_zero=True)] | None = Field(
        None,
        description="Leave corrections out of the dataset whose reason measures more bits a token; none: that is shown "
        "and decides nothing.",
    )
