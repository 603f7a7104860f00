"""What the name `smollm2-135m` stands for, with and without the package that holds the model."""

import os
import shutil
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from leap_core.errors import MissingPackageError, StudentError
from leap_core.students.from_gguf import convert
from leap_core.students.smollm2 import GGUF, INSTALL, MADE, MODELS, ON_HUB, PACKAGE, SMOLLM2, find_gguf, place_model
from leap_core.students.weights import fingerprint_model

FILES = {"config.json": b"{}", "model.safetensors": b"weights", "tokenizer.json": b"[]"}


@pytest.fixture
def empty(tmp_path):
    """Where Python would look for packages, and finds none."""
    (tmp_path / "packages").mkdir()
    return [str(tmp_path / "packages")]


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty hub cache; the hub itself is out of reach in all tests."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def write_package(search, content=None):
    """A package of the name; importing it would fail, as without llama.cpp."""
    folder = Path(search[0], PACKAGE)
    folder.mkdir()
    (folder / "__init__.py").write_text("import llama_cpp_that_is_not_here\n")
    if content is not None:
        (folder / GGUF).write_bytes(content)


def write_made(home):
    """A directory as it is left behind by a home that has made the model."""
    directory = home / MODELS / SMOLLM2
    directory.mkdir(parents=True)
    for name, content in FILES.items():
        (directory / name).write_bytes(content)
    (directory / MADE).write_text("".join(f"{sha256(data).hexdigest()}  {name}\n" for name, data in FILES.items()))
    return directory


@pytest.mark.parametrize("model", ["tiny", "bundled", "gpt2", "org/name", "/no/such/path"])
def test_any_other_name_stands_for_itself(tmp_path, empty, model):
    assert place_model(model, tmp_path / "home", search=empty) == model
    assert not (tmp_path / "home").exists()


def test_a_directory_of_the_name_goes_first(tmp_path, empty, monkeypatch):
    write_made(tmp_path / "home")
    monkeypatch.chdir(tmp_path)
    (tmp_path / SMOLLM2).mkdir()
    (tmp_path / SMOLLM2 / "config.json").write_text("{}")
    assert place_model(SMOLLM2, tmp_path / "home", search=empty) == SMOLLM2


def test_what_was_made_needs_no_package_any_more(tmp_path, empty):
    made = write_made(tmp_path / "home")
    assert place_model(SMOLLM2, tmp_path / "home", search=empty) == str(made)


def damage(how, directory):
    weights = directory / "model.safetensors"
    if how == "no list":
        (directory / MADE).unlink()
    elif how == "empty list":
        (directory / MADE).write_text("")
    elif how == "list of no text":
        (directory / MADE).write_bytes(b"\xff\xfe")
    elif how == "file gone":
        weights.unlink()
    elif how == "file cut":
        weights.write_bytes(b"weig")
    elif how == "file changed":
        weights.write_bytes(b"WEIGHTS")
    else:
        weights.unlink()
        os.mkfifo(weights)


@pytest.mark.parametrize(
    "how", ["no list", "empty list", "list of no text", "file gone", "file cut", "file changed", "pipe"]
)
def test_a_damaged_directory_is_not_taken(tmp_path, empty, how):
    directory = write_made(tmp_path / "home")
    assert place_model(SMOLLM2, tmp_path / "home", search=empty) == str(directory)
    damage(how, directory)
    with pytest.raises(StudentError) as raised:
        place_model(SMOLLM2, tmp_path / "home", search=empty)
    assert raised.value.item == str(directory)
    assert INSTALL in str(raised.value)


def test_without_package_and_hub_the_error_says_what_to_type(tmp_path, empty, hub):
    with pytest.raises(StudentError, match="HF_HUB_OFFLINE") as raised:
        place_model(SMOLLM2, tmp_path / "home", search=empty)
    assert raised.value.item == SMOLLM2
    assert INSTALL in str(raised.value)
    assert not (tmp_path / "home").exists()


def test_without_package_a_model_from_the_hub_is_taken(tmp_path, empty, hub):
    snapshot = hub / f"models--{ON_HUB.replace('/', '--')}" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (snapshot / "model.safetensors").write_text("weights")
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    assert place_model(SMOLLM2, tmp_path / "home", search=empty) == ON_HUB


def test_the_package_is_found_without_being_imported(empty):
    assert find_gguf(empty) is None
    write_package(empty, b"GGUF")
    assert find_gguf(empty) == Path(empty[0], PACKAGE, GGUF)
    assert PACKAGE not in sys.modules


def test_a_package_without_the_file_is_none(empty):
    write_package(empty)
    assert find_gguf(empty) is None


def test_another_file_than_the_known_one_is_refused(tmp_path, empty):
    write_package(empty, b"GGUF")
    with pytest.raises(StudentError, match="--force-reinstall") as raised:
        place_model(SMOLLM2, tmp_path / "home", search=empty)
    assert raised.value.item == str(find_gguf(empty))
    assert not (tmp_path / "home" / MODELS / SMOLLM2).exists()


def test_without_the_reader_of_gguf_the_error_says_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(MissingPackageError) as raised:
        convert(tmp_path / GGUF, tmp_path / "made", INSTALL)
    assert raised.value.item == "gguf"
    assert INSTALL in str(raised.value)


def test_a_copy_elsewhere_is_the_same_model(tmp_path, empty):
    made = write_made(tmp_path / "home")
    copy = shutil.copytree(made, tmp_path / "copy")
    assert fingerprint_model(str(copy), tmp_path) == fingerprint_model(str(made), tmp_path)
