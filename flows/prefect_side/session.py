"""Which Prefect server a command line reports to, and settings that must stand before Prefect is imported."""

import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.prefect_side.server import DATABASE, LOOPBACK, OwnServer, is_answering
from flows.terminal import log
from leap_core.disk.files import disk_errors, is_full
from leap_core.errors import ArtifactError, LeapError

MIN_FREE_BYTES = 50_000_000
"""A run does not begin with less: Prefect's database alone would fill it."""
_FULL_BYTES = 1_000_000
"""With less than that, a failure was probably caused by the full disk."""


def provide_server(home: Path, look_ahead: Callable[[], str] | None = None) -> None:
    """Make sure that a Prefect server answers: the one that the user points to, else one of our own.

    `look_ahead` runs before a server is started, which is slow, and may import Prefect: it raises whatever can be known
    to fail by then, and returns a summary of what is to be done. Both steps are logged as they begin.

    Raises:
        ArtifactError: the home cannot be written, or its disk is nearly full.
        LeapError: the server does not answer, or ours does not start; or what `look_ahead` raises.
    """
    set_up_prefect(home)
    free = shutil.disk_usage(home).free
    if free < MIN_FREE_BYTES:
        raise ArtifactError(_no_room(home))
    url, own = server_url(), None
    if url is None:
        own = OwnServer(Path(os.environ["PREFECT_HOME"]), log)
        os.environ["PREFECT_API_URL"] = own.url
        _read_settings_again()
    elif not is_answering(url):
        raise LeapError(
            f"The Prefect server {url} does not answer. PREFECT_API_URL is set {source_of_url()}. Start that server "
            "(`prefect server start`), or unset PREFECT_API_URL: each run then starts its own for its length."
        )
    if look_ahead is not None:
        log(f"Looking at what is in {home} ...")
        log(look_ahead())
    if own is not None:
        new = "" if (Path(os.environ["PREFECT_HOME"]) / DATABASE).exists() else " with a new database"
        log(f"Starting a Prefect server{new} for the length of this command ...")
        own.start()


def set_up_prefect(home: Path) -> None:
    """Keep Prefect's data below `home`, unless the user has a place for it, and its own lines out of the terminal.

    Raises:
        ArtifactError: the home cannot be written.
    """
    with disk_errors(home):
        home.mkdir(parents=True, exist_ok=True)
    keep_loopback_from_proxies()
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")  # the run says itself what happens
    if server_url() is None:
        directory = Path(os.environ.get("PREFECT_HOME") or home / "prefect").expanduser().absolute()
        with disk_errors(directory):
            directory.mkdir(parents=True, exist_ok=True)
        os.environ["PREFECT_HOME"] = str(directory)
        _read_settings_again()


def server_url() -> str | None:
    """The API that Prefect's settings name, wherever they stand: environment, active profile, a file.

    Raises:
        LeapError: they cannot be read.
    """
    try:
        from prefect.settings import Settings

        with warnings.catch_warnings():
            # Prefect goes on without profiles that it cannot read: without the server that one of them may name.
            warnings.filterwarnings("error", message="Failed to load profiles")
            return Settings().api.url or None
    except (ValueError, UserWarning) as error:  # of TOML, of a text's coding, of a value
        raise LeapError(
            f"Prefect's settings cannot be read: {error}. They are in variables PREFECT_..., in profiles.toml of "
            "$PREFECT_HOME (else ~/.prefect), and in .env, prefect.toml and pyproject.toml here. Mend or remove that."
        ) from error


def source_of_url() -> str:
    """Where the address of the server in force is set, in words."""
    if os.environ.get("PREFECT_API_URL"):
        return "in the environment"
    from prefect.settings import Settings, load_profiles

    profiles = load_profiles()
    name = os.environ.get("PREFECT_PROFILE") or profiles.active_name
    if name in profiles.names and "PREFECT_API_URL" in profiles[name].to_environment_variables():
        return f"by the profile {name!r} in {Settings().profiles_path} (`prefect profile use` chooses another)"
    return f"by .env, prefect.toml or pyproject.toml in {Path.cwd()}"


def keep_loopback_from_proxies() -> None:
    """Add this machine to `no_proxy`, for this process and those that it starts."""
    named = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    hosts = [host.strip() for host in named.split(",") if host.strip()]
    if "*" not in hosts:
        hosts += [host for host in LOOPBACK if host not in hosts]
    # Of the two the lower case one counts, but not for every library.
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(hosts)


def _read_settings_again() -> None:
    """Let a Prefect that is imported already know what the environment says now."""
    from prefect.context import refresh_global_settings_context

    refresh_global_settings_context()


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
