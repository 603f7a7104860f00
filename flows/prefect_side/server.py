"""A Prefect server for the length of one command, with its data below the home.

Prefect can start one by itself, but that one outlives a killed command, fills the terminal when it fails, and is
started again without end where its database is damaged or the disk is full. This one ends with the command however
that ends, is started again should it be killed, and sets a database aside only where SQLite itself calls it damaged: it
holds the history of runs, no result. Runs on one home that begin together wait for each other's start: the first
migrates the database for all.
"""

import atexit
import http.client
import ipaddress
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from leap_core.disk.files import disk_errors
from leap_core.disk.locks import file_lock
from leap_core.errors import LeapError

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 5.0
DATABASE = "prefect.db"
LOG = "server.log"
LOCK = "server.lock"
LOCKED_TIMEOUT_S = 300.0
"""A database that another process keeps locked is waited for as long."""
MAX_RESTARTS = 3
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_GATEWAY = {502, 503, 504}
"""What a proxy says in place of a server that it does not reach."""
_SETTINGS = {
    # Relative to the server's directory: a path may hold what means something else in a URL.
    "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{DATABASE}",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
    "PREFECT_UI_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "ERROR",
    "PREFECT_LOGGING_SERVER_LEVEL": "ERROR",
}


class OwnServer:
    """A server whose data is in `directory`: an address first, and once started a process behind it.

    Prefect reads the address when it is imported, which is needed to find out whether there is anything to start for.
    """

    def __init__(self, directory: Path, log: Callable[[str], object]) -> None:
        """Take a free port, held from here on so that nobody else gets it. `url` is that of the API."""
        self._directory = directory
        self._log = log
        self._is_ending = False
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/api"

    def start(self) -> None:
        """Start it, and wait until it answers; it ends when this process does, and not before.

        Raises:
            LeapError: it does not start, or another process keeps its database locked.
        """
        with disk_errors(self._directory), file_lock(self._directory / LOCK, self._log):
            set_damaged_aside(self._directory, self._log)
            wait_until_free(self._directory / DATABASE, self._log)
            self._process = self._spawn()
            if not _answers(self._process, self.url):
                raise LeapError(
                    f"Prefect's server does not start: {_last_line(self._log_file)} Its output is in "
                    f"{self._log_file}. Mend that, or start one yourself (`prefect server start`) and set "
                    f"PREFECT_API_URL. Its database {self._directory / DATABASE} holds the history of runs, no result."
                )
        atexit.register(self._end)
        threading.Thread(target=self._keep_up, daemon=True).start()

    @property
    def _log_file(self) -> Path:
        return self._directory / LOG

    def _keep_up(self) -> None:
        """Start it again on the same socket whenever it ends: requests wait there meanwhile."""
        for _ in range(MAX_RESTARTS):
            self._process.wait()
            if self._is_ending:
                return
            self._log("Prefect's server ended in the middle of the run, and is started again.")
            self._process = self._spawn()
        self._process.wait()
        self._listener.close()  # pending requests are refused at once

    def _end(self) -> None:
        self._is_ending = True
        _stop(self._process)

    def _spawn(self) -> subprocess.Popen[bytes]:
        descriptor = self._listener.fileno()
        with self._log_file.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "flows.prefect_side.server", str(descriptor), str(os.getpid())],
                env=_server_environment(self._directory),
                cwd=self._directory,
                pass_fds=[descriptor],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is the command's to handle; it still needs the server then
            )


def _server_environment(directory: Path) -> dict[str, str]:
    """That of this process, without whatever says how another Prefect server should be."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    code = os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), others.get("PYTHONPATH"))))
    return {**others, **_SETTINGS, "PYTHONPATH": code, "PREFECT_HOME": str(directory)}


def _answers(process: subprocess.Popen[bytes], url: str) -> bool:
    """Wait until the server answers; False where it ended instead, or took too long and was ended."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        if is_answering(url):
            return True
        time.sleep(0.05)
    _stop(process)
    return False


def is_answering(url: str) -> bool:
    """Whether there is a server behind an API's URL, whatever it answers. Loopback addresses bypass proxies."""
    handlers = [urllib.request.ProxyHandler({})] if is_loopback(url) else []
    try:
        urllib.request.build_opener(*handlers).open(f"{url}/health", timeout=5).close()
    except urllib.error.HTTPError as error:
        return error.code not in _GATEWAY
    except (OSError, ValueError, http.client.HTTPException):
        return False
    return True


def is_loopback(url: str) -> bool:
    """Whether a URL is one of this machine."""
    try:
        host = urllib.parse.urlsplit(url).hostname or ""
        return host in LOOPBACK or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def set_damaged_aside(directory: Path, log: Callable[[str], object]) -> None:
    """Move a database away that SQLite calls damaged, with all that belongs to it, and say so."""
    why = find_damage(directory / DATABASE)
    if why is None:
        return
    aside = directory / f"damaged-{time.time_ns()}"
    aside.mkdir()
    for path in sorted(directory.glob(f"{DATABASE}*")):
        path.rename(aside / path.name)
    log(f"Prefect's database was damaged ({why}). It is kept in {aside}; a new one is begun. No result was in it.")


def find_damage(database: Path, patience_s: float = 5.0) -> str | None:
    """What SQLite finds wrong with a database. One that is missing, empty, locked or of another version is whole."""
    if not database.is_file():
        return None
    try:
        address = f"{database.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=patience_s)) as connection:
            found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as error:
        # The lowest byte is the kind of error.
        return str(error) if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED else None
    return None if found == "ok" else found


def wait_until_free(database: Path, log: Callable[[str], object], timeout_s: float = LOCKED_TIMEOUT_S) -> None:
    """Wait while another process holds the database locked.

    Raises:
        LeapError: it does so for longer than `timeout_s`.
    """
    if not database.is_file() or not _is_locked(database, 1.0):
        return
    log(f"Waiting for {database}, which another process has locked.")
    deadline = time.monotonic() + timeout_s
    while _is_locked(database, min(5.0, timeout_s)):
        if time.monotonic() >= deadline:
            raise LeapError(
                f"Another process has kept Prefect's database {database} locked for {timeout_s:.0f} s. End it "
                "(`fuser` names it), or choose another --home. Nothing was changed."
            )


def _is_locked(database: Path, patience_s: float) -> bool:
    with closing(sqlite3.connect(database, timeout=patience_s, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
        connection.execute("ROLLBACK")
    return False


def _last_line(path: Path) -> str:
    lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    causes = [line for line in lines if "Error" in line.partition(" ")[0]]
    return next(reversed(causes or lines), "It printed nothing.")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _serve(descriptor: int, parent: int) -> None:
    """Serve Prefect's API on a socket that the parent has bound."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    import uvicorn
    from prefect.server.api.server import create_app

    uvicorn.run(create_app(ephemeral=True, final=True), fd=descriptor, log_level="error")


def _end_with(parent: int) -> None:
    """End this process as soon as its parent has ended, even by `kill -9`."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_TIMEOUT_S)
    os._exit(1)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))
