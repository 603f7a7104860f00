"""ALFWorld's settings."""

from typing import Literal, Self

from pydantic import Field, model_validator

from leap_core.config import EnvironmentConfig
from leap_core.envs.base import EnvironmentParams
from leap_core.errors import UnknownNameError
from leap_core.settings.bounds import Share, Text

DataSplit = Literal["train", "valid_seen", "valid_unseen"]
_GENERATED = ("engine", "scene_size")
_DOWNLOADED = ("engine", "dev_split", "test_split", "max_damaged_share", "expert")


class AlfworldParams(EnvironmentParams):
    """`environment.params` of this environment: `scene_size` is for generated games, what follows for downloads."""

    engine: Literal["auto", "native", "textworld"] = Field("auto", description="Which engine plays the games.")
    scene_size: Text = Field("small", description="Size of generated homes.")
    dev_split: DataSplit = Field("valid_seen", description="Split of the data that dev is made of.")
    test_split: DataSplit = Field("valid_unseen", description="Split of the data that test is made of.")
    max_damaged_share: Share = Field(0.05, description="Of a split with more damaged games, nothing is made.")
    expert: Literal["rules", "walkthrough"] = Field(
        "rules", description="Who demonstrates: rules, or walkthrough for the files' own plans."
    )

    @classmethod
    def read(cls, config: EnvironmentConfig) -> Self:
        """Validate `config.params`, and that none of them is for games of the other source.

        Raises:
            ConfigError: an unknown key (with the nearest known one), one without effect, or a bad value.
        """
        source, known = ("generated games", _GENERATED) if config.data is None else ("downloaded data", _DOWNLOADED)
        for key in config.params:
            if key not in known:
                raise UnknownNameError(f"key of environment.params for {source}", key, known)
        return super().read(config)

    @model_validator(mode="after")
    def _splits_share_no_games(self) -> Self:
        chosen = ["train", self.dev_split, self.test_split]
        if len(set(chosen)) < len(chosen):
            raise ValueError(
                f"makes train, dev and test of {', '.join(chosen)}: no two may share games, because the model is "
                "trained on train and chosen on dev. Choose different splits"
            )
        return self
