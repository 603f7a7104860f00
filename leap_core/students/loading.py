"""Loading a causal language model from a directory, a hub id, or an adapter directory.

An adapter directory names its base in adapter_config.json: a hub id, or a directory that is read relative to
the adapter (the trainer writes "base", a folder inside), so that artifacts can be moved.
"""

import json
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from leap_core.errors import ConfigError, StudentError

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")


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
            "that can, or take what there is: --set execution.device=auto."
        ) from error
    return name


def expand_home(source: Path | str) -> Path | str:
    """The same source, a leading "~" replaced by the home directory."""
    return Path(source).expanduser() if str(source).startswith("~") else source


def is_adapter(path: Path | str) -> bool:
    """Whether `path` is a directory with a PEFT adapter."""
    return (Path(path) / "adapter_config.json").is_file()


@contextmanager
def wrapping_in_adapter() -> Iterator[None]:
    """To make a `PeftModel` in, without a warning that no user can heed.

    PEFT 0.21 asks transformers 5.23 for a property by the name that is on its way out.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        yield


def tokenizer_source(path: Path | str) -> Path | str:
    """Where the tokenizer of a model is: beside an adapter if it was saved there, else with its base."""
    if is_adapter(path) and not (Path(path) / "tokenizer_config.json").is_file():
        return base_of_adapter(path)
    return path


def base_of_adapter(path: Path | str) -> Path | str:
    """The directory or hub id of the model that an adapter belongs to.

    Raises:
        StudentError: the adapter does not say, or what it names is not there.
    """
    file = Path(path) / "adapter_config.json"
    base = json.loads(file.read_text(encoding="utf-8")).get("base_model_name_or_path")
    if not base:
        raise StudentError(f"{file} has no base_model_name_or_path. Write the adapter's base there.")
    for candidate in (Path(path) / base, Path(base)):
        if candidate.is_dir():
            return candidate
    check_source(base, f"the base of the adapter {path}")
    return str(base)


def check_source(source: Path | str, what: str) -> None:
    """Raise StudentError unless `source` is a directory or could be a hub id; `what` is the word for the error."""
    if Path(source).is_dir() or (not Path(source).exists() and _HUB_ID.fullmatch(str(source))):
        return
    raise StudentError(
        f"No model at {str(source)!r} ({what}). Expected a directory with config.json and weights, a directory with "
        "adapter_config.json, or a hub id such as 'Qwen/Qwen2.5-0.5B-Instruct'."
    )


def load_model(source: Path | str, dtype: Any) -> Any:
    """Load a causal language model on the CPU, with SDPA attention where the model has it.

    Raises:
        StudentError: it is missing, damaged or not a causal language model.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    check_source(source, "student.model")
    try:
        return AutoModelForCausalLM.from_pretrained(str(source), dtype=dtype)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        why = " ".join(str(error).split()).rstrip(".")  # in one line
        raise StudentError(
            f"The model {str(source)!r} could not be loaded: {why}. Expected config.json and weights that belong "
            "together (safetensors), or a hub id that is in the local cache or can be reached."
        ) from error
