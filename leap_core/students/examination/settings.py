"""Checks of a model's config.json before any library trusts it: sizes within bounds, quantization, remote code."""

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from leap_core.students.examination.findings import Notes, Purpose
from leap_core.students.examination.weights import Tensor
from leap_core.students.matching import first_of
from leap_core.students.model_files import read_json_object

CONFIG = "config.json"
_MOST = {
    "layer": 2_000,
    **dict.fromkeys(("head", "expert"), 20_000),
    **dict.fromkeys(("vocab", "size", "dim", "embd", "inner", "d_model"), 10_000_000),
    "position": 10**9,
}
"""Upper bounds on numbers by a part of their name, far above any real model: beyond them, building it would hang."""
_MOST_EXPERTS_IN_ALL = 500_000
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers")
_POSITIVE = (*_LAYERS, "hidden_size", "n_embd", "num_attention_heads", "n_head", "vocab_size", "d_model")
_NO_SIZE = ("token_id", "_idx", "index", "theta")


_READ_BY = {
    "bitsandbytes": ("bitsandbytes",),
    "gptq": ("optimum", "gptqmodel"),
    "awq": ("gptqmodel",),
    "aqlm": ("aqlm",),
    "hqq": ("hqq",),
    "eetq": ("kernels",),
    "torchao": ("torchao",),
    "compressed-tensors": ("compressed_tensors",),
    "quanto": ("optimum.quanto",),
    "auto-round": ("auto_round",),
    "quark": ("quark",),
    "higgs": ("flute",),
    "vptq": ("vptq",),
    "spqr": ("spqr_quant",),
    "fbgemm_fp8": ("fbgemm_gpu",),
}
"""The packages that read weights of each quantization."""
_TRAINABLE = frozenset({"bitsandbytes", "gptq", "awq", "aqlm", "hqq", "eetq", "torchao"})
"""Quantizations of a base that a low-rank adapter can be trained on."""
_FEW_BITS = frozenset({"I8", "U8", "I32", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F4"})


def read_settings(directory: Path, notes: Notes) -> dict[str, Any] | None:
    """Read config.json; None if it cannot be used, with the reason in `notes`."""
    if not (directory / CONFIG).exists():
        notes.error("config", f"{directory / CONFIG} is missing", remedy="Download the model with all its files.")
        return None
    with notes.catching("config"):
        settings = read_json_object(directory / CONFIG)
        _check_sizes(settings, notes)
        if "model_type" not in settings:
            notes.error("config", f"{CONFIG} has no model_type", "one that transformers has, such as 'llama'")
        if "transformers_weights" in settings:
            came = f"{CONFIG} names its weights' file by itself (transformers_weights)"
            notes.error("config", came, remedy="Remove that line, and name the file model.safetensors.")
        return settings
    return None


def _check_sizes(settings: dict[str, Any], notes: Notes) -> None:
    numbers = list(_numbers(settings))
    absurd = [
        f"{path} = {value}" for path, value in numbers if value > _most(path) or (path in _POSITIVE and value < 1)
    ]
    if absurd:
        notes.error("config", f"{CONFIG} has sizes that no model has: {first_of(absurd)}", remedy="Mend the file.")
        return
    layers = max((value for path, value in numbers if path.rpartition(".")[2] in _LAYERS), default=1)
    experts = max((value for path, value in numbers if "num" in path and "expert" in path), default=1)
    if layers * experts > _MOST_EXPERTS_IN_ALL:
        notes.error(
            "config", f"{CONFIG} has {layers} layers of {experts} experts: no model has", remedy="Mend the file."
        )


def _numbers(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _numbers(child, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for child in value:
            yield from _numbers(child, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value


def _most(path: str) -> float:
    name = path.rpartition(".")[2].lower()
    if any(part in name for part in _NO_SIZE):
        return float("inf")
    return min((most for part, most in _MOST.items() if part in name), default=float("inf"))


def num_layers(settings: dict[str, Any]) -> int:
    """The number of layers by config.json, a lower bound."""
    return max((int(value) for path, value in _numbers(settings) if path in _LAYERS), default=0)


def quantization_of(settings: dict[str, Any]) -> str | None:
    """The name of the quantization method; None if the model is not quantized."""
    found = settings.get("quantization_config")
    if not isinstance(found, dict):
        return None
    if found.get("load_in_4bit") or found.get("load_in_8bit"):
        return "bitsandbytes"
    return str(found.get("quant_method"))


def check_quantization(settings: dict[str, Any], tensors: Mapping[str, Tensor], purpose: Purpose, notes: Notes) -> None:
    """Check that quantized weights can be read here, and trained as configured."""
    method = quantization_of(settings)
    if method is None:
        _check_plain_numbers(tensors, notes)
        return
    missing = [name for name in _READ_BY.get(method, ()) if not _is_installed(name)]
    remedy = "Or take the model that is not quantized."
    if missing:
        install = " ".join(name.replace("_", "-").replace(".", "-") for name in missing)
        came = f"its weights are quantized ({method}), and what reads them is not installed here"
        notes.error("quantization", came, f"the package {install}", f"pip install {install}. {remedy}")
    training, trains = purpose.training, method in _TRAINABLE
    if training is not None and training.method == "full":
        came = f"its weights are quantized ({method}), and training.method = 'full' cannot change such weights"
        notes.error("quantization", came, remedy=f"--set training.method=lora. {remedy}" if trains else remedy)
    elif training is not None and not trains:
        came = f"its weights are quantized ({method}), and no low-rank adapter can be trained on such weights"
        notes.error("quantization", came, remedy="Take the model that is not quantized.")


def _check_plain_numbers(tensors: Mapping[str, Tensor], notes: Notes) -> None:
    """Check that low-bit weights come with a quantization_config: without its scales they mean nothing."""
    found = [name for name, tensor in tensors.items() if tensor.dtype in _FEW_BITS and len(tensor.shape) > 1]
    if found:
        came = f"weights are stored as {tensors[found[0]].dtype}, but config.json has no quantization_config"
        notes.error(
            "quantization",
            f"{came}: {first_of(found)}",
            remedy="Take the model that is not quantized, or its whole config.json.",
        )


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # of "a.b", where there is no "a"
        return False
