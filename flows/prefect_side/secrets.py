"""Keys of endpoints that are kept in Prefect Secret blocks: into the environment of this process, and nowhere else."""

import os

from leap_core.chat.keys import plain_key
from leap_core.config import EndpointConfig, LeapConfig
from leap_core.errors import ConfigError


def provide_keys(config: LeapConfig) -> None:
    """Load each Secret that an endpoint names into the environment variable that its key is read from.

    Raises:
        ConfigError: there is no such block, or what it holds can be no key.
    """
    for endpoint in (config.execution.teacher, config.execution.student):
        if endpoint.api_key_secret is not None:
            os.environ[endpoint.api_key_env] = _load(endpoint, endpoint.api_key_secret)


def _load(endpoint: EndpointConfig, name: str) -> str:
    from prefect.blocks.system import Secret

    try:
        block = Secret.load(name)
    except ValueError as error:
        raise ConfigError(
            f"Prefect has no Secret block {name!r}, which api_key_secret names. Make it in Prefect's UI under Blocks, "
            f"or leave api_key_secret out and put the key into the environment variable {endpoint.api_key_env}."
        ) from error
    assert isinstance(block, Secret)  # a coroutine only where there is an event loop
    return plain_key(str(block.get()), f"Prefect's Secret block {name!r}")
