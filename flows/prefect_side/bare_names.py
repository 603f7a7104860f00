"""Lets `prefect deployment run leap-iteration` name a deployment without its flow.

Prefect wants `<flow>/<deployment>`. It loads this module as a startup plugin (entry point in pyproject.toml, switched
on there for this directory). A bare name then stands for the only deployment so named; a name with a slash goes
through untouched. Whatever goes wrong here, the slash form works: Prefect logs a plugin's failure and goes on.
"""

import sys
from typing import Any

from prefect.plugins import register_hook

PREFECT_PLUGIN_API_REQUIRES = ">=0.1,<1"


@register_hook
def setup_environment(*, ctx: Any) -> None:
    """Called by Prefect whenever it is imported here; only `prefect deployment run ...` needs, and pays for, more."""
    if {"deployment", "run"} <= set(sys.argv):
        resolve_bare_names()


def resolve_bare_names() -> None:
    """Make Prefect's client find a deployment by its bare name, in this process."""
    from prefect.client.orchestration import PrefectClient

    read_by_full_name = PrefectClient.read_deployment_by_name

    async def read_deployment_by_name(self: PrefectClient, name: str) -> Any:
        if "/" in name:
            return await read_by_full_name(self, name)
        return await read_by_full_name(self, await find_full_name(self, name))

    # Prefect has no hook for this.
    PrefectClient.read_deployment_by_name = read_deployment_by_name  # type: ignore[method-assign, assignment]


async def find_full_name(client: Any, name: str) -> str:
    """Return `<flow>/<deployment>` of the only deployment called `name`.

    Raises:
        SystemExit: there is none, or more than one; its text lists what there is.
    """
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName

    found = await _full_names(client, DeploymentFilter(name=DeploymentFilterName(any_=[name])))
    if len(found) == 1:
        return found[0]
    if found:
        raise SystemExit(f"{len(found)} deployments are called {name!r}. Name one of them: {', '.join(found)}")
    known = ", ".join(await _full_names(client, None)) or "none; make them with `prefect deploy --all --no-prompt`"
    raise SystemExit(f"There is no deployment called {name!r}. Deployments: {known}")


async def _full_names(client: Any, deployment_filter: Any) -> list[str]:
    deployments = await client.read_deployments(deployment_filter=deployment_filter)
    return sorted([f"{(await client.read_flow(each.flow_id)).name}/{each.name}" for each in deployments])
