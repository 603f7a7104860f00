"""A Prefect server for the length of one command, with its data below the home.

Prefect can start one by itself, but that one outlives a killed command, fills the terminal when it fails, and is
started again without end where its database is damaged or the disk is full. This one ends with the command however
that ends, and a database that it cannot open is set aside: it holds the history of runs, no result.
"""

import atexit
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from leap_core.errors import LeapError

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 5.0
DATABASE = "prefect.db"
LOG = "server.log"
_SETTINGS = {
    "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
    "PREFECT_UI_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "ERROR",
    "PREFECT_LOGGING_SERVER_LEVEL": "ERROR",
}


class OwnServer:
    """A server whose data is in `directory`: an address first, and once started a process behind it.

    Prefect reads the address when it is imported, which is needed to find out whether there is anything to start for.
    """

    def __init__(self, directory: Path) -> None:
        """Take a free port, held from here on so that nobody else gets it. `url` is that of the API."""
        self._directory = directory
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/api"

    def start(self) -> None:
        """Start it, and wait until it answers; it ends when this process does.

        Raises:
            LeapError: it does not start, even with an empty database.
        """
        log = self._directory / LOG
        process = self._spawn(log)
        if not _answers(process, self.url):
            _set_database_aside(self._directory)
            process = self._spawn(log)
            if not _answers(process, self.url):
                raise LeapError(
                    f"Prefect's server does not start: {_last_line(log)} All it said is in {log}. "
                    "Mend that, or start one yourself (`prefect server start`) and set PREFECT_API_URL."
                )
        self._listener.close()
        atexit.register(_stop, process)

    def _spawn(self, log_file: Path) -> subprocess.Popen[bytes]:
        descriptor = self._listener.fileno()
        others = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}  # it is that itself
        with log_file.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "flows.server", str(descriptor), str(os.getpid())],
                env={**others, **_SETTINGS, "PREFECT_HOME": str(self._directory)},
                cwd=Path(__file__).parents[1],
                pass_fds=[descriptor],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is the command's to handle; it still needs the server then
            )


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
    """Whether there is a server behind an API's URL, whatever it answers."""
    try:
        urllib.request.urlopen(f"{url}/health", timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _set_database_aside(directory: Path) -> None:
    aside = directory / f"damaged-{time.time_ns()}"
    for path in sorted(directory.glob(f"{DATABASE}*")):
        aside.mkdir(exist_ok=True)
        path.rename(aside / path.name)


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    causes = [line for line in lines if "Error" in line.partition(" ")[0]]
    return next(reversed(causes or lines), "It said nothing.")


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
