"""From a GGUF file of SmolLM2 to a model directory, by transformers and the package `gguf`.

transformers refuses to save a model that it has read from GGUF, so its numbers go into a fresh one. They are exact in
fp32 alone: GGUF holds a few bits for each, and a scale for some tens of them.
"""

from contextlib import redirect_stderr
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

from leap_core.disk.files import write_json
from leap_core.errors import MissingPackageError
from leap_core.students.model_files import read_json_object

_VERSION = "transformers_version"
_CONFIG, _GENERATION, _TOKENIZER = "config.json", "generation_config.json", "tokenizer_config.json"
_ABOUT_THE_FILE = ("quantization_config", "_name_or_path", "_model_name_or_path", _VERSION)
_ABOUT_THE_LOADING = ("is_local", "local_files_only", "name_or_path", "gguf_file")


def convert(gguf: Path, directory: Path, install: str) -> None:
    """Write the model of a GGUF file with its tokenizer and chat template to a new `directory`.

    The same file gives the same bytes, wherever it is. `install` says how to get what is missing.

    Raises:
        MissingPackageError: the package `gguf` is not installed.
    """
    if find_spec("gguf") is None:
        raise MissingPackageError("gguf", f"Reading {gguf.name}", install)
    with redirect_stderr(StringIO()):  # transformers draws bars there, one of which nothing switches off
        _save_model(gguf, directory)
        _save_tokenizer(gguf, directory)


def _save_model(gguf: Path, directory: Path) -> None:
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    read = LlamaForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32)
    settings = {name: value for name, value in read.config.to_dict().items() if name not in _ABOUT_THE_FILE}
    config = LlamaConfig(**settings)
    with torch.device("meta"):
        fresh = LlamaForCausalLM(config)
    fresh.load_state_dict(read.state_dict(), assign=True)
    fresh.tie_weights()
    fresh.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id, eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id
    )
    fresh.save_pretrained(directory)
    for name in (_CONFIG, _GENERATION):
        _drop(directory / name, _ABOUT_THE_FILE)


def _save_tokenizer(gguf: Path, directory: Path) -> None:
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    # transformers does not read the file's `tokenizer.ggml.pre`, which says that digits stand alone. Without this,
    # blanks and line breaks before a number would be other tokens than the model has learned.
    split = [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence(split)
    tokenizer.model_max_length = read_json_object(directory / _CONFIG)["max_position_embeddings"]
    tokenizer.save_pretrained(directory)
    _drop(directory / _TOKENIZER, _ABOUT_THE_LOADING)


def _drop(path: Path, names: tuple[str, ...]) -> None:
    """Write a JSON file again without what says where it came from and not what it is."""
    write_json(path, {name: value for name, value in read_json_object(path).items() if name not in names})
