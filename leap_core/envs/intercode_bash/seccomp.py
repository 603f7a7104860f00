"""The system calls that no command in the bubblewrap sandbox may make, as a seccomp program.

Namespaces leave a few ways open, and this closes them: memory that belongs to no process and so escapes the limits
(memfd, System V segments, shared mappings, pages given to a pipe), sockets that no network namespace covers (AF_VSOCK
reaches a virtual machine's host), what is counted for a user and not for a sandbox (inotify, keys), new namespaces,
other processes' memory and files, and parts of the kernel that have no use in a shell but a history of holes.
"""

import platform
import struct

from leap_core.envs.intercode_bash.sandbox import SandboxUnavailableError

_DENIED = {
    "x86_64": (
        *(319, 447, 29, 30, 31, 64, 68, 240),  # memfd_create, memfd_secret, shm*, semget, msgget, mq_open
        *(272, 308, 165, 166, 155, 161),  # unshare, setns, mount, umount2, pivot_root, chroot
        *(428, 429, 430, 431, 432, 433, 442),  # the newer mount calls
        *(248, 249, 250, 321, 298, 323, 425, 426, 427),  # keys, bpf, perf, userfaultfd, io_uring
        *(246, 320, 175, 313, 176, 169, 167, 168, 163, 179, 103),  # kexec, modules, reboot, swap, acct, quota, syslog
        *(303, 304, 101, 310, 311, 312, 438),  # file handles, ptrace, process_vm*, kcmp, pidfd_getfd
        *(253, 294, 300, 278, 154),  # inotify, fanotify, vmsplice, modify_ldt
    ),
    "aarch64": (
        *(279, 447, 194, 195, 196, 190, 186, 180),
        *(97, 268, 40, 39, 41, 51),
        *(428, 429, 430, 431, 432, 433, 442),
        *(217, 218, 219, 280, 241, 282, 425, 426, 427),
        *(104, 294, 105, 273, 106, 142, 224, 225, 89, 60, 116),
        *(264, 265, 117, 270, 271, 272, 438),
        *(26, 262, 75),
    ),
}
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE = {"x86_64": 56, "aarch64": 220}
_MMAP = {"x86_64": 9, "aarch64": 222}
_SOCKET = {"x86_64": 41, "aarch64": 198}
_CLONE3 = 435
_FIRST_X32 = 0x40000000

_NEW_NAMESPACES = 0x7E020000
_SHARED_OR_HUGE = 0x40001
"""Flags of a mapping: MAP_SHARED, whose pages stay when nobody has them mapped in, and MAP_HUGETLB, which are not
counted. Of /dev/zero even a mapping to read makes pages, so it cannot depend on what the mapping is for."""
_SOCKET_FAMILIES = (1, 2, 10, 16)  # unix, inet, inet6, netlink: all of them bounded by the network namespace

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_OFFSET, _ARCH_OFFSET, _ARGUMENT_OFFSETS = 0, 4, (16, 24, 32, 40, 48, 56)
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97


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
        *_refuse(_line(_AT_LEAST, _FIRST_X32, if_false=1), _ENOSYS),
        *_refuse(_line(_EQUAL, _CLONE3, if_false=1), _ENOSYS),  # its flags cannot be read; libc then uses clone
    ]
    for number in _DENIED[name]:
        lines += _refuse(_line(_EQUAL, number, if_false=1), _EPERM)
    lines += [
        *_refuse_flags(_CLONE[name], 0, _NEW_NAMESPACES),
        *_refuse_flags(_MMAP[name], 3, _SHARED_OR_HUGE),
        _line(_EQUAL, _SOCKET[name], if_false=2 + len(_SOCKET_FAMILIES)),
        _line(_LOAD, _ARGUMENT_OFFSETS[0]),
        *(
            _line(_EQUAL, family, if_true=len(_SOCKET_FAMILIES) - position)
            for position, family in enumerate(_SOCKET_FAMILIES)
        ),
        _line(_RETURN, _FAIL | _EAFNOSUPPORT),
        _line(_RETURN, _ALLOW),
    ]
    return b"".join(lines)


def _refuse(test: bytes, error: int) -> tuple[bytes, bytes]:
    """Fail the call with an error where `test` holds; it must jump over one line where it does not."""
    return test, _line(_RETURN, _FAIL | error)


def _refuse_flags(number: int, argument: int, flags: int) -> tuple[bytes, ...]:
    """Fail a call with EPERM if its argument, counted from 0, has any of some flags; else allow it."""
    return (
        _line(_EQUAL, number, if_false=4),
        _line(_LOAD, _ARGUMENT_OFFSETS[argument]),
        *_refuse(_line(_ANY_BIT, flags, if_false=1), _EPERM),
        _line(_RETURN, _ALLOW),
    )


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction; jumps are counted in lines to skip."""
    return struct.pack("=HBBI", code, if_true, if_false, value)
