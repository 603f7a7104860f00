"""The default backend: Linux namespaces by way of `bwrap`. It needs no daemon, no root and no image."""

import os
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from pydantic import JsonValue

from leap_core.envs.intercode_bash.sandbox.backends import SandboxUnavailableError, require, words
from leap_core.envs.intercode_bash.sandbox.file_systems import FileSystem, write_archive, write_raw_archive
from leap_core.envs.intercode_bash.sandbox.namespaces import BUILD_TIMEOUT_S, TOOLS, NamespaceSandbox, find_tool
from leap_core.envs.intercode_bash.sandbox.seccomp import make_filter
from leap_core.errors import ConfigError, EnvironmentCrashError, LeapError

_TRIAL_TIMEOUT_S = 10.0
_HOW_TO_ALLOW = (
    "Unprivileged user namespaces are needed. On Debian: `sudo sysctl kernel.unprivileged_userns_clone=1`; on Ubuntu "
    "24.04 and later: `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`; where "
    "/proc/sys/user/max_user_namespaces is 0: `sudo sysctl user.max_user_namespaces=10000`; in a container, start it "
    "with `--security-opt seccomp=unconfined --security-opt apparmor=unconfined` (docker, podman), or use a virtual "
    "machine."
)


class BubblewrapBackend:
    """Makes sandboxes with `bwrap` and util-linux.

    Params: `rootfs`, a directory whose /usr (and /bin, /lib, ...) commands see instead of the host's.
    """

    name = "bubblewrap"

    def __init__(self, params: Mapping[str, JsonValue]) -> None:
        rootfs = str(params.get("rootfs") or "/")
        self._rootfs = Path(rootfs)
        if not (self._rootfs / "usr/bin/bash").exists():
            raise ConfigError(
                f"environment.params.rootfs is {rootfs!r}, but there is no usr/bin/bash in it. Give the directory of a "
                "whole root file system (debootstrap makes one), or leave it out to use the host's /usr."
            )

    def problem(self) -> str | None:
        """Why no sandbox can be made here, and what to do about it; None where one just was."""
        if sys.platform != "linux":
            return f"it needs Linux, this is {sys.platform}. Use Linux, or the docker backend."
        missing = {package for tool, package in TOOLS.items() if find_tool(tool) is None}
        if missing:
            packages = " ".join(sorted(missing))
            return (
                f"programs are missing. Install them: `sudo apt-get install {packages}` (Debian, Ubuntu) or "
                f"`sudo dnf install {packages}` (Fedora)."
            )
        if not Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists():
            return "this kernel lacks CONFIG_PROC_CHILDREN, so memory cannot be limited. Use the docker backend."
        try:
            make_filter()
            with tempfile.TemporaryDirectory() as folder:
                archive = Path(folder, "trial.tar")
                write_raw_archive(archive, None)
                with closing(self.open("trial", archive, int(time.time()))) as sandbox:
                    trial = sandbox.run(["/usr/bin/git", "--version"], "/", _TRIAL_TIMEOUT_S)
        except SandboxUnavailableError as error:
            return str(error)
        except EnvironmentCrashError as error:
            return f"{error} {_HOW_TO_ALLOW}"
        if trial.exit_status != 0:
            return f"git does not run in it ({words(trial.output)}). Install it: `sudo apt-get install git`."
        return None

    def build(self, file_system: FileSystem, archive: Path) -> None:
        """Run the set-up script in a sandbox; keep what it makes.

        Empty directories are not kept: git does not know them, so the original's first reset removes them, too.
        """
        require(self)
        started = int(time.time()) - 1  # clocks of files are coarser than this one
        with tempfile.TemporaryDirectory() as folder:
            raw = Path(folder, "raw.tar")
            write_raw_archive(raw, file_system)
            sandbox = self.open(file_system.name, raw, started)
        with closing(sandbox):
            done = sandbox.run([f"/{file_system.script_name}"], "/", BUILD_TIMEOUT_S)
            if done.exit_status != 0:
                why = done.stopped or f"exit status {done.exit_status}"
                raise LeapError(
                    f"The set-up script {file_system.script_name!r} of file system {file_system.name!r} failed "
                    f"({why}): {words(done.output)} Mend the script."
                )
            write_archive(archive, sandbox.freeze(), started)

    def open(self, file_system: str, archive: Path, born: int) -> NamespaceSandbox:
        """Make a copy of what `build` has kept; the archive tells all, the name nothing."""
        return NamespaceSandbox(self._rootfs, archive, born)
