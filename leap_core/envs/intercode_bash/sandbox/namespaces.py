"""A sandbox made of Linux namespaces: one copy of a file system, and commands in it.

A sandbox has two layers. The outer one is a process in a user and a mount namespace of its own, which does nothing
but hold a tmpfs of limited size; no command of a model ever runs there. Each command is a `bwrap` inside of it,
with pid, network, ipc, uts and user namespaces of its own, that has a directory of that tmpfs for its root. When the
command ends, the kernel ends every process of its pid namespace; when the holder ends, the files are gone. Both end
with this process, even if it is killed.

What a command sees: its files, what is in the host's (or another) /usr read-only, a small /etc, new /proc and /dev. All
directories that programs are started from are mount points, which no command can remove, rename or replace: so the
`git` and `md5sum` that look at what a model has left behind are the real ones.
"""

import functools
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from leap_core.envs.intercode_bash.sandbox.backends import (
    CommandResult,
    Sandbox,
    SandboxUnavailableError,
    await_word,
    words,
)
from leap_core.envs.intercode_bash.sandbox.memory import MemoryLimits, kernel_bytes
from leap_core.envs.intercode_bash.sandbox.processes import Watch, confine
from leap_core.envs.intercode_bash.sandbox.seccomp import make_filter
from leap_core.errors import EnvironmentCrashError

NOBODY = 65534
DISK_BYTES = 64 << 20
DISK_FILES = 16384
MEMORY_BYTES = 1 << 30
"""What all processes of a command may hold together, and by how much what the kernel holds may grow meanwhile."""
LIMITS = {
    "nproc": 64,
    "nofile": 128,
    "fsize": 32 << 20,
    "as": 2 << 30,
    "cpu": 10,
    "core": 1,  # where the host hands crashes to a program, 0 would not keep it from that, 1 does
    "memlock": 0,
    "msgqueue": 0,
    "sigpending": 1024,
}
"""Limits of one process (`man prlimit`); bytes, seconds or counts. `nproc` counts all processes of the sandbox; with
`nofile` it bounds what open files can hold, which is in no process's memory."""

_MOUNT = "/sys"
"""Where the holder mounts its tmpfs: a directory that every Linux has and that nothing here needs to see."""
_PROGRAM_FOLDERS = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""The top directories that programs and libraries are in. On most systems all but /usr are links into it."""
_EMPTY_FOLDERS = ("dev", "etc", "proc", "home", "mnt", "opt", "root", "run", "srv", "sys", "tmp", "var/log", "var/tmp")
_HIDDEN_IN_PROC = ("cmdline", "config.gz", "kallsyms", "key-users", "keys", "modules")
"""What tells of the kernel that all share, or of other users' keys. The rest of /proc is needed, or empty in here."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENVIRONMENT = {"PATH": _PATH, "HOME": "/root", "HOSTNAME": "intercode"}
TOOLS = {
    "bwrap": "bubblewrap",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "prlimit": "util-linux",
    "choom": "util-linux",
    "mount": "mount",
    "tar": "tar",
    "find": "findutils",
}
_GIT = ("/usr/bin/git", "--git-dir=/etc/git", "--work-tree=/", "--no-optional-locks", "--no-pager")
_GIT_ENVIRONMENT = {
    "HOME": "/nonexistent",  # the model's has files that git would read
    "GIT_INDEX_FILE": "/etc/index",  # the model may have filled its disk
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "intercode",
    "GIT_AUTHOR_EMAIL": "intercode@localhost",
    "GIT_AUTHOR_DATE": "2000-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "intercode",
    "GIT_COMMITTER_EMAIL": "intercode@localhost",
    "GIT_COMMITTER_DATE": "2000-01-01T00:00:00Z",
}
_IN_DIRECTORY = b"""{
cd -- "$1" 2>/dev/null || {
    printf 'OCI runtime exec failed: exec failed: unable to start container process: chdir to cwd ("%s") set in '"\
"'config.json failed: no such file or directory: unknown\\r\\n' "$1"
    exit 126
}
shift
unset OLDPWD SHLVL
exec 3> >(exec /bin/cat)
until [[ /proc/$!/exe -ef /bin/cat ]] || ! kill -0 $!; do :; done
"$@" < /dev/null >&3 2>&3 3>&-
status=$?
exec 3>&-
wait $!
exit $status
} 2> /dev/null
"""
"""Starts a program in a directory; where there is none, says what Docker says.

`cat` ends when the last process that writes there does: like Docker, this waits for what a command leaves in the
background with its output open. All else that it leaves behind is ended with it. That `cat` runs is waited for, so that
listings of processes are always the same. The shell that runs this is the first process of the sandbox; it reads it
from its standard input, so that no listing shows it.
"""
_MAX_ARGUMENT_BYTES = (128 << 10) - 1
"""The kernel's limit on one argument (`MAX_ARG_STRLEN`), without the null byte at the end."""

_HOLD = """
set -e
mount -t tmpfs -o "size=$2,nr_inodes=$3,mode=755" sandbox "$1"
cd "$1"
mkdir usr
tar -x -p --no-same-owner -f - <&"$4"
born="@$5"
shift 5
mkdir -p "$@"
find tree etc ! -newermt @0 -exec touch -h -d "$born" "$@" {} +
cd /
echo ready
read -r _
"""
"""What the holder does: it makes the copy, and then waits for its standard input to be closed."""
_FIRST_COMMIT = """
set -e
export GIT_DIR=/etc/git GIT_WORK_TREE=/
/usr/bin/git init -q --template=
mkdir -p /etc/git/info
printf '/%s\\n' "$@" > /etc/git/info/exclude
/usr/bin/git add -A
/usr/bin/git commit -q --allow-empty -m start
/usr/bin/git clean -fdq
/usr/bin/git repack -adq
rm -rf /etc/git/logs /etc/git/COMMIT_EDITMSG
"""
_OPEN_TIMEOUT_S = 20.0
BUILD_TIMEOUT_S = 120.0


class NamespaceSandbox(Sandbox):
    """One copy of a file system, alive until it is closed or this process ends."""

    def __init__(self, rootfs: Path, archive: Path, born: int) -> None:
        self._folders = [folder for folder in _PROGRAM_FOLDERS if (rootfs / folder).is_dir()]
        self._usr_folders = sorted(path.name for path in (rootfs / "usr").iterdir() if path.is_dir())
        self._rootfs = rootfs
        hidden = [f"/proc/{name}" for name in _HIDDEN_IN_PROC if Path("/proc", name).exists()]
        self._closed = ["/dev/pts/ptmx", *hidden]  # terminals are counted for the machine, the rest tells of it
        self._filter = make_filter()
        with archive.open("rb") as file:
            self._holder = self._hold(file.fileno(), born)
        try:
            said = await_word("ready", self._holder, _OPEN_TIMEOUT_S)
            if said is not None:
                raise EnvironmentCrashError(f"No sandbox could be made of {archive}: {said or 'no answer'}")
        except BaseException:
            self.close()
            raise

    def run(self, argv: Sequence[str], directory: str, timeout_s: float) -> CommandResult:
        """Run a program of the model's choice. It may put things beside the folders of /usr, as root may in Docker."""
        own = ["--bind", f"{_MOUNT}/etc", "/etc", "--bind", f"{_MOUNT}/usr", "/usr"]
        for folder in self._usr_folders:
            own += ["--ro-bind", str(self._rootfs / "usr" / folder), f"/usr/{folder}"]
        if any(len(os.fsencode(argument)) > _MAX_ARGUMENT_BYTES for argument in (directory, *argv)):
            raise ValueError(f"an argument is longer than {_MAX_ARGUMENT_BYTES} bytes")
        command = ["/bin/bash", "-s", "--", directory, *argv]
        return self._run(
            [*self._layout(writable=True, user=NOBODY), *own], command, _ENVIRONMENT, timeout_s, _IN_DIRECTORY
        )

    def changes(self, timeout_s: float) -> str | None:
        """What `git status --short` says against the first state; None where the tree keeps git from answering.

        The repository is kept where no command could write: neither its configuration nor its hooks are the model's.
        Its index is made anew, so nothing is taken for unchanged because of a date.
        """
        return self.look(
            f"{shlex.join(_GIT)} read-tree HEAD && exec {shlex.join(_GIT)} status --short", timeout_s
        ).answer

    def look(self, script: str, timeout_s: float) -> CommandResult:
        """Run lines of shell of ours over the tree."""
        return self._inspect(["/bin/sh", "-c", script], timeout_s)

    def freeze(self) -> bytes:
        """Take the present state of the tree for the first one; return it as a tar file.

        Raises:
            EnvironmentCrashError: git or tar failed.
        """
        folders = [*self._folders, *(folder.partition("/")[0] for folder in _EMPTY_FOLDERS)]
        done = self._inspect(["/bin/sh", "-c", _FIRST_COMMIT, "sh", *folders], BUILD_TIMEOUT_S, writable=True)
        if done.exit_status != 0:
            raise EnvironmentCrashError(f"git could not keep the file system: {words(done.output)}")
        left_out = [f"--exclude=tree/{folder}" for folder in self._folders]
        command = [*self._enter(), _tool("tar"), *left_out, "-C", _MOUNT, "-cf", "-", "etc", "git", "shm", "tree"]
        packed = subprocess.run(command, capture_output=True, env=_ENVIRONMENT, cwd="/", check=False, **_unprivileged())
        if packed.returncode != 0:
            raise EnvironmentCrashError(f"tar could not keep the file system: {words(packed.stderr)}")
        content: bytes = packed.stdout
        return content

    def close(self) -> None:
        """End the holder, and with it all files. Safe to call twice."""
        self._holder.kill()
        self._holder.wait()
        for stream in (self._holder.stdin, self._holder.stdout):
            if stream is not None:
                stream.close()

    def _hold(self, archive: int, born: int) -> subprocess.Popen[bytes]:
        folders = [f"tree/{folder}" for folder in (*self._folders, *_EMPTY_FOLDERS)]
        arguments = [_MOUNT, str(DISK_BYTES), str(DISK_FILES), str(archive), str(born), *folders]
        command = [
            *(_tool("unshare"), "--user", "--map-root-user", "--mount", "--propagation", "private"),
            *("/bin/bash", "-c", _HOLD, "bash", *arguments),
        ]
        return _start(command, _ENVIRONMENT, subprocess.PIPE, [archive])

    def _inspect(self, command: Sequence[str], timeout_s: float, *, writable: bool = False) -> CommandResult:
        """Run a program of ours over the tree. /etc, which steers how programs start, is not the model's here.

        It may read all of the tree, as root may in the original: no permission hides a file from the score.
        """
        own = ["--tmpfs", "/etc", "--bind" if writable else "--ro-bind", f"{_MOUNT}/git", "/etc/git"]
        own += ["--cap-drop", "ALL", "--cap-add", "CAP_DAC_READ_SEARCH"]
        layout = [*self._layout(writable=writable, user=0), *own]
        return self._run(layout, command, {**_ENVIRONMENT, **_GIT_ENVIRONMENT}, timeout_s)

    def _layout(self, *, writable: bool, user: int) -> list[str]:
        """Options of bwrap for everything but /etc; `user` is the number that the program sees itself under."""
        options = [
            *("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net"),
            *("--unshare-cgroup-try", "--uid", str(user), "--gid", str(user), "--hostname", "intercode"),
            *("--die-with-parent", "--new-session", "--as-pid-1"),  # so that no process in there is bwrap
            *("--bind" if writable else "--ro-bind", f"{_MOUNT}/tree", "/"),
        ]
        for folder in self._folders:
            options += ["--ro-bind", str(self._rootfs / folder), f"/{folder}"]
        options += ["--proc", "/proc", "--dev", "/dev", "--bind", f"{_MOUNT}/shm", "/dev/shm"]
        for path in self._closed:
            options += ["--ro-bind", "/dev/null", path]
        return [*options, "--remount-ro", "/dev", "--remount-ro", "/proc"]

    def _enter(self) -> list[str]:
        holder = str(self._holder.pid)
        return [_tool("nsenter"), "--target", holder, "--user", "--mount", "--preserve-credentials", "--"]

    def _run(
        self,
        layout: Sequence[str],
        command: Sequence[str],
        environment: Mapping[str, str],
        timeout_s: float,
        standard_input: bytes = b"",
    ) -> CommandResult:
        """Run one program in namespaces of its own, within the limits; its input must fit into a pipe."""
        for name in ("alternatives", "ld.so.cache"):  # without them, programs of the same /usr are not found
            source = self._rootfs / "etc" / name
            layout = [*layout, "--ro-bind", str(source), f"/etc/{name}"] if source.exists() else layout
        limits = MemoryLimits(own=MEMORY_BYTES, kernel=kernel_bytes() + MEMORY_BYTES)
        status_reader, status_writer = os.pipe()
        input_reader, input_writer = os.pipe()
        program = os.memfd_create("seccomp")
        try:
            os.write(input_writer, standard_input)
            os.write(program, self._filter)
            os.lseek(program, 0, os.SEEK_SET)
            limited = [
                *self._enter(),
                *(_tool("choom"), "-n", "1000", "--"),  # what the kernel ends first when memory runs out
                *(_tool("prlimit"), *(f"--{name}={value}" for name, value in LIMITS.items()), "--"),
                *(_tool("bwrap"), "--json-status-fd", str(status_writer), "--seccomp", str(program)),
            ]
            process = _start([*limited, *layout, "--", *command], environment, input_reader, [status_writer, program])
            confine(process.pid)
        except BaseException:
            os.close(status_reader)
            raise
        finally:
            for descriptor in (program, status_writer, input_reader, input_writer):
                os.close(descriptor)
        with process, os.fdopen(status_reader, "rb") as status:
            return _watch(process, status, timeout_s, limits)


def _watch(process: subprocess.Popen[bytes], status: BinaryIO, timeout_s: float, limits: MemoryLimits) -> CommandResult:
    """Follow a bwrap to its end.

    `status` is what it says of itself: a JSON object a line, first the `child-pid` and, if the program was started and
    has ended, the `exit-code` at last.
    """
    try:
        first = json.loads(status.readline() or "null")
        if first is None:
            process.kill()
            said = process.stdout.read() if process.stdout else b""
            raise EnvironmentCrashError(f"The sandbox did not start: {words(said)}")
        watch = Watch(process=process, first_pid=first["child-pid"], limits=limits)
        result = watch.wait(timeout_s)
    except BaseException:
        process.kill()
        raise
    if result.stopped is None and b"exit-code" not in status.read():
        raise EnvironmentCrashError(f"The sandbox ended before its program did: {words(result.output)}")
    return result


def _start(
    command: Sequence[str], environment: Mapping[str, str], standard_input: int, kept: Sequence[int]
) -> subprocess.Popen[bytes]:
    """Start a program as nobody; only the descriptors in `kept` stay open for it.

    Raises:
        EnvironmentCrashError: the kernel refuses.
    """
    try:
        return subprocess.Popen(
            command,
            stdin=standard_input,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=kept,
            env=environment,
            cwd="/",
            start_new_session=True,
            **_unprivileged(),
        )
    except OSError as error:
        advice = "Root becomes nobody first, and may not do so here: run this as another user." * (os.geteuid() == 0)
        raise EnvironmentCrashError(f"No sandbox could be started: {error}. {advice}".strip()) from error


def _unprivileged() -> dict[str, Any]:
    """Options of Popen: root becomes nobody first, because the kernel does not hold root to limits on processes."""
    nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    return {"umask": 0o022, **(nobody if os.geteuid() == 0 else {})}


@functools.cache
def find_tool(tool: str) -> str | None:
    """Where a tool is, looked for where the system keeps its own, not where the user's PATH may lead."""
    return shutil.which(tool, path=_PATH)


def _tool(name: str) -> str:
    path = find_tool(name)
    if path is None:
        raise SandboxUnavailableError(f"The program {name!r} is missing. Run `leap doctor intercode_bash`.")
    return path
