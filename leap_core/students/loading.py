"""Loading a causal language model from a directory, a hub id, or an adapter directory.

An adapter directory names its base in adapter_config.json: a hub id, or a directory that is read relative to
the adapter (the trainer writes "base", a folder inside), so that artifacts can be moved.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from leap_core.errors import ConfigError, StudentError
from leap_core.students.matching import (
    ADAPTER_NAME,
    MERGED_ADAPTERS,
    adapter_faults,
    load_errors,
    misfit_of,
    reason_of,
    weight_faults,
    why_it_writes_no_text,
)
from leap_core.students.model_files import read_json_object
from leap_core.students.weights import HUB_ID
from leap_core.students.weights import base_of_adapter as base_of_adapter
from leap_core.students.weights import is_adapter as is_adapter

ADAPTER_WEIGHTS = "adapter_model.safetensors"
_TOKENIZER_CONFIG = "tokenizer_config.json"
_TOKENIZER_JSON = ("tokenizer.json", _TOKENIZER_CONFIG, "special_tokens_map.json", "added_tokens.json", "vocab.json")
_LOOK = "`leap doctor model` says more."


def resolve_device(name: str) -> str:
    """The torch device that "auto" or a name stands for.

    Raises:
        ConfigError: torch cannot use a device of this name here.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:  # the latter from builds without CUDA
        why = str(error).partition("\n")[0]
        raise ConfigError(
            f"Config execution.device: torch cannot use {name!r} here: {why.rstrip('.')}. Install a build of torch "
            "that can, or take what there is: --set execution.device=auto.",
            item="execution.device",
        ) from error
    return name


def expand_home(source: Path | str) -> Path | str:
    """The same source, a leading "~" replaced by the home directory."""
    return Path(source).expanduser() if str(source).startswith("~") else source


@contextmanager
def wrapping_in_adapter() -> Iterator[None]:
    """A context to make a `PeftModel` in, without a warning that users can do nothing about.

    PEFT 0.21 reads a property of transformers 5.23 under its deprecated name.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        yield


def tokenizer_source(path: Path | str) -> Path | str:
    """Where the tokenizer of a model is: beside an adapter if it was saved there, else with its base."""
    if is_adapter(path) and not (Path(path) / _TOKENIZER_CONFIG).is_file():
        return base_of_adapter(path)
    return path


def open_model(source: Path | str, **how: Any) -> tuple[Any, dict[str, Any]]:
    """What transformers makes of a model's files, and its loading info, which `weight_faults` judges.

    Only safetensors are opened, and no code of the model's own runs.
    """
    from transformers import AutoModelForCausalLM

    model, info = AutoModelForCausalLM.from_pretrained(
        str(source),
        trust_remote_code=False,
        use_safetensors=True,
        ignore_mismatched_sizes=True,  # `weight_faults` does not
        output_loading_info=True,
        **how,
    )
    return model, info


def load_model(source: Path | str, dtype: Any) -> Any:
    """Load a causal language model on the CPU, with SDPA attention where the model has it.

    Raises:
        StudentError: it is missing, damaged or not a causal language model, or its weights are not those of its config.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()
    if not (Path(source).is_dir() or (not Path(source).exists() and HUB_ID.fullmatch(str(source)))):
        raise StudentError(
            f"No model at {str(source)!r} (student.model). Expected a directory with config.json and weights, a "
            "directory with adapter_config.json, or a hub id such as 'Qwen/Qwen2.5-0.5B-Instruct'."
        )
    try:
        model, info = open_model(source, dtype=dtype)
    except load_errors() as error:
        raise StudentError(
            f"The model {str(source)!r} could not be loaded: {reason_of(error)}. Expected config.json and weights that "
            f"belong together (safetensors), or a hub id that is in the local cache or can be reached. {_LOOK}"
        ) from error
    other = why_it_writes_no_text(model.config)
    if other is not None:
        raise StudentError(f"The model {str(source)!r} is no causal language model: {other}. {_LOOK}")
    faults = weight_faults(model, info)
    if faults:
        raise StudentError(
            f"The weights of {str(source)!r} do not belong to its config.json: {'; '.join(faults)}. {_LOOK}"
        )
    return model


def load_adapter(base: Any, adapter: Path | str, *, is_trainable: bool = False) -> Any:
    """Put the adapter in a directory on its `base`, a loaded model.

    Raises:
        StudentError: it is missing, damaged or of a type that cannot be merged, or its weights do not fit this base.
    """
    from peft import PeftConfig, PeftModelForCausalLM

    if not (Path(adapter) / ADAPTER_WEIGHTS).is_file():
        raise StudentError(f"The adapter {adapter} has no {ADAPTER_WEIGHTS}; others, pickled ones, are not opened.")
    try:
        config = PeftConfig.from_pretrained(str(adapter))
        if config.peft_type not in MERGED_ADAPTERS:
            raise ValueError(f"it is of the type {config.peft_type.value!r}, not of {', '.join(MERGED_ADAPTERS)}")
        config.inference_mode = not is_trainable
        with wrapping_in_adapter():
            model = PeftModelForCausalLM(base, config, ADAPTER_NAME)
            # What `PeftModel.from_pretrained` does too, which keeps what could not be loaded to itself.
            result = model.load_adapter(
                str(adapter),
                ADAPTER_NAME,
                is_trainable=is_trainable,
                key_mapping=getattr(base, "_checkpoint_conversion_mapping", {}),
            )
    except load_errors() as error:
        raise StudentError(
            f"The adapter {adapter} could not be put on its base: {misfit_of(error)}. {_LOOK}"
        ) from error
    faults = adapter_faults(result.missing_keys, result.unexpected_keys)
    if faults:
        raise StudentError(f"The adapter {adapter} does not belong to its base: {'; '.join(faults)}. {_LOOK}")
    return model


def read_tokenizer(source: Path | str) -> Any:
    """Load the tokenizer of a model directory or hub id, as it is; no code of its own runs.

    Raises:
        StudentError: there is none, or its files are damaged.
    """
    from transformers import AutoTokenizer

    # Where a file that transformers would read as JSON is too large or nested too deep, this raises.
    files = {name: read_json_object(path) for name in _TOKENIZER_JSON if (path := Path(source) / name).exists()}
    try:
        return AutoTokenizer.from_pretrained(str(source), trust_remote_code=False)
    except Exception as error:
        # The package `tokenizers` raises the bare class, for a file that it cannot read.
        if type(error) is not Exception and not isinstance(error, load_errors()):
            raise
        if files.get(_TOKENIZER_CONFIG, {}).get("auto_map"):
            raise StudentError(
                f"The tokenizer of {str(source)!r} is code of its own (auto_map in {_TOKENIZER_CONFIG}), never "
                "run here. Give a model with a tokenizer.json of a kind that transformers has."
            ) from error
        raise StudentError(
            f"No tokenizer could be loaded from {str(source)!r}: {reason_of(error)}. Expected the files of a Hugging "
            "Face tokenizer (tokenizer.json, tokenizer_config.json) in a model directory, or a hub id."
        ) from error
