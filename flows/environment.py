"""Settings of Prefect for a run from the command line; they must stand before Prefect is imported."""

import os
from pathlib import Path

from leap_core.files import disk_errors


def set_up_prefect(home: Path) -> None:
    """Use the server that the user points to, else Prefect's ephemeral mode with its data below `home`.

    Prefect's own lines are left out: the run says itself what happens.

    Raises:
        ArtifactError: the home cannot be written.
    """
    settings = {"PREFECT_LOGGING_LEVEL": "CRITICAL", "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120"}
    if not has_server():
        with disk_errors(home):
            (home / "prefect").mkdir(parents=True, exist_ok=True)  # Prefect itself makes it below an existing home only
        settings["PREFECT_HOME"] = str(home / "prefect")
        settings["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"] = "true"
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def has_server() -> bool:
    """Whether the environment or Prefect's active profile names an API."""
    if os.environ.get("PREFECT_API_URL") or os.environ.get("PREFECT_HOME"):
        return True
    profiles = Path("~/.prefect/profiles.toml").expanduser()
    return profiles.is_file() and "PREFECT_API_URL" in profiles.read_text(encoding="utf-8")
