"""What the files of a brought model hold is told without loading it: damaged, missing, strange or endless ones."""

import json
import os
import shutil

import pytest
from brought_models import cut_into_shards, edit_json, edit_weights, errors_of, the_error_of, write_brought

from leap_core.errors import StudentError
from leap_core.students.examination.examine import examine_model
from leap_core.students.examination.findings import Purpose
from leap_core.students.examination.weights import read_header
from leap_core.students.model_files import read_json_object
from leap_core.students.weights import fingerprint_model

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 2000000\n"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_brought(tmp_path_factory.mktemp("brought") / "whole")


@pytest.fixture
def model(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "model")


def test_a_whole_model_has_no_findings_and_is_described(model):
    look = examine_model(model, Purpose())
    assert look.findings == ()
    assert look.facts["family"] == "llama, 2 layers"
    assert look.facts["context"] == "1,024 tokens"
    assert look.facts["chat template"] == "its own"


def test_shards_are_as_good_as_one_file(model):
    assert examine_model(cut_into_shards(model), Purpose()).findings == ()


def test_a_missing_shard_is_named(model):
    (cut_into_shards(model) / "model-00002-of-00002.safetensors").unlink()
    expected = "weights: 1 of the 2 files that model.safetensors.index.json names are missing: model-00002-of-00002"
    assert the_error_of(model).startswith(expected)


def test_shards_without_their_index_are_not_taken_for_the_model(model):
    (cut_into_shards(model) / "model.safetensors.index.json").unlink()
    assert "but no model.safetensors and no model.safetensors.index.json" in the_error_of(model)


def test_an_index_reaches_for_no_file_outside(model):
    edit_json(cut_into_shards(model), "model.safetensors.index.json", weight_map={"a": "../other.safetensors"})
    assert "../other.safetensors" in the_error_of(model)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (POINTER.encode(), "model.safetensors is a pointer of Git LFS, not the file itself. Fetch it: `git lfs pull`"),
        (b"\xff" * 1000, "model.safetensors is not a safetensors file"),
        (b"", "model.safetensors is not a safetensors file"),
        ((2).to_bytes(8, "little") + b"[]" + b"x" * 9, "is longer than it should be"),
        ((2).to_bytes(8, "little") + b"{x", "has a damaged header"),
    ],
)
def test_what_is_no_safetensors_file_is_told(model, content, told):
    (model / "model.safetensors").write_bytes(content)
    assert told in the_error_of(model)


def test_a_file_that_is_cut_off_is_told(model):
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert "model.safetensors is cut off: " in the_error_of(model)


@pytest.mark.parametrize(
    "entry", [{"shape": [2, 3]}, {"shape": [-1]}, {"data_offsets": [8, 0]}, {"dtype": 3, "shape": "x"}]
)
def test_a_header_with_impossible_sizes_is_refused(tmp_path, entry):
    header = json.dumps({"weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | entry}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(StudentError, match="damaged header"):
        read_header(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("pytorch_model.bin", "there are only pickled weights, pytorch_model.bin; opening such can run code"),
        ("model.gguf", "its weights are GGUF (model.gguf)"),
        ("tf_model.h5", "its weights are TensorFlow (tf_model.h5)"),
        ("training_args.bin", "there are no weights"),
    ],
)
def test_weights_of_other_kinds_are_named_with_what_to_do(model, name, told):
    (model / "model.safetensors").rename(model / name)
    error = the_error_of(model)
    assert told in error
    assert "convert" in error


def test_pickled_weights_are_never_opened(model):
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(b"cos\nmkdir\n(S'" + str(model / "ran").encode() + b"'\ntR.")
    errors_of(model)
    from leap_core.students.loading import load_model

    with pytest.raises(StudentError, match=r"model\.safetensors"):
        load_model(model, "auto")
    assert not (model / "ran").exists()


def test_a_named_pipe_in_place_of_any_file_hangs_nothing(whole, tmp_path):
    for name in (
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "generation_config.json",
    ):
        model = shutil.copytree(whole, tmp_path / name)
        (model / name).unlink()
        os.mkfifo(model / name)
        assert f"{name} is a named pipe, where a plain file is expected" in the_error_of(model)
        with pytest.raises(StudentError, match="named pipe"):
            fingerprint_model(str(model), tmp_path / "cache")


def test_a_device_or_a_file_without_end_is_not_read(model, tmp_path):
    (model / "config.json").unlink()
    (model / "config.json").symlink_to("/dev/zero")
    assert "config.json is a device" in the_error_of(model)
    (model / "config.json").unlink()
    with (model / "config.json").open("wb") as file:
        file.truncate(10**12)
    assert "config.json has 1,000,000 MB; a file of settings or of a tokenizer has at most" in the_error_of(model)
    with pytest.raises(StudentError, match="1,000,000 MB"):
        fingerprint_model(str(model), tmp_path / "cache")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a":' * 200_000 + "1" + "}" * 200_000, "is nested too deep to be read"),
        ('{"a":' * 300 + "1" + "}" * 300, "is nested deeper than 100 levels"),
        ('{"a": ', "is damaged, no JSON in UTF-8"),
        ("[1]", "holds list, where a JSON object is expected"),
        (POINTER, "is a pointer of Git LFS"),
    ],
)
def test_json_that_is_broken_or_deep_is_told(model, name, text, told):
    (model / name).write_text(text)
    error = the_error_of(model)
    assert name in error
    assert told in error


@pytest.mark.parametrize("text", ["\ufeff{}", '{"a": "\udcff"}', '{"a": ' + "9" * 5000 + "}"])
def test_json_that_python_refuses_is_told_too(tmp_path, text):
    (tmp_path / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(StudentError, match="is damaged, no JSON in UTF-8"):
        read_json_object(tmp_path / "config.json")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"num_hidden_layers": 1_000_000}, "sizes that no model has: num_hidden_layers = 1000000"),
        ({"vocab_size": 10**12}, "sizes that no model has: vocab_size = 1000000000000"),
        ({"hidden_size": 0}, "sizes that no model has: hidden_size = 0"),
        ({"text_config": {"num_experts": 10**9}}, "sizes that no model has: text_config.num_experts"),
        ({"num_hidden_layers": 1_900, "num_experts": 19_000}, "1900 layers of 19000 experts"),
        ({"num_hidden_layers": 1_000}, "config.json has 1,000 layers, and the files 21 weights"),
        ({"hidden_size": "x"}, "transformers cannot make this model"),
        ({"pad_token_id": 5_000}, "transformers cannot make this model: Padding_idx must be within num_embeddings"),
    ],
)
def test_absurd_sizes_are_told_and_never_made(model, settings, told):
    assert any(told in error for error in errors_of(edit_json(model, "config.json", **settings)))


def test_a_model_without_a_config_is_told(model):
    (model / "config.json").unlink()
    assert "neither config.json nor adapter_config.json" in the_error_of(model)


def test_all_that_is_wrong_is_told_at_once(model):
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    edit_json(model, "config.json", attn_implementation="flash_attention_2")
    (model / "tokenizer.json").write_text("{")
    look = examine_model(model, Purpose())
    assert [one.what for one in look.errors] == ["weights", "config", "tokenizer"]
    with pytest.raises(StudentError) as error:
        look.check()
    lines = str(error.value).splitlines()
    assert lines[0] == f"The model '{model}' cannot be used so:"
    assert [line.split(":")[0] for line in lines[1:]] == ["  weights", "  config", "  tokenizer"]


def test_weights_of_few_bits_need_a_word_on_their_scales(model):
    import torch

    name = "model.layers.0.mlp.up_proj.weight"
    edit_weights(model, lambda weights: weights.update({name: weights[name].to(torch.float8_e4m3fn)}))
    assert f"weights are stored as F8_E4M3, but config.json has no quantization_config: {name}" in the_error_of(model)


def test_names_in_files_steer_no_terminal(model):
    edit_weights(model, lambda weights: weights.update({"model.layers.1.\x1b[2J\u202e": weights.pop("lm_head.weight")}))
    edit_json(model, "config.json", model_type="llama", attn_implementation="\x1b[31mred")
    told = " ".join(errors_of(model))
    assert "model.layers.1.\\x1b[2J\\u202e" in told
    assert "\\x1b[31mred" in told
    assert told.isprintable()
