"""The system calls that no command in the bubblewrap sandbox may make, as a seccomp program.

Namespaces leave a few ways open, and this closes them: memory that belongs to no process and so escapes the limits
(buffers of sockets, memfd, System V segments, shared mappings, pages given to a pipe, record locks, landlock's rules,
large access lists), what is counted for a user or the machine and not for a sandbox (inotify, keys, asynchronous I/O),
new namespaces, other processes' memory and files, and parts of the kernel that have no use in a shell but a history of
holes.

There are no sockets at all: with nobody to talk to they are of no use but as memory, of which 8,000 hold gigabytes.
"""

import platform
import struct
from collections.abc import Sequence

from leap_core.envs.intercode_bash.sandbox.backends import SandboxUnavailableError

_NEWER_CALLS = (428, 429, 430, 431, 432, 433, 442, 443, 467, 444, 445, 446, 463)
"""Alike on all machines: mounts, quotas, landlock and setxattrat, which hides its size in memory."""
_DENIED = {
    "x86_64": (
        *(319, 447, 29, 30, 31, 64, 68, 240),  # memfd_create, memfd_secret, shm*, semget, msgget, mq_open
        *(272, 308, 165, 166, 155, 161),  # unshare, setns, mount, umount2, pivot_root, chroot
        *(248, 249, 250, 321, 298, 323, 425, 426, 427),  # keys, bpf, perf, userfaultfd, io_uring
        *(246, 320, 175, 313, 176, 169, 167, 168, 163, 179, 103),  # kexec, modules, reboot, swap, acct, quota, syslog
        *(303, 304, 101, 310, 311, 312, 438),  # file handles, ptrace, process_vm*, kcmp, pidfd_getfd
        *(253, 294, 300, 278, 154, 206, 203),  # inotify, fanotify, vmsplice, modify_ldt, io_setup, sched_setaffinity
        *_NEWER_CALLS,
    ),
    "aarch64": (
        *(279, 447, 194, 195, 196, 190, 186, 180),
        *(97, 268, 40, 39, 41, 51),
        *(217, 218, 219, 280, 241, 282, 425, 426, 427),
        *(104, 294, 105, 273, 106, 142, 224, 225, 89, 60, 116),
        *(264, 265, 117, 270, 271, 272, 438),
        *(26, 262, 75, 0, 122),
        *_NEWER_CALLS,
    ),
}
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE = {"x86_64": 56, "aarch64": 220}
_MMAP = {"x86_64": 9, "aarch64": 222}
_SOCKETS = {"x86_64": (41, 53), "aarch64": (198, 199)}
_FCNTL = {"x86_64": 72, "aarch64": 25}
_SET_ATTRIBUTE = {"x86_64": (188, 189, 190), "aarch64": (5, 6, 7)}
_CLONE3 = 435
_FIRST_UNKNOWN = 471
"""Calls from here on are newer than this list; those of the x32 architecture have larger numbers still."""

_NEW_NAMESPACES = 0x7E020000
_SHARED_OR_HUGE = 0x40001
"""Flags of a mapping: MAP_SHARED, whose pages stay when nobody has them mapped in, and MAP_HUGETLB, which are not
counted. Of /dev/zero even a mapping to read makes pages, so it cannot depend on what the mapping is for."""
_RECORD_LOCKS = (6, 7, 37, 38)
"""F_SETLK, F_SETLKW and the same for open files: a process may hold any number. flock, one a file, stays."""
_SET_PIPE_SIZE = 1031
_MAX_ATTRIBUTE_BYTES = 1024
"""An access list of 64 kB on each file would be gigabytes that a tmpfs does not count."""

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_OFFSET, _ARCH_OFFSET, _ARGUMENT_OFFSETS = 0, 4, (16, 24, 32, 40, 48, 56)
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSPC, _ENOLCK, _ENOSYS, _EAFNOSUPPORT = 1, 28, 37, 38, 97


def make_filter(machine: str | None = None) -> bytes:
    """Assemble the program for a kind of machine (as `uname -m` says; none: this one).

    Raises:
        SandboxUnavailableError: the numbers of its system calls are not known.
    """
    name = machine or platform.machine()
    if name not in _DENIED:
        raise SandboxUnavailableError(
            f"the system calls of {name!r} machines are not known; {', '.join(_DENIED)} are. Use the docker backend."
        )
    lines = [
        _line(_LOAD, _ARCH_OFFSET),
        _line(_EQUAL, _AUDIT_ARCH[name], if_true=1),
        _line(_RETURN, _KILL),  # calls of another architecture have other numbers
        _line(_LOAD, _NUMBER_OFFSET),
        *_refuse(_line(_AT_LEAST, _FIRST_UNKNOWN, if_false=1), _ENOSYS),
        *_refuse(_line(_EQUAL, _CLONE3, if_false=1), _ENOSYS),  # its flags cannot be read; libc then uses clone
    ]
    for number in _DENIED[name]:
        lines += _refuse(_line(_EQUAL, number, if_false=1), _EPERM)
    for number in _SOCKETS[name]:
        lines += _refuse(_line(_EQUAL, number, if_false=1), _EAFNOSUPPORT)
    lines += [
        *_refuse_argument(_CLONE[name], 0, [(_ANY_BIT, _NEW_NAMESPACES, _EPERM)]),
        *_refuse_argument(_MMAP[name], 3, [(_ANY_BIT, _SHARED_OR_HUGE, _EPERM)]),
        *_refuse_argument(
            _FCNTL[name], 1, [*((_EQUAL, lock, _ENOLCK) for lock in _RECORD_LOCKS), (_EQUAL, _SET_PIPE_SIZE, _EPERM)]
        ),
    ]
    for number in _SET_ATTRIBUTE[name]:
        lines += _refuse_argument(number, 3, [(_AT_LEAST, _MAX_ATTRIBUTE_BYTES, _ENOSPC)])
    lines.append(_line(_RETURN, _ALLOW))
    return b"".join(lines)


def _refuse(test: bytes, error: int) -> tuple[bytes, bytes]:
    """Fail the call with an error where `test` holds; it must jump over one line where it does not."""
    return test, _line(_RETURN, _FAIL | error)


def _refuse_argument(number: int, argument: int, tests: Sequence[tuple[int, int, int]]) -> list[bytes]:
    """Fail a call where a test (of which kind, against what, with which error) holds of an argument; else allow it.

    Arguments are counted from 0. Only their lower half is looked at: the kernel itself refuses what needs the upper.
    """
    lines = [_line(_LOAD, _ARGUMENT_OFFSETS[argument])]
    for kind, value, error in tests:
        lines += _refuse(_line(kind, value, if_false=1), error)
    lines.append(_line(_RETURN, _ALLOW))
    return [_line(_EQUAL, number, if_false=len(lines)), *lines]


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction; jumps are counted in lines to skip."""
    return struct.pack("=HBBI", code, if_true, if_false, value)
