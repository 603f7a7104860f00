"""The store: publishing, looking up, verifying, naming."""

import json
import os
import time
from datetime import datetime, timedelta

import pytest
from artifact_tools import publish

from leap_core.disk.canonical import stage_key
from leap_core.disk.files import sha256_file
from leap_core.errors import ArtifactError
from leap_core.store.artifacts import ArtifactStore
from leap_core.store.records import ArtifactRecord
from leap_core.store.verification import FileEntry, find_problem
from leap_core.types import SCHEMA_VERSION, Usage

KEY = "ab12cd34" + "0" * 56
TWIN = "ab12cd34" + "1" * 56
"""Another key that begins with the same eight digits."""


@pytest.fixture
def store(home):
    return ArtifactStore(home)


def sidecar_of(store, ref):
    return store.home / ".verified" / ref.stage / f"{store.path(ref).name}.json"


def see(store, ref):
    """Look until all files are old enough (some hundredths of a second) for their signatures to be remembered."""
    num_files = len(store.record(ref).files)
    while not sidecar_of(store, ref).exists() or len(json.loads(sidecar_of(store, ref).read_text())) < num_files:
        assert store.lookup(ref.stage, ref.key) == ref


def publish_key(store, key, text="x", name="demo"):
    (store.workspace("rollout", key) / "output" / "a.txt").write_text(text)
    return store.publish("rollout", key, name, version=1, config={}, inputs={}, experiment="demo")


def test_a_published_artifact_is_found_with_its_files_and_record(store, home):
    specs = publish(store, {"specs.txt": "s"}, stage="specs", seed=1)
    ref = publish(store, {"a.txt": "alpha", "deep/b.txt": "beta"}, inputs={"specs": specs}, seed=1)

    assert ArtifactStore(home).lookup("rollout", ref.key) == ref
    assert store.path(ref) == home / "rollout" / f"demo-{ref.key[:8]}"
    assert (store.path(ref) / "deep" / "b.txt").read_text() == "beta"
    record = store.record(ref)
    assert record.ref == ref
    assert record.inputs == {"specs": specs}
    assert record.config == {"seed": 1}
    assert record.counts == {"n": 2}
    assert {path: entry.size for path, entry in record.files.items()} == {"a.txt": 5, "deep/b.txt": 4}
    assert record.schema_version == SCHEMA_VERSION
    assert record.packages["pyarrow"].split(".")[0].isdigit()
    assert datetime.fromisoformat(record.created_at).utcoffset() == timedelta(0)


def test_the_record_keeps_what_the_stage_reports(store):
    (store.workspace("rollout", KEY) / "output" / "a").write_text("")
    usage = Usage(num_requests=2, cost_usd=None)
    ref = store.publish(
        "rollout",
        KEY,
        "demo-i1",
        version=7,
        config={"x": None},
        inputs={},
        experiment="demo",
        iteration=1,
        counts={"episodes": 3},
        metrics={"loss": 0.5},
        seconds=1.23456,
        usage=usage,
    )
    record = store.record(ref)
    assert (record.version, record.iteration, record.usage, record.seconds) == (7, 1, usage, 1.235)
    assert record.metrics == {"loss": 0.5}


def test_nothing_is_found_before_it_is_published(store):
    assert store.lookup("rollout", KEY) is None
    assert store.inspect("rollout", KEY).problem is None
    (store.workspace("rollout", KEY) / "output" / "a.txt").write_text("half of it")
    assert store.lookup("rollout", KEY) is None
    assert list(store.records()) == []


def test_the_digest_is_of_the_files_alone(store):
    one = publish(store, {"a": "1"}, name="one", seed=1)
    other = publish(store, {"a": "1"}, name="other", experiment="elsewhere", seed=2)
    changed = publish(store, {"a": "2"}, seed=3)
    moved = publish(store, {"b": "1"}, seed=4)
    assert one.digest == other.digest
    assert len({one.digest, changed.digest, moved.digest}) == 3


def test_a_workspace_keeps_its_scratch_and_empties_its_output(store):
    work = store.workspace("rollout", KEY)
    (work / "scratch" / "shard-0").write_text("done")
    (work / "output" / "leftover").write_text("of a crashed attempt")
    again = store.workspace("rollout", KEY)
    assert again == work
    assert (again / "scratch" / "shard-0").read_text() == "done"
    assert list((again / "output").iterdir()) == []


def test_the_workspace_is_gone_after_publishing(store, home):
    publish_key(store, KEY)
    assert store.workspaces() == []
    assert [path.name for path in (home / "rollout").iterdir()] == ["demo-ab12cd34"]


def test_two_keys_with_the_same_beginning_are_told_apart(store):
    one, other = publish_key(store, KEY, "one"), publish_key(store, TWIN, "other")
    assert store.path(one) != store.path(other)
    assert (store.path(one) / "a.txt").read_text() == "one"
    assert (store.path(other) / "a.txt").read_text() == "other"
    assert store.lookup("rollout", KEY) == one
    assert store.lookup("rollout", TWIN) == other
    assert store.lookup("rollout", "ab12cd34" + "2" * 56) is None


def test_a_second_artifact_of_a_key_gives_way_to_the_first(store):
    first = publish_key(store, KEY, "first")
    again = publish_key(store, KEY, "second", name="renamed")
    assert again == first
    assert (store.path(first) / "a.txt").read_text() == "first"
    assert store.workspaces() == []


def flip_a_byte(directory):
    path = directory / "a.txt"
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


def flip_a_byte_and_restore_the_times(directory):
    before = (directory / "a.txt").stat()
    flip_a_byte(directory)
    os.utime(directory / "a.txt", ns=(before.st_atime_ns, before.st_mtime_ns))


def swap_the_file(directory):
    (directory / "new").write_text("Alpha")
    (directory / "new").rename(directory / "a.txt")


def edit_the_record(directory):
    values = json.loads((directory / "record.json").read_text())
    values["files"]["a.txt"]["sha256"] = "0" * 64
    (directory / "record.json").write_text(json.dumps(values))


DAMAGE = {
    "a.txt was altered": [flip_a_byte, flip_a_byte_and_restore_the_times, swap_the_file],
    "a.txt has 6 bytes": [lambda directory: (directory / "a.txt").write_text("alphaa")],
    "a.txt is missing": [lambda directory: (directory / "a.txt").unlink()],
    "record.json is missing": [lambda directory: (directory / "record.json").unlink()],
    "record.json is damaged": [lambda directory: (directory / "record.json").write_text('{"stage": "ro')],
    "record.json was altered": [edit_the_record],
}


@pytest.mark.parametrize("seen_before", [True, False], ids=["seen", "unseen"])
@pytest.mark.parametrize(("problem", "damage"), [(text, one) for text, many in DAMAGE.items() for one in many])
def test_a_damaged_artifact_is_never_trusted_and_is_made_again(store, problem, damage, seen_before):
    ref = publish(store, {"a.txt": "alpha", "b.txt": "beta"})
    directory = store.path(ref)
    if seen_before:
        see(store, ref)
    damage(directory)

    found = store.inspect("rollout", ref.key)
    assert found.ref is None
    assert found.problem.startswith(f"rollout/{directory.name}: {problem}")
    assert list(store.records()) == []
    assert [(one.path, problem in one.why) for one in store.problems()] == [(directory, True)]

    assert publish(store, {"a.txt": "alpha", "b.txt": "beta"}) == ref
    assert store.lookup("rollout", ref.key) == ref
    assert store.problems() == []
    assert len(list(store.damaged.iterdir())) == 1


def test_an_alteration_that_no_time_shows_is_found_by_a_deep_look(store):
    ref = publish(store, {"a.txt": "alpha"})
    assert store.verify(ref, deep=True) is None
    flip_a_byte(store.path(ref))
    # What silent damage on the disk looks like: the remembered signature is that of the damaged file.
    stat = (store.path(ref) / "a.txt").stat()
    signature = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
    sidecar = sidecar_of(store, ref)
    sidecar.parent.mkdir(exist_ok=True)
    sidecar.write_text(json.dumps({"a.txt": signature}))
    assert store.verify(ref) is None
    assert store.verify(ref, deep=True).startswith("a.txt was altered")
    assert store.lookup("rollout", ref.key) is None


def test_an_alteration_in_the_same_moment_as_a_look_is_found(store):
    """The clock of a file system ticks slowly: times alone cannot tell two changes within a tick apart."""
    for seed in range(50):
        ref = publish(store, {"a.txt": "alpha"}, seed=seed)
        assert store.lookup("rollout", ref.key) == ref
        flip_a_byte(store.path(ref))
        assert store.lookup("rollout", ref.key) is None


@pytest.mark.parametrize("content", ["", "[]", '{"a.txt": "x"}', "{", "[1]"])
def test_a_damaged_memory_of_verified_files_does_no_harm(store, content):
    ref = publish(store, {"a.txt": "alpha"})
    sidecar = sidecar_of(store, ref)
    sidecar.parent.mkdir(exist_ok=True)
    sidecar.write_text(content)
    assert store.lookup("rollout", ref.key) == ref


def test_verify_tells_when_an_artifact_was_made_again_with_other_bytes(store):
    ref = publish(store, {"a": "1"})
    (store.path(ref) / "a").unlink()
    publish(store, {"a": "2"})
    assert "with other bytes" in store.verify(ref)


def test_verify_and_path_tell_of_an_artifact_that_is_not_there(store, home, tmp_path):
    ref = publish(ArtifactStore(tmp_path / "other"), {"a": "1"})
    assert f"is not in {home}" in store.verify(ref)
    with pytest.raises(ArtifactError) as raised:
        store.path(ref)
    assert raised.value.item == ref.id


@pytest.mark.parametrize("make", [lambda output: None, lambda output: (output / "link").symlink_to("/etc/hostname")])
def test_an_empty_output_or_a_link_is_not_published(store, make):
    output = store.workspace("rollout", KEY) / "output"
    make(output)
    with pytest.raises(ArtifactError) as raised:
        store.publish("rollout", KEY, "demo", version=1, config={}, inputs={}, experiment="demo")
    assert raised.value.item == str(next(output.iterdir(), output))
    assert store.lookup("rollout", KEY) is None


def test_records_can_be_asked_for_by_stage(store):
    specs = publish(store, {"a": "1"}, stage="specs")
    rollout = publish(store, {"a": "1"})
    assert [record.ref for record in store.records()] == [rollout, specs]
    assert [record.ref for record in store.records("specs")] == [specs]
    assert list(store.records("nothing")) == []


def test_a_record_refuses_fields_it_does_not_know(store):
    ref = publish(store, {"a": "1"})
    values = store.record(ref).model_dump(mode="json")
    with pytest.raises(ValueError, match="surprise"):
        ArtifactRecord.model_validate({**values, "surprise": 1})


def test_a_home_that_is_a_file_or_lies_below_one_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for home in (tmp_path / "file", tmp_path / "file" / "below"):
        for make in (True, False):
            with pytest.raises(ArtifactError) as raised:
                ArtifactStore(home, make=make)
            assert raised.value.item == str(home)


def test_a_home_is_made_with_its_parents(tmp_path):
    store = ArtifactStore(tmp_path / "a" / "b")
    assert publish(store, {"a": "1"}) == next(store.records()).ref


def test_a_home_that_is_only_looked_into_is_not_made(tmp_path):
    store = ArtifactStore(tmp_path / "a" / "b", make=False)
    assert (list(store.records()), store.problems(), store.workspaces()) == ([], [], [])
    assert store.lookup("specs", "0" * 64) is None
    assert list(tmp_path.iterdir()) == []


def test_naming_an_artifact_by_any_unique_part(store):
    one = publish(store, {"a": "1"}, name="demo-i1", seed=1)
    other = publish(store, {"a": "1"}, name="demo-i2", seed=2)
    own = one.id.partition("/")[2]
    for name in (one.id, own, "demo-i1", "rollout/demo-i1", one.key, one.key[:6], one.id[:-2], str(store.path(one))):
        assert store.resolve(name) == one
    assert store.resolve("rollout/demo-i2") == other


def test_four_digits_of_a_key_are_a_name_and_three_are_not(store):
    ref = publish(store, {"a": "1"}, name="demo")
    assert store.resolve(ref.key[:4]) == ref
    with pytest.raises(ArtifactError) as raised:
        store.resolve(ref.key[:3])
    assert raised.value.item == ref.key[:3]


@pytest.mark.parametrize(("age_ns", "is_remembered"), [(50_000_000, False), (50_000_001, True)])
@pytest.mark.parametrize("hours", [None, 1, -1], ids=["written", "dated ahead", "dated back"])
def test_a_file_that_has_just_changed_is_not_remembered_as_verified(
    tmp_path, monkeypatch, hours, age_ns, is_remembered
):
    """Within a tick of the clock it could change again without moving its times."""
    path, sidecar = tmp_path / "files" / "a", tmp_path / "sidecar.json"
    path.parent.mkdir()
    path.write_text("1")
    if hours is not None:
        dated = path.stat().st_mtime_ns + hours * 3600 * 10**9
        os.utime(path, ns=(dated, dated))
    newest = max(path.stat().st_mtime_ns, path.stat().st_ctime_ns)
    monkeypatch.setattr(time, "time_ns", lambda: newest + age_ns)
    entry = FileEntry(sha256=sha256_file(path), size=1)
    assert find_problem(path.parent, {"a": entry}, sidecar) is None
    assert sidecar.exists() == is_remembered


def test_an_ambiguous_name_lists_its_candidates(store):
    refs = [publish(store, {"a": "1"}, seed=seed) for seed in range(3)]
    with pytest.raises(ArtifactError) as error:
        store.resolve("demo")
    assert all(ref.id in str(error.value) for ref in refs)


def test_an_exact_name_goes_before_a_longer_one(store):
    exact = publish(store, {"a": "1"}, name="demo", seed=1)
    publish(store, {"a": "1"}, name="demo-i1", seed=1.0)
    assert store.resolve("demo") == exact


def test_an_unknown_name_is_answered_with_the_nearest(store):
    with pytest.raises(ArtifactError, match="`leap run`"):
        store.resolve("demo")
    ref = publish(store, {"a": "1"}, name="baseline")
    with pytest.raises(ArtifactError, match=ref.id):
        store.resolve("baselin" + ref.id[-9:])
    with pytest.raises(ArtifactError, match="`leap artifacts list`"):
        store.resolve("///")
    with pytest.raises(ArtifactError, match=f"`leap artifacts list {ref.stage}`"):
        store.find(ref.stage, "///")
    with pytest.raises(ArtifactError, match="stage training"):
        store.find("training", "demo")


def test_a_key_of_a_stage_is_not_found_under_another_stage(store):
    ref = publish(store, {"a": "1"}, stage="specs")
    assert store.lookup("rollout", ref.key) is None
    assert ref.key == stage_key("specs", 1, {}, {})


@pytest.mark.parametrize("name", ["adapter_config.json", "base/model.bin", ".hidden"])
def test_what_the_record_does_not_list_is_damage_and_is_set_aside_not_deleted(store, name):
    ref = publish(store, {"a.txt": "alpha"})
    see(store, ref)
    stranger = store.path(ref) / name
    stranger.parent.mkdir(exist_ok=True)
    stranger.write_text("mine")
    assert "is not in the record" in store.verify(ref)
    assert store.lookup("rollout", ref.key) is None
    assert publish(store, {"a.txt": "alpha"}) == ref
    (aside,) = store.damaged.iterdir()
    assert (aside / name).read_text() == "mine"


def test_what_file_managers_leave_is_no_damage_and_a_link_is(store, tmp_path):
    ref = publish(store, {"a.txt": "alpha"})
    (store.path(ref) / ".DS_Store").write_text("")
    assert store.verify(ref) is None
    (tmp_path / "same").write_text("alpha")
    (store.path(ref) / "a.txt").unlink()
    (store.path(ref) / "a.txt").symlink_to(tmp_path / "same")
    assert "not a regular file" in store.verify(ref)


def endless(path):
    path.symlink_to("/dev/zero")


def huge(path):
    with path.open("wb") as file:
        file.truncate(10**11)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, endless, huge])
def test_a_record_that_is_no_small_file_is_damage_and_never_waited_for(store, make):
    ref = publish(store, {"a": "1"})
    record = store.path(ref) / "record.json"
    record.unlink()
    make(record)
    assert store.lookup("rollout", ref.key) is None
    assert "record.json cannot be read" in store.problems()[0].why


@pytest.mark.parametrize("name", ["/etc/hostname", "../x", "a/../../x", "a\0", "", "record.json", "A"])
def test_a_record_lists_only_files_of_its_own(store, name):
    ref = publish(store, {"a": "1"})
    path = store.path(ref) / "record.json"
    values = json.loads(path.read_text())
    values["files"][name] = values["files"]["a"]
    path.write_text(json.dumps(values))
    assert "record.json is damaged: it lists" in store.problems()[0].why


def test_a_lock_that_is_a_pipe_is_told(store):
    pipe = store.home / ".locks" / f"rollout-{KEY[:16]}.lock"
    os.mkfifo(pipe)
    with pytest.raises(ArtifactError) as raised, store.lock("rollout", KEY):
        pass
    assert raised.value.item == str(pipe)


def test_a_folder_in_the_place_of_the_card_is_a_stranger(home):
    store = ArtifactStore(home)
    ref = publish(store, {"a": "text"})
    (store.path(ref) / "README.md").mkdir()
    (store.path(ref) / "README.md" / "adapter_config.json").write_text("{}")
    assert "README.md" in store.verify(ref)


def test_a_pipe_that_a_stage_leaves_is_not_published(home):
    store = ArtifactStore(home)
    pipe = store.workspace("rollout", "a" * 64) / "output" / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ArtifactError) as raised:
        store.publish("rollout", "a" * 64, "one", version=1, config={}, inputs={}, experiment="one")
    assert raised.value.item == str(pipe)


def test_folders_within_folders_that_hold_nothing_are_no_part_of_an_artifact(home):
    store = ArtifactStore(home)
    output = store.workspace("rollout", "a" * 64) / "output"
    (output / "empty" / "too").mkdir(parents=True)
    (output / "a").write_text("text")
    ref = store.publish("rollout", "a" * 64, "one", version=1, config={}, inputs={}, experiment="one")
    assert store.verify(ref) is None


def test_names_that_differ_by_case_alone_are_not_published(home):
    store = ArtifactStore(home)
    output = store.workspace("rollout", "a" * 64) / "output"
    for name in ("Model", "model"):
        (output / name).write_text("text")
    with pytest.raises(ArtifactError, match=str(output)):
        store.publish("rollout", "a" * 64, "one", version=1, config={}, inputs={}, experiment="one")


def test_a_name_that_would_forge_a_line_is_damage(home):
    store = ArtifactStore(home)
    ref = publish(store, {"a": "text"})
    path = store.path(ref) / "record.json"
    path.write_text(path.read_text().replace('"name": "demo"', '"name": "demo\\nok"'))
    (problem,) = store.problems()
    assert "not printable" in problem.why
