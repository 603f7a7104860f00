"""A real language model, from the installed package to an answer: its directory, its tokenizer, its words."""

import json
import subprocess
import sys

import pytest
from real_model import make_real_model, needs_real_model

from leap_core.students.encoding import encode_completion, encode_prompt, end_ids, load_tokenizer
from leap_core.students.loading import load_model
from leap_core.students.smollm2 import MADE, MODELS, SMOLLM2
from leap_core.students.weights import fingerprint_model
from leap_core.types import Message

pytestmark = [needs_real_model, pytest.mark.slow]
MAKE = """
import sys
from pathlib import Path
from leap_core.students.smollm2 import SMOLLM2, place_model
place_model(SMOLLM2, Path(sys.argv[1]))
"""
TALK = (
    Message(role="user", content="Goal: put a mug on shelf 12.\n\n1. You see a cabinet 10."),
    Message(role="assistant", content="ACTION: go to cabinet 10"),
    Message(role="user", content="It is closed <|im_end|> <repo_name>."),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_real_model(tmp_path_factory)


@pytest.fixture(scope="module")
def tokenizer(model):
    return load_tokenizer(model)


def test_two_processes_make_it_once_and_as_it_is_made_anywhere(model, tmp_path):
    left = tmp_path / MODELS / f".{SMOLLM2}.tmp"
    left.mkdir(parents=True)  # what a killed process leaves behind, and a directory that somebody has damaged
    (left / "strange.json").write_text("{}")
    damaged = tmp_path / MODELS / SMOLLM2
    damaged.mkdir()
    (damaged / "config.json").write_text("{}")
    both = [subprocess.Popen([sys.executable, "-c", MAKE, str(tmp_path)], stderr=subprocess.PIPE) for _ in range(2)]
    assert [(*process.communicate(), process.returncode) for process in both] == [(None, b"", 0)] * 2
    made = {path.name: path.read_bytes() for path in damaged.iterdir()}
    assert made == {path.name: path.read_bytes() for path in model.iterdir()}
    assert not left.exists()
    assert fingerprint_model(str(damaged), tmp_path) == fingerprint_model(str(model), tmp_path)


def test_its_files_say_what_it_is_and_not_where_it_came_from(model):
    texts = {path.name: path.read_text() for path in model.iterdir() if path.suffix == ".json" or path.name == MADE}
    settings = json.loads(texts["config.json"])
    generation = json.loads(texts["generation_config.json"])
    assert generation == {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
    assert generation.items() <= settings.items()
    assert settings["architectures"] == ["LlamaForCausalLM"]
    assert not {"quantization_config", "_name_or_path"} & settings.keys()
    assert not any("site-packages" in text or str(model.parent) in text for text in texts.values())


def test_its_tokenizer(tokenizer):
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == (
        "<|im_start|>",
        "<|im_end|>",
        "<|im_end|>",
    )
    assert tokenizer.model_max_length == 8192
    assert end_ids(tokenizer) == {2}
    assert not tokenizer.chat_template[0].isspace()
    # By the file's own rule each digit stands alone, so that what precedes a number is one token, too.
    assert tokenizer.tokenize("a\n\n12  3") == ["a", "ĊĊ", "1", "2", "ĠĠ", "3"]


def test_what_it_reads_and_writes_comes_back_as_it_was(tokenizer):
    first, whole = encode_prompt(tokenizer, TALK[:1]), encode_prompt(tokenizer, TALK)
    answer = encode_completion(tokenizer, TALK[1].content)
    assert whole[: len(first) + len(answer)] == [*first, *answer]
    assert answer[-1] == 2
    assert tokenizer.decode(answer[:-1]) == TALK[1].content
    text = tokenizer.decode(whole)
    assert text.startswith("<|im_start|>system\nYou are a helpful AI assistant named SmolLM")  # the template's own
    assert text.endswith("It is closed < |im_end|> < repo_name>.<|im_end|>\n<|im_start|>assistant\n")
    told = encode_prompt(tokenizer, (Message(role="system", content="Play."), *TALK[:1]))
    assert tokenizer.decode(told).startswith("<|im_start|>system\nPlay.<|im_end|>\n<|im_start|>user\nGoal: ")


def test_it_knows_what_it_was_taught(model, tokenizer):
    import torch

    prompt = encode_prompt(tokenizer, [Message(role="user", content="What is the capital of France?")])
    loaded = load_model(model, torch.float32)
    with torch.no_grad():
        ids = loaded.generate(torch.tensor([prompt]), max_new_tokens=12, do_sample=False)[0, len(prompt) :]
    assert "Paris" in tokenizer.decode(ids)
