"""Hostile commands in containers of a real docker or podman: what holds there, and what does not.

Skipped, with the reason, where no engine answers or the image to start from is missing.
"""

import os
import signal
import subprocess
import sys
import time

import pytest
from intercode_sandboxes import BORN, MARK, SMALL, SMALL_IMAGE, engine, make_small_image, needs_engine, run, sleepers

from leap_core.envs.intercode_bash.sandbox.backends import OUTPUT_LIMIT_BYTES, Stopped
from leap_core.envs.intercode_bash.sandbox.docker import DockerBackend
from leap_core.errors import EnvironmentCrashError, LeapError

pytestmark = [needs_engine, pytest.mark.slow]


@pytest.fixture(scope="module")
def backend():
    make_small_image()
    return DockerBackend({"image": SMALL_IMAGE})


@pytest.fixture
def container(backend, tmp_path):
    """A fresh container. After each test neither it nor anything in it may be there."""
    before = running()
    made = backend.open("small", tmp_path / "none.tar", BORN)
    assert len(running()) == len(before) + 1
    yield made
    made.close()
    assert not sleepers()
    assert running() == before


def running():
    return engine("ps", "--all", "--filter", "name=leap-", "--quiet").stdout.split()


def test_a_container_is_as_its_image(container):
    assert run(container, "whoami; cat /yard/a.txt; ls -A /yard").output == b"root\none\na.txt\nold.txt\nsub\n"
    assert container.changes(10) == ""
    run(container, "echo more >> /yard/a.txt; echo new > /yard/new.txt")
    assert container.changes(10) == " M yard/a.txt\n?? yard/new.txt\n"
    assert container.digests([["yard/new.txt"]], 10) == ["9cd599a3523898e6a12e13ec787da50a  yard/new.txt\n"]


def test_a_command_that_is_stopped_ends_and_the_container_does_not(container):
    run(container, "echo kept > /yard/kept.txt")
    started = time.monotonic()
    assert (
        run(container, f"trap '' TERM HUP INT; sleep {MARK} & sleep {MARK}; sleep {MARK}", 1).stopped is Stopped.TIMEOUT
    )
    assert time.monotonic() - started < 15
    assert not sleepers()
    assert run(container, "cat /yard/kept.txt").output == b"kept\n"


def test_fork_bomb(container):
    started = time.monotonic()
    assert run(container, ":(){ :|:& };:; sleep 30", 2).stopped is Stopped.TIMEOUT
    assert time.monotonic() - started < 30
    assert run(container, "echo ok; ls -d /proc/[0-9]* | wc -l").output.startswith(b"ok\n")


def test_endless_output(container):
    result = run(container, "yes", 2)
    assert result.stopped is Stopped.TIMEOUT
    assert len(result.output) == OUTPUT_LIMIT_BYTES
    assert result.num_dropped > 0


def test_memory_and_files_are_limited(container):
    assert run(container, "tail /dev/zero", 20).exit_status == 128 + 9
    assert run(container, "yes > /yard/huge").exit_status == 128 + 25
    assert run(container, "stat -c %s /yard/huge").output == b"33554432\n"


def test_what_stays_in_the_background_ends_with_the_episode(container):
    """As in the original it outlives its command; the fixture looks whether it outlives the container."""
    assert run(container, f"setsid nohup sleep {MARK} > /dev/null 2>&1 < /dev/null & echo $!").exit_status == 0
    assert sleepers()


@pytest.mark.parametrize("name", ["TERM", "KILL", "STOP"])
def test_signals_do_not_end_the_container(container, name):
    run(container, f"kill -{name} 1; kill -{name} $PPID; kill -{name} -1; echo still here", 2)
    assert run(container, "echo ok").output == b"ok\n"


def test_neither_network_nor_keys_nor_files_of_the_host(container, monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    (tmp_path / "secret.txt").write_text("secret")
    assert b"sk-very-secret" not in run(container, "env; cat /proc/[0-9]*/environ").output
    assert run(container, f"cat {tmp_path}/secret.txt").exit_status != 0
    assert run(container, "cat /proc/net/dev | tail -n +3 | grep -v lo:").output == b""
    assert run(container, "exec 3<>/dev/tcp/1.1.1.1/53", 5).exit_status != 0


@pytest.mark.parametrize(
    "command",
    [
        "mount -t tmpfs none /yard",
        "mknod /yard/disk b 8 0",
        "unshare --mount true",
        "chroot / true",
        "echo 1 > /proc/sys/kernel/panic",
        "echo b > /proc/sysrq-trigger",
        "date -s 2001-01-01",
        "cat /dev/mem",
        "su nobody -s /bin/sh -c true",
    ],
)
def test_privileged_deeds_fail(container, command):
    assert run(container, command).exit_status != 0


def test_a_container_that_is_gone_is_a_crash_and_no_bad_command(container):
    engine("kill", container._name)
    with pytest.raises(EnvironmentCrashError, match="gone"):
        run(container, "echo hello")


def test_it_ends_with_the_process_that_made_it(backend):
    code = (
        "from leap_core.envs.intercode_bash.sandbox.docker import DockerBackend\n"
        f"made = DockerBackend({{'image': {SMALL_IMAGE!r}}}).open('small', None, 0)\n"
        "print('made', flush=True)\n"
        f"made.run(['/bin/bash', '-c', 'sleep {MARK}'], '/', 60)\n"
    )
    before = running()
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=os.environ)
    assert child.stdout.readline() == b"made\n"
    wait_until(sleepers)
    child.send_signal(signal.SIGKILL)
    child.wait()
    wait_until(lambda: not sleepers() and running() == before)


def wait_until(holds):
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_an_image_that_is_missing(tmp_path):
    with pytest.raises(LeapError, match=r"no image 'no-such-small'.*docker build"):
        DockerBackend({"image": "no-such-{file_system}"}).build(SMALL, tmp_path / "x.tar")
    with pytest.raises(EnvironmentCrashError, match="no-such-small"):
        DockerBackend({"image": "no-such-{file_system}"}).open("small", tmp_path / "x.tar", BORN)
