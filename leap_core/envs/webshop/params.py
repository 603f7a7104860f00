"""WebShop's settings."""

from pydantic import Field

from leap_core.envs.base import EnvironmentParams
from leap_core.envs.webshop.shop.building import MAX_DAMAGED_SHARE, PRICE_SEED
from leap_core.envs.webshop.shop.goals import GoalKind
from leap_core.envs.webshop.site.nouns import NounChoice
from leap_core.settings.bounds import Seed, Share, Specs, Text


class WebshopParams(EnvironmentParams):
    """`environment.params` of this environment."""

    goals: GoalKind = Field("human", description="Instructions written by people, or synthetic ones.")
    size: Text | None = Field(None, description="Downloaded data: 'all' products or '1000'; none: what is there.")
    nouns: NounChoice = Field(
        "auto", description="Who finds nouns for the score: spacy, rules; auto: spacy if installed."
    )
    price_seed: Seed = Field(PRICE_SEED, description="Seed of prices drawn from a range, and of price limits.")
    num_products: Specs = Field(600, description="Products in a generated shop.")
    num_goals: Specs = Field(300, description="Goals in a generated shop.")
    trajectories: Text | None = Field(None, description="The original's human trajectories, to demonstrate by.")
    reduce_commands: bool = Field(True, description="Cut lists of more than 20 commands, as the paper's wrapper does.")
    max_damaged_share: Share = Field(MAX_DAMAGED_SHARE, description="Of more damage, nothing is made.")
