"""Which Prefect server a command line reports to, and settings that must stand before Prefect is imported."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.server import DATABASE, OwnServer, is_answering
from leap_core.errors import ArtifactError, LeapError
from leap_core.files import disk_errors, is_full

MIN_FREE_BYTES = 50_000_000
"""A run does not begin with less: Prefect's database alone would fill it."""
_FULL_BYTES = 1_000_000
"""With less than that, whatever failed probably failed for want of room."""


def provide_server(home: Path, look_ahead: Callable[[], str] | None = None) -> None:
    """Make sure that a Prefect server answers: the one that the user points to, else one of our own.

    `look_ahead` comes before a server is started, which takes its time, and may import Prefect: it raises what can be
    known by then to go wrong, and returns what is to be done, in words. Both are said as they begin.

    Raises:
        ArtifactError: the home cannot be written, or its disk is nearly full.
        LeapError: the server does not answer, or ours does not start; or what `look_ahead` raises.
    """
    set_up_prefect(home)
    free = shutil.disk_usage(home).free
    if free < MIN_FREE_BYTES:
        raise ArtifactError(_no_room(home))
    url, own = os.environ.get("PREFECT_API_URL"), None
    if not has_server():
        own = OwnServer(Path(os.environ["PREFECT_HOME"]))
        os.environ["PREFECT_API_URL"] = own.url
    elif url and not is_answering(url):
        raise LeapError(
            f"The Prefect server {url} does not answer. Start it (`prefect server start`), or unset PREFECT_API_URL: "
            "each run then starts its own for its length."
        )
    if look_ahead is not None:
        _say(f"Looking at what is in {home} ...")
        _say(look_ahead())
    if own is not None:
        new = "" if (Path(os.environ["PREFECT_HOME"]) / DATABASE).exists() else " with a new database"
        _say(f"Starting a Prefect server{new} for the length of this command ...")
        own.start()


def _say(line: str) -> None:
    """Show a line at once; standard output is kept for results."""
    print(line, file=sys.stderr, flush=True)


def set_up_prefect(home: Path) -> None:
    """Keep Prefect's data below `home`, unless the user has a place for it, and its own lines out of the terminal.

    Raises:
        ArtifactError: the home cannot be written.
    """
    with disk_errors(home):
        home.mkdir(parents=True, exist_ok=True)
    settings = {"PREFECT_LOGGING_LEVEL": "CRITICAL"}  # the run says itself what happens
    if not has_server():
        directory = Path(os.environ.get("PREFECT_HOME", home / "prefect"))
        with disk_errors(directory):
            directory.mkdir(parents=True, exist_ok=True)
        settings["PREFECT_HOME"] = str(directory)
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def has_server() -> bool:
    """Whether the environment, or a profile of Prefect's, names an API."""
    if os.environ.get("PREFECT_API_URL"):
        return True
    profiles = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser() / "profiles.toml"
    return profiles.is_file() and "PREFECT_API_URL" in profiles.read_text(encoding="utf-8")


@contextmanager
def plain_errors(home: Path) -> Iterator[None]:
    """Turn what a full disk or a lost server raises, deep inside other libraries, into one message.

    Raises:
        ArtifactError: something failed, and the disk of `home` is full.
        LeapError: Prefect's server failed or was lost.
    """
    try:
        yield
    except LeapError:
        raise
    except Exception as error:
        # Libraries report a full disk in ways of their own: safetensors, torch and SQLite each another. So everything
        # is looked at here, and what is of neither kind goes on as it came.
        if is_full(error) or shutil.disk_usage(home).free < _FULL_BYTES:
            raise ArtifactError(_no_room(home)) from error
        if _is_of_server(error):
            raise LeapError(
                f"Prefect's server failed: {error}. What was finished is kept; run the same command again."
            ) from error
        raise


def _is_of_server(error: Exception) -> bool:
    from httpx import HTTPError
    from prefect.exceptions import PrefectException

    return isinstance(error, HTTPError | PrefectException)


def _no_room(home: Path) -> str:
    return (
        f"No room in {home}: {shutil.disk_usage(home).free / 1e6:.1f} MB free, and {MIN_FREE_BYTES / 1e6:.0f} MB are "
        "needed to begin. Free some space, for example with `leap artifacts gc --delete`, or choose another place with "
        "--home. What was finished before is kept."
    )
