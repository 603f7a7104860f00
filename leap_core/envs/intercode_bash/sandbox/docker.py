"""A sandbox of containers of the original's image, for exactness, driven by the command line of docker or podman.

It differs from bubblewrap. Commands are root in the container, and programs are the image's. /.git is theirs to see and
to change, git and md5sum theirs to replace: a hostile command can forge its score, though nothing outside. What it
leaves in the background lives until a later one is stopped, or the end of the episode. One file is limited in size, all
of them together only where the engine's storage has quotas.
"""

import contextlib
import functools
import shutil
import subprocess
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue

from leap_core.envs.intercode_bash.sandbox.backends import (
    CommandResult,
    KeptOutput,
    Sandbox,
    SandboxUnavailableError,
    Stopped,
    await_word,
    require,
    words,
)
from leap_core.envs.intercode_bash.sandbox.file_systems import FileSystem
from leap_core.errors import ConfigError, EnvironmentCrashError, LeapError

_PROGRAMS = ("docker", "podman")
_LIMITS = (
    *("--network", "none", "--security-opt", "no-new-privileges", "--cap-drop", "ALL"),
    *(f"--cap-add={name}" for name in ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID")),  # root's, to files of its own
    *("--memory", "1g", "--memory-swap", "1g", "--pids-limit", "128"),
    *("--ulimit", "core=0", "--ulimit", "fsize=33554432"),
    *("--ulimit", "nofile=256:256", "--ulimit", "nproc=4096:4096"),  # else podman tries to raise them
)
_RESET = "git reset --hard; git clean -fd"
_HOLD = "echo ready; while read -r _; do while kill -KILL -1; do :; done 2> /dev/null; echo ended; done"
"""What the first process of a container does: it waits for its input to be closed, and the container ends with it.

On each line it ends all other processes, until there is none. It can do so even where there is no room for another
process, and none of them can end it.
"""
_AS_ONE = ("/bin/sh", "-c", 'exec "$@" 2>&1', "sh")
"""Lets a program write output and errors into one pipe: engines have two, and between those the order is lost."""
_START_TIMEOUT_S = 60.0
_END_TIMEOUT_S = 20.0
_ENGINE_FAILED = 125
"""What docker and podman exit with if they themselves failed; a command may, too."""


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
        try:
            _program()
        except SandboxUnavailableError as error:
            return str(error)
        return None

    def build(self, file_system: FileSystem, archive: Path) -> None:
        """See that there is an image of the file system: it is its own archive."""
        require(self)
        image = self._image_of(file_system.name)
        if _call("image", "inspect", image).returncode != 0:
            raise LeapError(
                f"There is no image {image!r}. In an InterCode checkout, set file_system_version in "
                f"docker/nl2bash.Dockerfile to that of {file_system.name!r} and run "
                f"`docker build -t {image} -f docker/nl2bash.Dockerfile .`; or name yours in environment.params.image."
            )

    def open(self, file_system: str, archive: Path, born: int) -> "DockerSandbox":
        """Start a container of its image, reset as the original resets; the image has dates of its own."""
        return DockerSandbox(self._image_of(file_system))

    def _image_of(self, file_system: str) -> str:
        return self._image.format(file_system=file_system)


class DockerSandbox(Sandbox):
    """One container, alive until it is closed or this process ends."""

    def __init__(self, image: str) -> None:
        self._image = image
        self._name = f"leap-{uuid.uuid4().hex}"
        command = engine_command(
            "run", "--interactive", "--rm", "--pull", "never", "--name", self._name, *_LIMITS, image
        )
        self._holder = subprocess.Popen(
            [*command, "/bin/bash", "-c", _HOLD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self._await("ready", _START_TIMEOUT_S)
            reset = self.run(["/bin/bash", "-c", _RESET], "/", _START_TIMEOUT_S)
            if reset.exit_status != 0:
                raise EnvironmentCrashError(f"The container of {image!r} could not be reset: {words(reset.output)}")
        except BaseException:
            self.close()
            raise

    def run(self, argv: Sequence[str], directory: str, timeout_s: float) -> CommandResult:
        """Run a program in the container."""
        process = subprocess.Popen(
            engine_command("exec", "--workdir", directory, self._name, *_AS_ONE, *argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        kept = KeptOutput()
        reader = threading.Thread(target=_read, args=(process, kept), daemon=True)
        with process:
            reader.start()
            end = time.monotonic() + timeout_s
            reader.join(timeout_s)  # like the original, this waits for all that hold the output open
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = process.wait(max(0.0, end - time.monotonic()))
                result = kept.result(status, None)
                if status == _ENGINE_FAILED and self._holder.poll() is not None:
                    raise EnvironmentCrashError(f"The container of {self._image!r} is gone: {words(result.output)}")
                return result
            self._end_all()
            process.kill()
            reader.join()
            return kept.result(None, Stopped.TIMEOUT)

    def changes(self, timeout_s: float) -> str | None:
        """What `git status --short` says in the container, as in the original."""
        done = self.run(["/bin/bash", "-c", "git status --short;"], "/", timeout_s)
        return done.text if done.exit_status == 0 else None

    def look(self, script: str, timeout_s: float) -> CommandResult:
        """Run lines of shell of ours, which see all but what a command did to the repository itself."""
        return self.run(["/bin/sh", "-c", script], "/", timeout_s)

    def close(self) -> None:
        """End the container, which removes it. Safe to call twice."""
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._holder.stdin.close()
        try:
            self._holder.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            _call("kill", self._name)
            self._holder.kill()
            self._holder.wait()
        self._holder.stdout.close()

    def _end_all(self) -> None:
        """End every process of the container but its first."""
        assert self._holder.stdin is not None
        try:
            self._holder.stdin.write(b"\n")
            self._holder.stdin.flush()
        except BrokenPipeError as error:
            raise EnvironmentCrashError(f"The container of {self._image!r} is gone.") from error
        self._await("ended", _END_TIMEOUT_S)

    def _await(self, word: str, timeout_s: float) -> None:
        """Wait until the first process says a word."""
        said = await_word(word, self._holder, timeout_s)
        if said is not None:
            raise EnvironmentCrashError(
                f"The container of {self._image!r} did not answer {word!r} within {timeout_s:g} s: "
                f"{said or 'nothing came'}"
            )


def _read(process: subprocess.Popen[bytes], kept: KeptOutput) -> None:
    """Read all that a program says while it is waited for."""
    assert process.stdout is not None
    while chunk := process.stdout.read1():  # type: ignore[attr-defined]
        kept.add(chunk)


@functools.cache
def _program() -> str:
    """The first of docker and podman that answers.

    Raises:
        SandboxUnavailableError: none does; says why, and what to do.
    """
    reasons = []
    for program in filter(None, map(shutil.which, _PROGRAMS)):
        answer = subprocess.run([program, "info"], capture_output=True, stdin=subprocess.DEVNULL, check=False)
        if answer.returncode == 0:
            return program
        why = words(answer.stderr) or f"exit status {answer.returncode}"
        reasons.append(f"`{program} info` fails ({why}). Start its service, or allow this user to use it.")
    raise SandboxUnavailableError(
        " ".join(reasons) or "neither docker nor podman is installed. Install one: `sudo apt-get install podman`."
    )


def engine_command(*arguments: str) -> list[str]:
    """A command of the engine, whose warnings are not to be mixed with what the program in the container says."""
    return [_program(), "--log-level", "error", *arguments]


def _call(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(engine_command(*arguments), capture_output=True, stdin=subprocess.DEVNULL, check=False)
