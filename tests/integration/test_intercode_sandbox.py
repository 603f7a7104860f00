"""Hostile commands in the bubblewrap sandbox: nothing gets out, nothing hangs past its limit, the next copy is clean.

Each attack runs as a model's command would. What an attack leaves behind is looked for where it would be: in the host's
processes and files, in the score's view of the tree, in the next copy.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from intercode_sandboxes import BORN, MARK, needs_sandbox, run, sleepers

from leap_core.envs.intercode_bash.sandbox.backends import OUTPUT_LIMIT_BYTES, Stopped
from leap_core.envs.intercode_bash.sandbox.bubblewrap import BubblewrapBackend
from leap_core.envs.intercode_bash.sandbox.namespaces import DISK_BYTES
from leap_core.errors import EnvironmentCrashError

pytestmark = [needs_sandbox, pytest.mark.slow]


def test_a_copy_is_as_it_was_built(sandbox):
    seen = run(sandbox, "cd /yard; ls -A; stat -c '%a %Y' a.txt sub/b.txt old.txt; cat sub/b.txt").output.decode()
    assert seen.splitlines() == [
        *("a.txt", "old.txt", "sub"),  # git does not keep the empty folder
        *(f"644 {BORN}", f"400 {BORN}", "644 1577934245", "two"),
    ]


def test_changes_are_those_of_git(sandbox):
    run(sandbox, "cd /yard; echo more >> a.txt; rm old.txt; mkdir new; touch new/x '/a b'; chmod +x sub/b.txt")
    assert sandbox.changes(10) == ' M yard/a.txt\n D yard/old.txt\n M yard/sub/b.txt\n?? "a b"\n?? yard/new/\n'


def test_a_change_of_the_same_size_and_date_is_seen(sandbox):
    run(sandbox, "touch -r /yard/a.txt /tmp/date; echo eno > /yard/a.txt; touch -r /tmp/date /yard/a.txt")
    assert sandbox.changes(10) == " M yard/a.txt\n"


def test_digests_follow_links_as_commands_do(sandbox):
    run(sandbox, "ln -s /yard/a.txt /link.txt")
    assert sandbox.digests([["link.txt"], ["none.txt"]], 10) == [
        "5bbf5a52328e7439ae6e719dfe712200  link.txt\n",
        "md5sum: none.txt: No such file or directory\n",
    ]


# ---- what a command may use


def test_fork_bomb(sandbox):
    started = time.monotonic()
    assert run(sandbox, ":(){ :|:& };:", 1).stopped in (Stopped.TIMEOUT, Stopped.MEMORY)
    assert time.monotonic() - started < 12


def test_processes_are_counted(sandbox):
    output = run(sandbox, f"for i in $(seq 400); do sleep {MARK} & done; true", 1).output
    assert b"Resource temporarily unavailable" in output


def test_endless_output(sandbox):
    result = run(sandbox, "yes", 1)
    assert result.stopped is Stopped.TIMEOUT
    assert len(result.output) == OUTPUT_LIMIT_BYTES
    assert result.num_dropped > 0


def test_output_without_end_of_line(sandbox):
    result = run(sandbox, "head -c 3000000 /dev/zero")
    assert (len(result.output), result.num_dropped) == (OUTPUT_LIMIT_BYTES, 3_000_000 - OUTPUT_LIMIT_BYTES)


def test_huge_file(sandbox):
    assert run(sandbox, "yes > /yard/huge").exit_status == 128 + 25  # SIGXFSZ
    assert run(sandbox, "stat -c %s /yard/huge").output == b"33554432\n"


def test_full_disk(sandbox):
    assert b"No space left" in run(sandbox, "for i in $(seq 9); do head -c 20M /dev/zero > /yard/$i; done").output
    used = int(run(sandbox, "du -sb /yard | cut -f1").output)
    assert used <= DISK_BYTES


def test_shared_memory_is_part_of_the_disk(sandbox):
    assert b"No space left" in run(sandbox, "for i in $(seq 9); do head -c 20M /dev/zero > /dev/shm/$i; done").output
    assert b"Read-only" in run(sandbox, "head -c 1M /dev/zero > /dev/other").output


def test_sparse_file(sandbox):
    assert run(sandbox, "truncate -s 1T /yard/sparse").exit_status != 0
    assert run(sandbox, "for i in $(seq 500); do truncate -s 30M /yard/s$i; done").exit_status == 0
    assert sandbox.changes(10) is not None


def test_too_many_files(sandbox):
    assert b"No space left" in run(sandbox, "cd /yard/sub; seq 20000 | xargs touch").output
    assert sandbox.changes(10) is not None


def test_deep_tree(sandbox):
    run(sandbox, "p=$(printf 'd/%.0s' $(seq 1500)); cd /yard; mkdir -p $p; cd $p; mkdir -p $p; touch $p/bottom")
    sandbox.changes(1)  # git may give up on such a path, but it has to end
    assert run(sandbox, "rm -rf /yard/d").exit_status == 0
    assert sandbox.changes(10) == ""


def test_memory_of_one_process(sandbox):
    assert run(sandbox, "tail /dev/zero").exit_status != 0


def test_memory_of_many_processes(sandbox):
    hog = "head -c 400M /dev/zero | tail -c 400M | sleep 60"  # a busy machine takes its time to give so much
    assert run(sandbox, f"for i in $(seq 12); do {hog} & done; wait", 50).stopped is Stopped.MEMORY


def test_time_of_the_processor(sandbox):
    started = time.monotonic()
    assert run(sandbox, "while :; do :; done", 1).stopped is Stopped.TIMEOUT
    assert time.monotonic() - started < 5


def test_standard_input_is_empty(sandbox):
    assert run(sandbox, "cat; read x; echo $?").output == b"1\n"


def test_what_processes_write_at_once_is_mixed_but_whole(sandbox):
    """The kernel decides about the order, even of pieces of a line, here as in the original."""
    written = {bytes(sorted(run(sandbox, "ls /no1 | cat /no2 | sort /no3").output)) for _ in range(6)}
    assert len(written) == 1
    assert {run(sandbox, "(ls /no1; echo 1; cat /no2) 2>&1 | cat; sort /no3").output for _ in range(6)} == {
        b"ls: cannot access '/no1': No such file or directory\n1\ncat: /no2: No such file or directory\n"
        b"sort: cannot read: /no3: No such file or directory\n"
    }


# ---- what must not outlive a command


@pytest.mark.parametrize(
    "command",
    [
        f"sleep {MARK} >/dev/null 2>&1 &",
        f"setsid nohup sleep {MARK} >/dev/null 2>&1 < /dev/null & disown",
        f"(trap '' TERM HUP INT; sleep {MARK}) > /dev/null 2>&1 &",
        f"exec 1>&- 2>&-; sleep {MARK} &",
    ],
    ids=["background", "session of its own", "deaf to signals", "without output"],
)
def test_background_processes_end_with_the_command(sandbox, command):
    started = time.monotonic()
    assert run(sandbox, command).stopped is None
    assert time.monotonic() - started < 5


def test_signals_may_be_ignored_but_not_the_limit(sandbox):
    started = time.monotonic()
    assert run(sandbox, f"trap '' TERM HUP INT QUIT; sleep {MARK}; sleep {MARK}", 0.5).stopped is Stopped.TIMEOUT
    assert time.monotonic() - started < 5


def test_nothing_is_said_after_the_end(sandbox):
    run(sandbox, f"(sleep 0.2; echo late) > /proc/1/fd/1 2>&1 & exec >&- 2>&-; sleep {MARK} &")
    time.sleep(0.3)
    assert run(sandbox, "echo ok").output == b"ok\n"


def test_what_holds_the_output_open_is_waited_for(sandbox):
    assert run(sandbox, "(sleep 0.3; echo late) & echo early").output == b"early\nlate\n"
    assert run(sandbox, f"sleep {MARK} & echo early", 1).stopped is Stopped.TIMEOUT


@pytest.mark.parametrize("signal", ["TERM", "KILL", "STOP"])
def test_signals_reach_nothing_outside(sandbox, signal):
    run(sandbox, f"kill -{signal} 1; kill -{signal} $PPID; kill -{signal} -1; echo still here", 1)
    assert run(sandbox, "echo ok").output == b"ok\n"


def test_only_own_processes_are_seen(sandbox):
    names = run(sandbox, "cat /proc/[0-9]*/comm").output.decode().split()
    assert set(names) == {"bash", "cat"}


# ---- the host


@pytest.mark.parametrize(
    "path",
    [
        "/etc/shadow",
        "/etc/machine-id",
        str(Path(__file__).resolve()),
        "/../../../../etc/shadow",
        "/proc/1/root/etc/shadow",
        "/proc/self/root/../../etc/shadow",
        "/dev/mem",
        "/dev/kmsg",
        "/dev/sda",
        "/dev/vda",
        "/dev/vsock",
        "/dev/fuse",
        "/dev/kvm",
        "/sys/kernel",
        "/run/docker.sock",
        "/var/run/docker.sock",
    ],
)
def test_nothing_of_the_host_is_there(sandbox, path):
    assert run(sandbox, f"cat {path} || ls {path}").exit_status != 0


def test_links_lead_nowhere_outside(sandbox, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret of the host")
    run(sandbox, f"ln -s {secret} /yard/link.txt; ln -s / /yard/root; ln -s ../../../../../.. /yard/up")
    seen = run(sandbox, f"cat /yard/link.txt /yard/root{secret} /yard/up{secret}; grep -r secret.of /yard/").output
    assert b"secret of the host" not in seen
    assert b"No such file" in sandbox.digests([["yard/link.txt"]], 10)[0].encode()


@pytest.mark.parametrize(
    "command",
    [
        "echo b > /proc/sysrq-trigger",
        "echo 1 > /proc/sys/kernel/panic",
        "echo x > /proc/sys/kernel/core_pattern",
        "echo 0 > /proc/1/oom_score_adj && false",
        "mknod /yard/disk b 8 0",
        "mount -t tmpfs none /yard",
        "mount --bind / /yard",
        "mount -o remount,rw /usr",
        "umount /usr",
        "umount -l /proc",
        "unshare --user --map-root-user true",
        "unshare --mount true",
        "unshare --pid --fork true",
        "nsenter --target 1 --mount true",
        "chroot /yard",
        "touch /usr/bin/new",
        "touch /usr/lib/new",
        "touch /bin/new",
        "chown 0 /yard/a.txt",
        "hostname other",
        "date -s 2001-01-01",
        "dmesg",
        "renice -n -5 $$",
        "prlimit --pid $$ --nproc=100000",
        "ulimit -f unlimited",
    ],
)
def test_privileged_deeds_fail(sandbox, command):
    assert run(sandbox, command).exit_status != 0


def test_it_is_nobody_without_capabilities(sandbox):
    assert run(sandbox, "whoami; ls -ld /yard | cut -d' ' -f3,4").output == b"root\nroot root\n"  # only a name
    output = run(sandbox, "id -u; grep -E 'CapEff|CapPrm|CapAmb|NoNewPrivs|Seccomp:' /proc/self/status").output
    assert output.decode().split() == [
        *("65534", "CapPrm:", "0000000000000000", "CapEff:", "0000000000000000", "CapAmb:", "0000000000000000"),
        *("NoNewPrivs:", "1", "Seccomp:", "2"),
    ]


def test_keys_of_the_environment(sandbox, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    output = run(sandbox, "env; cat /proc/[0-9]*/environ | tr '\\0' '\\n'; cat /proc/[0-9]*/cmdline").output
    assert b"sk-very-secret" not in output
    names = {line.partition(b"=")[0] for line in run(sandbox, "env").output.split(b"\n") if line}
    assert names <= {b"PATH", b"HOME", b"HOSTNAME", b"PWD", b"SHLVL", b"_"}


def test_no_open_file_is_handed_down(sandbox):
    assert run(sandbox, "ls /proc/self/fd").output.decode().split() == ["0", "1", "2", "3"]  # 3 is the listing itself


# ---- the network


def test_no_network(sandbox):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for host in ("127.0.0.1", "1.1.1.1", "localhost"):
            assert run(sandbox, f"exec 3<>/dev/tcp/{host}/{port}", 5).exit_status != 0
    assert run(sandbox, "cat /proc/net/dev | tail -n +3 | grep -v lo:").output == b""


def test_sockets_of_the_host_by_path_and_by_name(sandbox, tmp_path):
    python = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1].replace('@', chr(0)))"
    name = f"leap-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as abstract, socket.socket(socket.AF_UNIX) as path:
        abstract.bind(f"\0{name}")
        abstract.listen()
        path.bind(str(tmp_path / "s"))
        path.listen()
        for address in (f"@{name}", str(tmp_path / "s")):
            assert b"Error" in run(sandbox, f'python3 -c "{python}" {address}').output


# ---- what the output may hold


def test_output_is_kept_byte_by_byte(sandbox):
    assert (
        run(sandbox, r"printf '\033[2J\033]0;title\007\000\377\376end'").output
        == b"\x1b[2J\x1b]0;title\x07\x00\xff\xfeend"
    )


def test_a_null_character_cannot_be_an_argument(sandbox):
    with pytest.raises(ValueError, match="null"):
        run(sandbox, "echo a\0b")


# ---- the sandbox itself


def test_a_closed_sandbox_says_so(archive):
    copy = BubblewrapBackend({}).open("small", archive, BORN)
    copy.close()
    copy.close()
    with pytest.raises(EnvironmentCrashError):
        run(copy, "echo hello")


def test_an_archive_that_is_none_says_so(tmp_path):
    (tmp_path / "bad.tar").write_bytes(b"not a tar file" * 1000)
    with pytest.raises(EnvironmentCrashError, match=r"bad\.tar"):
        BubblewrapBackend({}).open("bad", tmp_path / "bad.tar", BORN)


WITHOUT_SANDBOX = """
import pathlib, sys
from leap_core.config import EnvironmentConfig
from leap_core.envs.intercode_bash.sandbox.file_systems import FileSystem
from leap_core.envs.intercode_bash.sandbox.backends import BACKENDS, SandboxUnavailableError, load_backend
from leap_core.envs.intercode_bash.suite import IntercodeBashSuite

root = pathlib.Path(sys.argv[1])
script = "#!/bin/bash\\ntouch " + str(root / "ran")
for name in BACKENDS:
    suite = IntercodeBashSuite(EnvironmentConfig(name="intercode_bash", params={"backend": name}))
    backend = load_backend(name, {"image": "x"})
    small = FileSystem(name="small", script_name="set_up.sh", script=script, ignored="")
    acts = {suite.prepare: (root, "train", 0), suite.make: (root,), backend.build: (small, root / "a")}
    for act, arguments in acts.items():
        try:
            act(*arguments)
        except SandboxUnavailableError as error:
            print(name, error)
"""


def test_where_no_sandbox_works_nothing_runs(tmp_path):
    """On this machine without bwrap, docker and podman, which a mount over each of them makes of it."""
    hidden = [found for name in ("bwrap", "docker", "podman") if (found := shutil.which(name))]
    over = [option for path in hidden for option in ("--ro-bind", "/dev/null", str(Path(path).resolve()))]
    command = [
        shutil.which("bwrap"),
        "--dev-bind",
        "/",
        "/",
        *over,
        sys.executable,
        "-c",
        WITHOUT_SANDBOX,
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.count("Commands of a model are never run outside a sandbox") == 6
    assert done.stdout.count("apt-get install bubblewrap") == 3
    assert done.stdout.count("apt-get install podman") + done.stdout.count("fails (") == 3
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "file_systems").exists()


def test_where_namespaces_are_forbidden_it_says_what_to_allow():
    code = "from leap_core.envs.intercode_bash.sandbox.bubblewrap import *; print(BubblewrapBackend({}).problem())"
    command = [
        shutil.which("bwrap"),
        "--unshare-user",
        "--disable-userns",
        "--dev-bind",
        "/",
        "/",
        sys.executable,
        "-c",
        code,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "No sandbox could be" in done.stdout
    assert "user namespaces are needed" in done.stdout


def test_it_ends_with_the_process_that_made_it(archive, tmp_path):
    code = (
        "import sys, pathlib; from leap_core.envs.intercode_bash.sandbox.bubblewrap import BubblewrapBackend\n"
        f"copy = BubblewrapBackend({{}}).open('small', pathlib.Path({str(archive)!r}), 0)\n"
        "print(copy._holder.pid, flush=True)\n"
        f"copy.run(['/bin/bash', '-c', 'sleep {MARK}'], '/', 60)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    holder = Path("/proc", child.stdout.readline().strip())
    end = time.monotonic() + 20
    while not sleepers() and time.monotonic() < end:
        time.sleep(0.01)
    assert sleepers()
    child.send_signal(signal.SIGKILL)
    child.wait()
    while (sleepers() or is_alive(holder)) and time.monotonic() < end:
        time.sleep(0.01)
    assert not sleepers()
    assert not is_alive(holder)


def is_alive(process):
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
