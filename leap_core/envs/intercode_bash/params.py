"""InterCode Bash's settings."""

from typing import Annotated, Literal

from pydantic import Field

from leap_core.envs.base import EnvironmentParams
from leap_core.settings.bounds import Text, Within


class IntercodeBashParams(EnvironmentParams):
    """`environment.params` of this environment."""

    backend: Text = Field("bubblewrap", description="Kind of sandbox: bubblewrap or docker.")
    rootfs: Text | None = Field(None, description="bubblewrap: whose /usr commands see; none: the host's.")
    image: Text = Field(
        "intercode-nl2bash-{file_system}", description="docker: image of a file system; {file_system} is its name."
    )
    split_by: Literal["file_system", "fraction"] = Field(
        "file_system", description="InterCode's data: train on file systems 1 and 2, test on 3 and 4; or by shares."
    )
    train_fraction: Annotated[float, Within(0.001, 0.999, "the rest is for test")] = Field(
        0.7, description="By fraction: share of tasks for train and dev."
    )
    dev_fraction: Annotated[float, Within(0.001, 0.999, "the rest is to train on", or_zero=True)] = Field(
        0.15, description="Share of the tasks to train on that are dev's."
    )
    command_timeout_s: Annotated[float, Within(0.01, 20, "seconds; an episode has many commands")] = Field(
        10.0, description="A command that takes longer is stopped."
    )
    observation_limit: Annotated[int, Within(100, 10**6, "more fits into no model's context")] = Field(
        2000, description="Characters of an output that the student sees."
    )
