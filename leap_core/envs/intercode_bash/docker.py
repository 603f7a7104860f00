"""The sandbox made of containers of the original's image, for exactness; by the command line of docker or podman.

It differs from bubblewrap: commands are root in the container, programs are the image's, /.git is theirs to see and to
change, and what a command leaves in the background lives until the next one that is stopped, or the end of the episode.
"""

import shlex
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue

from leap_core.envs.intercode_bash.file_systems import FileSystem
from leap_core.envs.intercode_bash.sandbox import OUTPUT_LIMIT_BYTES, CommandResult, Stopped, require
from leap_core.errors import ConfigError, EnvironmentCrashError, LeapError

_LIMITS = (
    *("--network", "none", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *(
        "--memory",
        "1g",
        "--memory-swap",
        "1g",
        "--pids-limit",
        "128",
        "--ulimit",
        "core=0",
        "--ulimit",
        "fsize=33554432",
    ),
)
_RESET = "git reset --hard; git clean -fd"
_START_TIMEOUT_S = 60.0
_END_ALL = ("/bin/bash", "-c", "kill -KILL -1")


class DockerBackend:
    """Makes containers of an image for each file system.

    Params: `image`, a name in which `{file_system}` stands for the file system's.
    """

    name = "docker"

    def __init__(self, params: Mapping[str, JsonValue]) -> None:
        self._image = str(params["image"])
        try:
            self._image.format(file_system="")
        except (KeyError, IndexError, ValueError) as error:
            raise ConfigError(
                f"environment.params.image is {self._image!r}: only {{file_system}} may stand in braces."
            ) from error

    def problem(self) -> str | None:
        """Why no container can be made here, and what to do about it."""
        program = _program()
        if program is None:
            return "neither docker nor podman is installed. Install one: `sudo apt-get install podman`."
        answer = subprocess.run([program, "info"], capture_output=True, check=False)
        if answer.returncode != 0:
            said = answer.stderr.decode("utf-8", errors="replace").strip()
            last = said.splitlines()[-1] if said else f"exit status {answer.returncode}"
            return f"`{program} info` fails ({last}). Start its service, or allow this user to use it."
        return None

    def build(self, file_system: FileSystem, archive: Path) -> None:
        """See that there is an image of the file system: it is its own archive.

        Raises:
            SandboxUnavailableError: no container can be made here.
            LeapError: there is no such image.
        """
        require(self)
        image = self._image_of(file_system.name)
        if subprocess.run([_required(), "image", "inspect", image], capture_output=True, check=False).returncode != 0:
            raise LeapError(
                f"There is no image {image!r}. In an InterCode checkout, set file_system_version in "
                f"docker/nl2bash.Dockerfile to that of {file_system.name!r} and run "
                f"`docker build -t {image} -f docker/nl2bash.Dockerfile .`; or name yours in environment.params.image."
            )

    def open(self, file_system: str, archive: Path, born: int) -> "DockerSandbox":
        """Start a container of its image, reset as the original resets; the image has dates of its own."""
        return DockerSandbox(_required(), self._image_of(file_system))

    def _image_of(self, file_system: str) -> str:
        return self._image.format(file_system=file_system)


class DockerSandbox:
    """One container, alive until it is closed."""

    def __init__(self, program: str, image: str) -> None:
        self._program = program
        command = [program, "run", "--detach", "--rm", "--init", *_LIMITS, image, "sleep", "infinity"]
        started = subprocess.run(command, capture_output=True, check=False, timeout=_START_TIMEOUT_S)
        if started.returncode != 0:
            said = started.stderr.decode("utf-8", errors="replace").strip()
            raise EnvironmentCrashError(f"No container could be started of {image!r}: {said}")
        self._container: str | None = started.stdout.decode().strip()
        reset = self.run(["/bin/bash", "-c", _RESET], "/", _START_TIMEOUT_S)
        if reset.exit_status != 0:
            self.close()
            raise EnvironmentCrashError(
                f"The container of {image!r} could not be reset: {reset.output.decode('utf-8', errors='replace')}"
            )

    def run(self, argv: Sequence[str], directory: str, timeout_s: float) -> CommandResult:
        """Run a program in the container."""
        if self._container is None:
            raise EnvironmentCrashError("The container was closed: reset first.")
        command = [self._program, "exec", "--workdir", directory, self._container, *argv]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
        with process:
            reader = _Reader(process)
            reader.start()
            try:
                status = process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._end_all()
                process.kill()
                reader.join()
                return reader.result(None, Stopped.TIMEOUT)
            reader.join()
            return reader.result(status, None)

    def changes(self, timeout_s: float) -> str | None:
        """What `git status --short` says in the container, as in the original."""
        done = self.run(["/bin/bash", "-c", "git status --short;"], "/", timeout_s)
        return done.output.decode("utf-8", errors="surrogateescape") if done.exit_status == 0 else None

    def digests(self, paths: Sequence[Sequence[str]], timeout_s: float) -> list[str | None]:
        """What `md5sum` says about each group of paths; None for all where it does not end in time."""
        script = "; ".join(f"{shlex.join(['md5sum', *group])}; printf '\\0'" for group in paths)
        done = self.run(["/bin/sh", "-c", script], "/", timeout_s)
        found = done.output.decode("utf-8", errors="surrogateescape").split("\0")[:-1]
        return list(found) if len(found) == len(paths) else [None] * len(paths)

    def close(self) -> None:
        """Remove the container. Safe to call twice."""
        if self._container is not None:
            subprocess.run([self._program, "rm", "--force", self._container], capture_output=True, check=False)
            self._container = None

    def _end_all(self) -> None:
        """End every process of the container but its first."""
        subprocess.run([self._program, "exec", str(self._container), *_END_ALL], capture_output=True, check=False)


class _Reader(threading.Thread):
    """Reads the output of a program while it is waited for."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(daemon=True)
        self._process = process
        self._kept = bytearray()
        self._num_dropped = 0

    def run(self) -> None:
        """Read to the end; keep what there is room for."""
        assert self._process.stdout is not None
        while chunk := self._process.stdout.read1():  # type: ignore[attr-defined]
            room = OUTPUT_LIMIT_BYTES - len(self._kept)
            self._kept += chunk[:room]
            self._num_dropped += max(0, len(chunk) - room)

    def result(self, status: int | None, stopped: Stopped | None) -> CommandResult:
        """What came of the program."""
        return CommandResult(
            output=bytes(self._kept), num_dropped=self._num_dropped, exit_status=status, stopped=stopped
        )


def _program() -> str | None:
    return shutil.which("docker") or shutil.which("podman")


def _required() -> str:
    program = _program()
    if program is None:
        raise EnvironmentCrashError("Neither docker nor podman is installed. Run `leap doctor intercode`.")
    return program
