"""Opening a `Run`: from the name of a preset, overrides and a home."""

from collections.abc import Sequence

from prefect.context import FlowRunContext
from prefect.logging import get_run_logger

from flows.prefect_side.secrets import provide_keys
from flows.presets import artifacts_of, read_config, resolve_home
from flows.terminal import log
from leap_core.store.artifacts import ArtifactStore
from leap_core.text.shown import shown_lines
from tasks.run import Run


def open_run(preset: str, overrides: Sequence[str], home: str | None) -> Run:
    """Read the configuration and open the store.

    Raises:
        ConfigError: the preset, an override or a value is wrong, or a Secret that it names is missing.
        ArtifactError: the home cannot be written.
    """
    config = read_config(preset, overrides)
    provide_keys(config)
    say = log_to_prefect if is_deployed() else log
    return Run(config=config, store=ArtifactStore(artifacts_of(resolve_home(home))), log=say, tell=say)


def log_to_prefect(line: str) -> None:
    """Write one line of progress where Prefect's UI and the worker's terminal show it."""
    get_run_logger().info(shown_lines(line))


def is_deployed() -> bool:
    """Whether this is a flow run that a worker started for a deployment."""
    context = FlowRunContext.get()
    return context is not None and context.flow_run is not None and context.flow_run.deployment_id is not None
