"""Where a student's weights are, and what a model from outside is known by."""

import json
import os
import shutil

import pytest

from leap_core.errors import StudentError
from leap_core.students.weights import (
    BUNDLED,
    BUNDLED_DIRECTORY,
    find_model,
    fingerprint_model,
    has_weights,
    locate_model,
    require_model,
    resolve_model,
    write_source,
)

FILES = {
    "config.json": '{"model_type": "llama"}',
    "model.safetensors": "weights",
    "tokenizer.json": "{}",
    "chat_template.jinja": "{{ messages }}",
}


def write_model(directory, files=FILES):
    directory.mkdir(parents=True)
    for name, text in files.items():
        (directory / name).write_text(text)
    return directory


def write_adapter(directory, base):
    config = {"peft_type": "LORA", "base_model_name_or_path": base}
    return write_model(directory, {"adapter_config.json": json.dumps(config), "adapter_model.safetensors": "few"})


@pytest.fixture
def fingerprint(tmp_path):
    return lambda model: fingerprint_model(str(model), tmp_path / "cache")


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "model")


def test_the_same_files_elsewhere_are_the_same_model(fingerprint, model, tmp_path):
    first = fingerprint(model)
    copy = shutil.copytree(model, tmp_path / "elsewhere" / "copy")
    (copy / "README").write_text("not the model")
    os.utime(copy / "model.safetensors", (1, 1))
    assert fingerprint(copy) == first
    assert len(first) == 64


@pytest.mark.parametrize("name", FILES)
def test_any_other_file_makes_another_model(fingerprint, model, name):
    first = fingerprint(model)
    (model / name).write_text(FILES[name] + " ")
    changed = fingerprint(model)
    (model / name).write_text(FILES[name])
    again = fingerprint(model)
    (model / name).rename(model / f"other-{name}")
    (model / "config.json").touch()
    assert (again, len({first, changed, fingerprint(model)})) == (first, 3)


def test_a_change_that_neither_size_nor_time_shows_is_seen(fingerprint, model):
    weights = model / "model.safetensors"
    first, before = fingerprint(model), weights.stat()
    weights.write_text("WEIGHTS")
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert fingerprint(model) != first


def test_what_has_not_changed_is_not_read_again(fingerprint, model, tmp_path):
    first, remembered = fingerprint(model), tmp_path / "cache" / ".verified" / "models.json"
    remembered.write_text(json.dumps(dict.fromkeys(json.loads(remembered.read_text()), "poisoned")))
    assert fingerprint(model) != first


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", "7", "null"])
def test_a_damaged_memory_of_hashes_does_no_harm(fingerprint, model, tmp_path, content):
    first = fingerprint(model)
    (tmp_path / "cache" / ".verified" / "models.json").write_text(content)
    assert fingerprint(model) == first


@pytest.mark.parametrize("model", ["gpt2", "org/name"])
def test_a_hub_id_stands_for_itself(fingerprint, model):
    assert fingerprint(model) == f"hub:{model}"
    assert find_model(model) is None


def test_an_adapter_is_what_it_and_its_base_are(fingerprint, tmp_path):
    adapter = write_adapter(tmp_path / "adapter", "base")
    base = write_model(adapter / "base")
    first = fingerprint(adapter)
    assert fingerprint(shutil.copytree(adapter, tmp_path / "moved")) == first
    (base / "model.safetensors").write_text("others")
    with_other_base = fingerprint(adapter)
    (base / "model.safetensors").write_text(FILES["model.safetensors"])
    (adapter / "adapter_model.safetensors").write_text("more")
    assert len({first, with_other_base, fingerprint(adapter)}) == 3


def test_the_base_of_an_adapter_may_lie_elsewhere(fingerprint, model, tmp_path):
    adapter = write_adapter(tmp_path / "adapter", str(model))
    first = fingerprint(adapter)
    (model / "model.safetensors").write_text("others")
    assert fingerprint(adapter) != first


def test_the_base_of_an_adapter_may_be_on_the_hub(fingerprint, tmp_path):
    one, other = (write_adapter(tmp_path / name, f"org/{name}") for name in ("one", "other"))
    assert fingerprint(one) != fingerprint(other)


@pytest.mark.parametrize(
    "config", ["{", "[]", "{}", '{"base_model_name_or_path": null}', '{"base_model_name_or_path": ""}']
)
def test_an_adapter_that_does_not_name_its_base_is_refused(fingerprint, tmp_path, config):
    adapter = write_model(tmp_path / "adapter", {"adapter_config.json": config})
    with pytest.raises(StudentError, match=r"adapter_config\.json"):
        fingerprint(adapter)


def test_an_adapter_whose_base_is_gone_is_refused(fingerprint, tmp_path):
    adapter = write_adapter(tmp_path / "adapter", str(tmp_path / "gone"))
    with pytest.raises(StudentError, match="gone") as raised:
        fingerprint(adapter)
    assert raised.value.item == str(adapter / "adapter_config.json")


@pytest.mark.parametrize("model", ["/no/such/model", "./model", "~/no-such-model", "a/b/c"])
def test_a_path_that_leads_nowhere_is_not_taken_for_a_hub_id(fingerprint, model):
    for look in (find_model, fingerprint):
        with pytest.raises(StudentError) as raised:
            look(model)
        assert raised.value.item == model


def test_a_directory_or_file_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file"):
        with pytest.raises(StudentError) as raised:
            find_model(str(path))
        assert raised.value.item == str(path)


def test_a_model_is_found_by_its_path_its_short_path_or_its_name(model, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert find_model(str(model)) == find_model("~/model") == model
    assert find_model("model").samefile(model)
    assert find_model(BUNDLED) == BUNDLED_DIRECTORY
    assert (resolve_model("~/model"), resolve_model("org/name")) == (str(model), "org/name")


def test_an_artifact_holds_the_model_or_says_that_it_is_elsewhere(model, tmp_path):
    assert locate_model(model, "org/name") == model
    outside = tmp_path / "outside"
    write_source(outside, "abc")
    assert locate_model(outside, "org/name") == "org/name"
    assert locate_model(outside, BUNDLED) == str(BUNDLED_DIRECTORY)
    assert json.loads((outside / "source.json").read_text()) == {"fingerprint": "abc"}


def write_cached(hub, model, files=FILES):
    """A model in a hub cache, as downloads leave it there."""
    cached = hub / f"models--{model.replace('/', '--')}"
    write_model(cached / "snapshots" / "abc", files)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("abc")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty hub cache; the hub itself is out of reach in all tests."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_a_model_on_this_machine_is_there(hub, model):
    write_cached(hub, "org/name")
    require_model("org/name")
    require_model(str(model))


@pytest.mark.parametrize("files", [{}, {"config.json": "{}", "tokenizer.json": "{}"}])
def test_a_model_without_weights_is_not_there(hub, files):
    write_cached(hub, "org/name", files)
    assert not has_weights("org/name")


def test_a_model_that_cannot_be_had_is_named_with_what_to_do(hub):
    with pytest.raises(StudentError, match="HF_HUB_OFFLINE") as raised:
        require_model("org/none")
    assert raised.value.item == "org/none"
