"""The kernel as a command in the bubblewrap sandbox meets it: what it shows, what it refuses, what memory it gives."""

import json
import platform
from pathlib import Path

import pytest
from intercode_sandboxes import needs_sandbox, run

pytestmark = [needs_sandbox, pytest.mark.slow]

EPERM, ENXIO, ENOSPC, EROFS, ENOLCK, EAFNOSUPPORT = 1, 6, 28, 30, 37, 97
CALLS = {
    "ptrace": 101,
    "mount": 165,
    "add_key": 248,
    "keyctl": 250,
    "unshare": 272,
    "inotify_init1": 294,
    "perf_event_open": 298,
    "fanotify_init": 300,
    "io_setup": 206,
    "setns": 308,
    "process_vm_readv": 310,
    "memfd_create": 319,
    "bpf": 321,
    "userfaultfd": 323,
    "io_uring_setup": 425,
    "pidfd_getfd": 438,
    "landlock_create_ruleset": 444,
    "memfd_secret": 447,
}
"""Numbers of system calls on x86-64."""
ATTEMPTS = """
import ctypes, fcntl, json, mmap, os, socket, sys, tempfile, termios
libc = ctypes.CDLL(None, use_errno=True)

def call(*arguments):
    if libc.syscall(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")

def clone_into(flag):
    call(56, flag | 17, 0, 0, 0, 0)

attempts = {name: (lambda number=number: call(number, 0, 0, 0, 0, 0)) for name, number in CALLS.items()}
attempts |= {
    "clone into a user namespace": lambda: clone_into(0x10000000),
    "clone into a mount namespace": lambda: clone_into(0x00020000),
    "unix socket": lambda: socket.socket(socket.AF_UNIX),
    "unix sockets": lambda: socket.socketpair(),
    "inet socket": lambda: socket.socket(socket.AF_INET),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "vsock": lambda: socket.socket(socket.AF_VSOCK),
    "packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "ciphers of the kernel": lambda: socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET),
    "raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
    "keys typed into a terminal": lambda: fcntl.ioctl(open("/dev/tty"), termios.TIOCSTI, b"x"),
    "System V memory": lambda: call(29, 0, 1 << 20, 0o1600),
    "shared memory without a file": lambda: mmap.mmap(-1, 1 << 20),
    "shared memory of /dev/zero": lambda: mmap.mmap(os.open("/dev/zero", os.O_RDONLY), 1 << 20, prot=mmap.PROT_READ),
    "record lock": lambda: fcntl.lockf(tempfile.TemporaryFile(), fcntl.LOCK_EX),
    "larger pipe": lambda: fcntl.fcntl(os.pipe()[0], 1031, 1 << 20),
    "large attribute": lambda: os.setxattr("/tmp", "user.x", bytes(1024)),
    "memory of the first process": lambda: open("/proc/1/mem", "r+b"),
    "a lower score for the killer of processes": lambda: open("/proc/self/oom_score_adj", "w").write("0"),
    "real-time priority": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
    "another user": lambda: os.setuid(0),
}
found = {}
for name, attempt in attempts.items():
    try:
        attempt()
        found[name] = 0
    except OSError as error:
        found[name] = error.errno
print(json.dumps(found))
"""


def test_what_the_kernel_refuses(sandbox):
    if platform.machine() != "x86_64":
        pytest.skip("the numbers of system calls are those of x86-64")
    if run(sandbox, "python3 -c pass").exit_status != 0:
        pytest.skip("there is no python3 in /usr to try this with")
    done = sandbox.run(["/usr/bin/python3", "-c", f"CALLS = {CALLS}\n{ATTEMPTS}"], "/", 20)
    errors = json.loads(done.output)
    others = {
        **dict.fromkeys(("unix socket", "unix sockets", "inet socket", "netlink"), EAFNOSUPPORT),
        **dict.fromkeys(("vsock", "packets", "ciphers of the kernel", "raw socket"), EAFNOSUPPORT),
        "record lock": ENOLCK,
        "large attribute": ENOSPC,
        **dict.fromkeys(("memory of the first process", "a lower score for the killer of processes"), EROFS),
        "keys typed into a terminal": ENXIO,
        "another user": 22,  # EINVAL: there is no other
    }
    assert errors == {name: others.get(name, EPERM) for name in errors}
    assert len(errors) == len(CALLS) + 21


# ---- what a command sees of its sandbox


def test_no_process_is_the_sandboxs_own(sandbox):
    seen = run(
        sandbox, "sleep 0; for p in /proc/[0-9]*; do readlink $p/exe; tr '\\0' ' ' < $p/cmdline; echo; done"
    ).output
    script = "sleep 0; for p in"
    lines = [line.partition(script)[0].strip() for line in seen.decode().splitlines()]
    shells = ["/bin/bash", "/bin/bash -s -- / /bin/bash -c"], ["/bin/bash", "/bin/bash -c"]
    assert lines[:6] == [*shells[0], "/bin/cat", "/bin/cat", *shells[1]]
    assert b"bwrap" not in seen


def test_open_files_of_all_processes(sandbox):
    found = run(sandbox, "for fd in /proc/[0-9]*/fd/*; do readlink $fd; done | cut -d: -f1 | sort -u").output
    assert set(found.split()) <= {b"pipe", b"/dev/null"}


def test_mounts_tell_of_no_place_but_the_programs(sandbox):
    """The kernel shows where a mount comes from; so nothing may be mounted whose place would tell anything."""
    for line in run(sandbox, "cat /proc/self/mountinfo").output.decode().splitlines():
        root, where, options, *rest = line.split()[3:]
        if rest[-2] in ("sandbox", "proc", "tmpfs", "devpts") or where.startswith(("/dev/", "/proc/")):
            continue
        assert where.startswith(("/usr", "/bin", "/sbin", "/lib", "/etc/alternatives", "/etc/ld.so.cache"))
        assert root.endswith((where, f"/usr{where}"))
        assert "ro" in options.split(",")


@pytest.mark.parametrize("name", ["cmdline", "config.gz", "kallsyms", "keys", "key-users"])
def test_what_is_hidden_of_the_kernel(sandbox, name):
    if not Path("/proc", name).exists():
        pytest.skip(f"this kernel has no /proc/{name}")
    assert run(sandbox, f"cat /proc/{name}").output == f"cat: /proc/{name}: Permission denied\n".encode()


def test_no_terminal_can_be_made(sandbox):
    """The machine has some thousands, for all that run on it together."""
    assert run(sandbox, "cat /dev/ptmx").output == b"cat: /dev/ptmx: Permission denied\n"
    assert run(sandbox, "cat /dev/tty").exit_status != 0


def test_proc_cannot_be_written_to(sandbox):
    for path in (
        "sys/kernel/msgmax",
        "sys/kernel/core_pattern",
        "self/comm",
        "1/oom_score_adj",
        "self/coredump_filter",
    ):
        assert b"Read-only" in run(sandbox, f"echo 1 > /proc/{path}").output
    assert run(sandbox, "echo to itself > /proc/self/fd/1").output == b"to itself\n"


# ---- rights


def test_programs_that_become_another_user_do_not(sandbox):
    as_root = "/yard/bash -p -c 'id -u; grep -E \"Cap(Prm|Eff|Inh|Amb)\" /proc/self/status | cut -f2 | sort -u'"
    seen = run(sandbox, f"cp /bin/bash /yard/bash; chmod 6755 /yard/bash; {as_root}").output
    assert seen == b"65534\n0000000000000000\n"
    assert run(sandbox, "su -c true").exit_status != 0


def test_a_crash_leaves_no_memory_behind(sandbox):
    result = run(sandbox, "cd /yard; ulimit -Hc unlimited; ulimit -c unlimited; kill -SEGV $$")
    assert result.exit_status == 128 + 11
    assert run(sandbox, "ls /yard").output == b"a.txt\nold.txt\nsub\n"


def test_links_cannot_be_made_to_files_of_the_host(sandbox):
    assert run(sandbox, "ln /usr/bin/env /yard/env").exit_status != 0
    assert run(sandbox, "ln /etc/alternatives/awk /yard/awk").exit_status != 0


# ---- what is left of a process


def test_processes_without_a_parent_are_laid_to_rest(sandbox):
    seen = run(sandbox, "for i in $(seq 300); do (true &); done; echo /proc/[0-9]* | wc -w").output
    assert int(seen) < 10


def test_the_word_of_a_signal_is_the_shells_that_ran_it(sandbox):
    result = run(sandbox, "kill -KILL $$")
    assert (result.output, result.exit_status) == (b"", 128 + 9)


def test_nothing_is_left_open_here(sandbox):
    run(sandbox, "true")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        run(sandbox, "echo hello")
        run(sandbox, "sleep 9", 0.1)
        sandbox.changes(10)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before  # other tests' may be closed meanwhile


def test_an_argument_that_is_too_long(sandbox):
    assert run(sandbox, "#" + "x" * 131_000).exit_status == 0
    with pytest.raises(ValueError, match="131071"):
        run(sandbox, "#" + "é" * 70_000)
