"""The section `[gate]`: what looks at a correction after the rules of the realizability gate."""

from typing import Annotated

from pydantic import Field

from leap_core.settings.bounds import Share, Temperature, Text, Within
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
    judge: Text | None = Field(
        None,
        description="Model at the teacher's endpoint that judges corrections; what it calls a leak is left out of the "
        "dataset; none: nobody judges.",
    )
    judge_prompt: Text = Field("default", description="Prompt set below leap_core/envs/<environment>/prompts/judge/.")
    judge_temperature: Temperature | None = Field(0.0, description="Sampling temperature; null: the endpoint's own.")
    judge_max_tokens: Annotated[int, Within(16, 2**20, "no model writes more at once")] = Field(
        4096, description="Limit on tokens of one of its replies, hidden reasoning included."
    )
    judge_context_tokens: Annotated[int, Within(512, 10**8, "no model reads more at once")] = Field(
        128_000, description="What it can read; longer episodes are split."
    )
    judge_max_attempts: Annotated[int, Within(1, 100, "each reply is paid for")] = Field(
        3, description="Replies requested before a step counts as not judged."
    )
    max_unjudged_share: Share = Field(0.1, description="Fail the stage above this share of steps without a verdict.")
