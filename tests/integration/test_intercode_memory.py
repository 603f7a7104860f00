"""Commands in the bubblewrap sandbox that make the kernel hold memory for them: a measured bound.

Most of these attacks did hold a gigabyte or more. They stop by themselves at `CAP_BYTES`, so a sandbox that lets one
through fails its test and leaves the machine alone.
"""

import os
import subprocess
import sys
import threading

import pytest
from intercode_sandboxes import needs_sandbox, run

from leap_core.envs.intercode_bash.sandbox.backends import Stopped
from leap_core.envs.intercode_bash.sandbox.memory import MemoryLimits, MemoryWatch, kernel_bytes
from leap_core.envs.intercode_bash.sandbox.processes import MAX_CPUS, Watch, choose_cpus

pytestmark = [needs_sandbox, pytest.mark.slow]

BOUND_BYTES = 400 << 20
CAP_BYTES = 1 << 30
ATTACK = """
import ctypes, os, select, socket, struct, sys, time
libc = ctypes.CDLL(None)
meminfo = os.open("/proc/meminfo", os.O_RDONLY)

def available():
    return int(os.pread(meminfo, 200, 0).split(b"MemAvailable:")[1].split()[0]) << 10

start = available()

def more():
    return available() > start - CAP

def fill(*sockets):
    for one in sockets:
        one.setblocking(False)
        for size in (65536, 1024):
            try:
                while more():
                    one.send(bytes(size))
            except OSError:
                pass

def unix_sockets():
    while more():
        pair = socket.socketpair()
        for one in pair:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        kept.append(pair)
        fill(*pair)

def datagrams():
    while more():
        kept.append(socket.socketpair(type=socket.SOCK_DGRAM))
        fill(*kept[-1])

def tcp():
    server = socket.create_server(("127.0.0.1", 0))
    while more():
        client = socket.create_connection(server.getsockname())
        kept.append((client, server.accept()[0]))
        fill(*kept[-1])

def answers_of_the_kernel():
    request = struct.pack("=IHHII", 32, 18, 1, 1, 0) + struct.pack("=BxHiII", 0, 0, 1, 0, 0)
    while more():
        kept.append(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
        for _ in range(300):
            kept[-1].send(request)

def access_lists():
    entries = [(1, 6, 2**32 - 1), *[(2, 6, 65534)] * 8000, (4, 6, 2**32 - 1), (16, 7, 2**32 - 1), (32, 4, 2**32 - 1)]
    value = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    for number in range(250):
        if more():
            os.mkdir(f"/tmp/{os.getpid()}-{number}")
            for kind in ("access", "default"):
                os.setxattr(f"/tmp/{os.getpid()}-{number}", f"system.posix_acl_{kind}", value)

def mappings():
    libc.mmap.restype = ctypes.c_size_t
    libc.mmap.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    for number in range(65000):
        if number % 100 == 0 and not more():
            break
        libc.mmap(0, 4096, number % 2, 0x22, -1, 0)

def pipes():
    while more():
        kept.append(os.pipe())
        os.set_blocking(kept[-1][1], False)
        os.write(kept[-1][1], bytes(65536))

def page_tables():
    libc.mmap.restype = ctypes.c_void_p
    place = libc.mmap(None, ctypes.c_size_t(1900 << 20), 1, 0x22, -1, ctypes.c_long(0))
    for offset in range(0, 1900 << 20, 2 << 20):
        ctypes.string_at(place + offset, 1)

kept = []
reader, writer = os.pipe()
for _ in range(56):
    if os.fork() == 0:
        try:
            globals()[ATTACK]()
        except OSError:
            pass
        os.close(writer)
        os.read(reader, 1)  # as long as another one is busy
        time.sleep(0.2)
        os._exit(0)
os.close(writer)
os.read(reader, 1)
"""
ATTACKS = (
    *("unix_sockets", "datagrams", "tcp", "answers_of_the_kernel"),
    *("access_lists", "mappings", "pipes", "page_tables"),
)


class Peak(threading.Thread):
    """Looks how much more the kernel holds than when this was entered."""

    def __enter__(self):
        self.bytes, self._before, self._over = 0, kernel_bytes(), threading.Event()
        self.start()
        return self

    def run(self):
        while not self._over.wait(0.02):
            self.bytes = max(self.bytes, kernel_bytes() - self._before)

    def __exit__(self, *_):
        self._over.set()
        self.join()


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_kernel_holds_little_for_a_command(sandbox, attack):
    if run(sandbox, "python3 -c pass").exit_status != 0:
        pytest.skip("there is no python3 in /usr to try this with")
    program = f"CAP, ATTACK = {CAP_BYTES}, {attack!r}\n{ATTACK}"
    with Peak() as peak:
        sandbox.run(["/usr/bin/python3", "-c", program], "/", 20)
    print(f"{attack}: {peak.bytes >> 20} MB")
    assert peak.bytes < BOUND_BYTES
    assert run(sandbox, "echo ok").output == b"ok\n"


def test_a_command_has_some_processors_and_no_more(sandbox):
    """However many the machine has: memory is looked at now and then, and each can fill some before the next look."""
    assert int(run(sandbox, "nproc").output) == min(len(os.sched_getaffinity(0)), MAX_CPUS)
    assert run(sandbox, "taskset -p ffff $$ || echo refused").output.endswith(b"refused\n")


@pytest.mark.parametrize(("num_allowed", "num_chosen"), [(1, 1), (3, 3), (4, 4), (64, 4)])
def test_processors_are_shared_out(num_allowed, num_chosen):
    chosen = [choose_cpus(range(num_allowed), pid) for pid in range(100)]
    assert {len(cpus) for cpus in chosen} == {num_chosen}
    assert set.union(*chosen) == set(range(num_allowed))


def test_a_command_that_maps_too_often_is_stopped(sandbox):
    program = f"CAP, ATTACK = {CAP_BYTES}, 'mappings'\n{ATTACK}"
    assert sandbox.run(["/usr/bin/python3", "-c", program], "/", 30).stopped is Stopped.MEMORY


HOG = """
import os, socket
one, other = socket.socketpair()
while os.times().system < 0.2:
    one.send(bytes(65536))
    other.recv(65536)
print("ready", flush=True)
input()
"""
"""For the host, where sockets can be made."""
FULL = MemoryLimits(own=1 << 30, kernel=0)
"""The kernel always holds more."""


def host_process(*command):
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_what_the_kernel_holds_for_whatever_reason_stops_a_command():
    with host_process(sys.executable, "-c", HOG) as hog:
        assert Watch(process=hog, first_pid=hog.pid, limits=FULL).wait(20).stopped is Stopped.MEMORY


def test_what_it_holds_for_others_does_not():
    with host_process("/bin/cat") as idle, host_process(sys.executable, "-c", HOG) as hog:
        assert hog.stdout.readline() == b"ready\n"
        assert not MemoryWatch(idle.pid, FULL).is_exceeded()
        assert MemoryWatch(hog.pid, FULL).is_exceeded()
        assert not MemoryWatch(hog.pid, MemoryLimits(own=1 << 30, kernel=1 << 50)).is_exceeded()


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("ls /yard | cat | sort -r | head -n 1", b"sub\n"),
        ("seq 300000 | sort -R | sort -n | tail -n 1", b"300000\n"),
        ("find /yard -type f | xargs grep -l one", b"/yard/a.txt\n"),
        ("cp -a /yard /tmp/y && diff -r /yard /tmp/y && stat -c %a /tmp/y/sub/b.txt", b"400\n"),
        ("cd /tmp && git init -q r && cd r && touch x && git add x && git status --short", b"A  x\n"),
        ("tar -C / -czf /tmp/y.tgz yard && tar -tzf /tmp/y.tgz | wc -l", b"5\n"),
        ("flock /tmp/lock echo locked", b"locked\n"),
        ("whoami; hostname; id -un", b"root\nintercode\nroot\n"),
        ("perl -e 'print 6 * 7'", b"42"),
    ],
)
def test_ordinary_commands_work(sandbox, command, output):
    assert run(sandbox, command).output == output
