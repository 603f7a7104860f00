"""The seccomp program, run by a small interpreter of its own on system calls."""

import struct

import pytest

from leap_core.envs.intercode_bash.sandbox.backends import SandboxUnavailableError
from leap_core.envs.intercode_bash.sandbox.seccomp import make_filter

X86, ARM, I386 = 0xC000003E, 0xC00000B7, 0x40000003
ALLOWED, KILLED = 0x7FFF0000, 0x80000000
EPERM, ENOSPC, ENOLCK, ENOSYS, EAFNOSUPPORT = (0x00050000 | error for error in (1, 28, 37, 38, 97))


def judge(program, arch, number, *arguments):
    """What the kernel would do with a call."""
    lines = [struct.unpack_from("=HBBI", program, offset) for offset in range(0, len(program), 8)]
    data = {0: number, 4: arch} | {16 + 8 * n: value & 0xFFFFFFFF for n, value in enumerate(arguments)}
    value, position = 0, 0
    while True:
        code, if_true, if_false, operand = lines[position]
        position += 1
        if code == 0x06:
            return operand
        if code == 0x20:
            value = data[operand]
            continue
        holds = {0x15: value == operand, 0x35: value >= operand, 0x45: bool(value & operand)}[code]
        position += if_true if holds else if_false


@pytest.mark.parametrize(
    ("number", "argument", "expected"),
    [
        (0, 0, ALLOWED),  # read
        (59, 0, ALLOWED),  # execve
        (56, 0x01200011, ALLOWED),  # clone, as fork does it
        (56, 0x10000011, EPERM),  # clone into a new user namespace
        (56, 0x00020011, EPERM),  # ... mount namespace
        (435, 0, ENOSYS),  # clone3
        (272, 0, EPERM),  # unshare
        (308, 0, EPERM),  # setns
        (165, 0, EPERM),  # mount
        (319, 0, EPERM),  # memfd_create
        (29, 0, EPERM),  # shmget
        (101, 0, EPERM),  # ptrace
        (321, 0, EPERM),  # bpf
        (425, 0, EPERM),  # io_uring_setup
        (41, 1, EAFNOSUPPORT),  # socket: unix
        (41, 2, EAFNOSUPPORT),  # inet
        (41, 16, EAFNOSUPPORT),  # netlink
        (41, 40, EAFNOSUPPORT),  # vsock
        (53, 1, EAFNOSUPPORT),  # socketpair
        (444, 0, EPERM),  # landlock_create_ruleset
        (445, 0, EPERM),  # landlock_add_rule
        (206, 100, EPERM),  # io_setup
        (203, 0, EPERM),  # sched_setaffinity
        (463, 0, EPERM),  # setxattrat
        (470, 0, ALLOWED),  # the newest that is known
        (471, 0, ENOSYS),  # one that is not
        (310, 0, EPERM),  # process_vm_readv
        (438, 0, EPERM),  # pidfd_getfd
        (294, 0, EPERM),  # inotify_init1
        (278, 0, EPERM),  # vmsplice
        (0x40000000 | 272, 0, ENOSYS),  # the x32 way to the same calls
    ],
)
def test_calls_of_x86(number, argument, expected):
    assert judge(make_filter("x86_64"), X86, number, argument) == expected


@pytest.mark.parametrize(
    ("number", "argument", "expected"),
    [
        (63, 0, ALLOWED),
        (220, 17, ALLOWED),
        (220, 0x10000011, EPERM),
        (97, 0, EPERM),
        (198, 1, EAFNOSUPPORT),
        (199, 1, EAFNOSUPPORT),
        (0, 100, EPERM),
        (122, 0, EPERM),
        (444, 0, EPERM),
    ],
)
def test_calls_of_arm(number, argument, expected):
    assert judge(make_filter("aarch64"), ARM, number, argument) == expected


@pytest.mark.parametrize(("arch", "machine", "mmap"), [(X86, "x86_64", 9), (ARM, "aarch64", 222)])
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (0x22, ALLOWED),  # private and anonymous, as malloc does it
        (0x02, ALLOWED),  # private, of a file
        (0x21, EPERM),  # shared and anonymous
        (0x01, EPERM),  # shared, of a file: it may be /dev/zero
        (0x03, EPERM),  # shared, in the newer way
        (0x40022, EPERM),  # of huge pages
    ],
)
def test_mappings(arch, machine, mmap, flags, expected):
    assert judge(make_filter(machine), arch, mmap, 0, 4096, 3, flags) == expected


@pytest.mark.parametrize(("arch", "machine", "fcntl"), [(X86, "x86_64", 72), (ARM, "aarch64", 25)])
@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (1, ALLOWED),  # F_GETFD
        (1030, ALLOWED),  # F_DUPFD_CLOEXEC
        (1031, EPERM),  # F_SETPIPE_SZ
        *((lock, ENOLCK) for lock in (6, 7, 37, 38)),
    ],
)
def test_record_locks_and_large_pipes(arch, machine, fcntl, command, expected):
    assert judge(make_filter(machine), arch, fcntl, 3, command, 0) == expected


@pytest.mark.parametrize(
    ("arch", "machine", "numbers"), [(X86, "x86_64", (188, 189, 190)), (ARM, "aarch64", (5, 6, 7))]
)
@pytest.mark.parametrize(("size", "expected"), [(28, ALLOWED), (1023, ALLOWED), (1024, ENOSPC), (65_536, ENOSPC)])
def test_large_access_lists(arch, machine, numbers, size, expected):
    for number in numbers:
        assert judge(make_filter(machine), arch, number, 0, 0, 0, size, 0) == expected


def test_calls_of_another_architecture_kill():
    assert judge(make_filter("x86_64"), I386, 11) == KILLED


def test_an_unknown_machine_is_refused():
    with pytest.raises(SandboxUnavailableError, match="riscv64"):
        make_filter("riscv64")
