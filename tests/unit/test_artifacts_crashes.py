"""The store among several processes, when they are killed, and when the disk is full or read-only."""

import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from artifact_tools import publish

from leap_core.disk.files import write_atomically, write_json
from leap_core.errors import ArtifactError
from leap_core.store.artifacts import ArtifactStore

KEY = "ab12cd34" + "0" * 56
HEADER = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from artifact_tools import publish
from leap_core.store.artifacts import ArtifactStore
from leap_core.errors import ArtifactError
store = ArtifactStore(Path(sys.argv[1]))
KEY = {KEY!r}
"""


def start(script, home, *prefix):
    """Run a script in a process of its own; its first argument is the home of the store."""
    command = [*prefix, sys.executable, "-c", HEADER + textwrap.dedent(script), str(home)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return output


@pytest.mark.parametrize("lines", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(5, marks=pytest.mark.slow)])
def test_a_process_killed_while_it_publishes_leaves_only_whole_artifacts(home, lines):
    process = start(
        """
        for number in range(100_000):
            publish(store, {"a": "x" * 5000, "deep/b": "y"}, number=number)
            print(number, flush=True)
        """,
        home,
    )
    for _ in range(lines):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate()

    store = ArtifactStore(home)
    assert len(list(store.records())) >= lines
    assert store.problems() == []
    last = max(record.config["number"] for record in store.records())
    for number in range(last + 2):
        publish(store, {"a": "x" * 5000, "deep/b": "y"}, number=number)
    assert len(list(store.records())) == last + 2
    assert store.workspaces() == []


@pytest.mark.slow
def test_of_several_processes_that_want_the_same_one_computes_and_the_others_reuse_it(home):
    script = """
        with store.lock("rollout", KEY) as waited:
            ref = store.lookup("rollout", KEY)
            if ref is None:
                (store.workspace("rollout", KEY) / "output" / "a").write_text("x" * 1_000_000)
                ref = store.publish("rollout", KEY, "demo", version=1, config={}, inputs={}, experiment="demo")
                print("computed", ref.digest)
            else:
                print("reused", ref.digest)
        """
    outputs = [finish(process).split() for process in [start(script, home) for _ in range(4)]]
    assert sorted(how for how, _ in outputs) == ["computed", "reused", "reused", "reused"]
    assert len({digest for _, digest in outputs}) == 1


def test_a_killed_holder_gives_the_lock_back(home):
    store = ArtifactStore(home)
    holder = start(
        """
        with store.lock("rollout", KEY):
            print("held", flush=True)
            sys.stdin.read()
            import signal; signal.pause()
        """,
        home,
    )
    assert holder.stdout.readline() == "held\n"
    assert store.is_locked("rollout", KEY)
    messages, waiting, taken = [], threading.Event(), []

    def wait_for_it():
        with store.lock("rollout", KEY, on_wait=lambda text: (messages.append(text), waiting.set())) as waited:
            taken.append(waited)

    waiter = threading.Thread(target=wait_for_it)
    waiter.start()
    assert waiting.wait(timeout=30)
    assert taken == []
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    waiter.join(timeout=30)
    assert taken == [True]
    assert f"process {holder.pid}" in messages[0]
    assert not store.is_locked("rollout", KEY)


def test_a_free_lock_is_taken_without_waiting_and_locks_of_other_keys_do_not_matter(home):
    store = ArtifactStore(home)
    with (
        store.lock("rollout", KEY) as waited,
        store.lock("rollout", "f" * 64) as other,
        store.lock("specs", KEY) as third,
    ):
        assert (waited, other, third) == (False, False, False)


def test_an_exception_gives_the_lock_back(home):
    store = ArtifactStore(home)
    with pytest.raises(KeyError), store.lock("rollout", KEY):
        raise KeyError
    assert not store.is_locked("rollout", KEY)


def small_disk(home, size):
    """Return a command prefix that mounts a file system of so many kB at `home`, for one process alone."""
    prefix = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = f'mount -t tmpfs -o size={size}k tmpfs "{home}" && exec "$@"'
    if shutil.which("unshare") is None or subprocess.run([*prefix, f"{mount}", "sh", "true"]).returncode != 0:
        pytest.skip("this system does not let a test mount a small file system")
    return [*prefix, mount, "sh"]


def test_a_full_disk_is_told_with_what_to_do_and_nothing_half_written_is_trusted(home):
    home.mkdir()
    output = finish(
        start(
            """
            kept = publish(store, {"a": "x"}, seed=1)
            try:
                publish(store, {"a": "x"}, seed=2)
                (store.workspace("rollout", KEY) / "output" / "a").write_text("x")
                filler = Path(sys.argv[1]) / "filler"
                try:
                    filler.write_bytes(b"x" * 10_000_000)
                except OSError:
                    pass
                store.publish("rollout", KEY, "demo", version=1, config={"x": "y" * 9000}, inputs={}, experiment="d")
            except ArtifactError as error:
                print(error)
            assert store.lookup("rollout", KEY) is None
            assert store.lookup("rollout", kept.key) == kept
            assert store.problems() == []
            filler.unlink()
            ref = store.publish("rollout", KEY, "demo", version=1, config={}, inputs={}, experiment="d")
            assert store.lookup("rollout", KEY) == ref
            """,
            home,
            *small_disk(home, 256),
        )
    )
    assert "No room to write" in output
    assert "MB free" in output
    assert "leap artifacts gc" in output


def test_a_read_only_home_is_told_with_what_to_do(home):
    home.mkdir()
    output = finish(
        start(
            """
            import subprocess
            ref = publish(store, {"a": "x"})
            subprocess.run(["mount", "-o", "remount,ro", sys.argv[1]], check=True)
            assert store.lookup("rollout", ref.key) == ref
            for work in (lambda: ArtifactStore(Path(sys.argv[1])), lambda: store.workspace("rollout", KEY)):
                try:
                    work()
                except ArtifactError as error:
                    print(error)
            """,
            home,
            *small_disk(home, 256),
        )
    )
    assert output.count("Cannot write") == 2
    assert "choose another artifact home" in output


def test_a_write_that_fails_leaves_the_old_file_and_no_temporary_one(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"b": 1, "a": "é"})
    assert path.read_text() == '{\n  "a": "é",\n  "b": 1\n}\n'

    def write(file):
        file.write(b"half")
        raise InterruptedError

    with pytest.raises(InterruptedError):
        write_atomically(path, write)
    with pytest.raises(ValueError, match="Out of range"):
        write_json(path, {"a": float("nan")})
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]
    assert path.read_text().startswith('{\n  "a": "é"')


def test_a_full_device_is_an_artifact_error(tmp_path):
    (tmp_path / "full").symlink_to("/dev/full")

    def write(file):
        with (tmp_path / "full").open("wb") as full:
            full.write(b"x")

    with pytest.raises(ArtifactError, match="No space left on device") as raised:
        write_atomically(tmp_path / "a", write)
    assert raised.value.item == str(tmp_path / "a")
    assert [one.name for one in tmp_path.iterdir()] == ["full"]


def test_publishing_still_works_after_a_kill_in_the_middle_of_a_stage(home):
    """The scratch of a killed stage is there for the next attempt; its output is not."""
    process = start(
        """
        work = store.workspace("rollout", KEY)
        (work / "scratch" / "shard-0").write_text("done")
        (work / "output" / "torn").write_text("ha")
        print("working", flush=True)
        import signal; signal.pause()
        """,
        home,
    )
    assert process.stdout.readline() == "working\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()

    store = ArtifactStore(home)
    work = store.workspace("rollout", KEY)
    assert (work / "scratch" / "shard-0").read_text() == "done"
    (work / "output" / "whole").write_text("x")
    ref = store.publish("rollout", KEY, "demo", version=1, config={}, inputs={}, experiment="demo")
    assert list(store.record(ref).files) == ["whole"]
