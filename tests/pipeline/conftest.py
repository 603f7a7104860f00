"""A private Prefect server for the pipeline's tests."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def prefect_server():
    """Run against a temporary server and database, and keep Prefect's own lines out of the way."""
    from prefect.settings import (
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_LOGGING_LEVEL,
        PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW,
        temporary_settings,
    )
    from prefect.testing.utilities import prefect_test_harness

    settings = {
        PREFECT_LOGGING_LEVEL: "CRITICAL",
        PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore",
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,  # its thread costs every flow run a second
    }
    with temporary_settings(settings), prefect_test_harness():
        yield
