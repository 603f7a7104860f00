"""A model built from its config.json and the headers of its files, on torch's device "meta": no weight is read.

It is made by transformers' own loading, so that renamed, fused and tied weights are understood as they will be when the
model is loaded. The first use imports torch, which takes a second or two.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from leap_core.students.examination.findings import Notes
from leap_core.students.examination.settings import quantization_of
from leap_core.students.loading import open_model
from leap_core.students.matching import load_errors, reason_of, weight_faults, why_it_writes_no_text

_OF_ONE_MODEL = "config.json and the weights must be those of one model: download both again."
_OWN_ATTENTION = (None, "sdpa", "eager")
_TAKE_ANOTHER = (
    "Take a model that writes text from left to right (a ...ForCausalLM), for example of Llama, Qwen or Mistral."
)


@contextmanager
def quietly() -> Iterator[None]:
    """Silence what libraries print: what matters of it is in the findings."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)


def make_skeleton(directory: Path, settings: dict[str, Any], has_weights: bool, notes: Notes) -> Any:
    """Return the model without its weights; None if it cannot be built.

    Whether its weights are all there and of the right shapes is looked at where `has_weights` says that their files are
    whole, and they are not quantized: those get their shapes only from the package that reads them.
    """
    if _has_code_of_its_own(settings, notes):
        return None
    with quietly():
        try:
            return _make(directory, settings, has_weights, notes)
        except load_errors() as error:
            notes.error("config", f"transformers cannot make this model: {reason_of(error)}", remedy=_OF_ONE_MODEL)
    return None


def _has_code_of_its_own(settings: dict[str, Any], notes: Notes) -> bool:
    from transformers import CONFIG_MAPPING, __version__

    kind = settings.get("model_type")
    if kind is None or kind in CONFIG_MAPPING:
        return kind is None
    came = f"transformers {__version__} has no model_type {kind!r}"
    if settings.get("auto_map"):
        came += "; its own code (auto_map) is never run here"
    close = get_close_matches(str(kind), CONFIG_MAPPING, n=1, cutoff=0.6)
    hint = f"Did you mean {close[0]!r}? " if close and not settings.get("auto_map") else ""
    notes.error("config", came, remedy=f"{hint}{_TAKE_ANOTHER} A newer transformers may have it.")
    return True


def _make(directory: Path, settings: dict[str, Any], has_weights: bool, notes: Notes) -> Any:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(str(directory), trust_remote_code=False)
    _check_quantization_is_known(settings, notes)
    other = why_it_writes_no_text(config)
    if other is not None:
        notes.error("config", other, "a causal language model", _TAKE_ANOTHER)
        return None
    _check_attention(config, notes)
    if has_weights and quantization_of(settings) is None:
        model, info = open_model(directory, config=config, device_map="meta", dtype="auto")
        for fault in weight_faults(model, info):
            notes.error("weights", fault, remedy=_OF_ONE_MODEL)
        return model
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, trust_remote_code=False)


def _check_quantization_is_known(settings: dict[str, Any], notes: Notes) -> None:
    """Transformers ignores a quantization that it does not know, and takes the weights as they are."""
    from transformers.quantizers.auto import AUTO_QUANTIZER_MAPPING

    method = quantization_of(settings)
    if method is not None and not any(
        known.partition("_")[0] == method.partition("_")[0] for known in AUTO_QUANTIZER_MAPPING
    ):
        remedy = "Take the model that is not quantized."
        notes.error("quantization", f"transformers knows no quantization {method!r}", remedy=remedy)


def _check_attention(config: Any, notes: Notes) -> None:
    """Check that config.json asks for torch's own attention: others need packages, or code from the hub."""
    asked = config._attn_implementation
    if asked not in _OWN_ATTENTION:
        came = f"config.json asks for attn_implementation = {asked!r}, which needs a package of its own"
        remedy = "Remove that line from config.json: torch's own attention is used, and gives the same."
        notes.error("config", came, "'sdpa', 'eager' or none", remedy)
        config._attn_implementation = "eager"  # so that the rest of the model can still be looked at


def num_rows(model: Any) -> int:
    """The number of tokens that the model has an embedding for."""
    return int(model.get_input_embeddings().weight.shape[0])


def context_of(model: Any) -> int | None:
    """The model's context in tokens; None if its config does not say."""
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return int(context) if context else None


def has_table_of_positions(model: Any) -> bool:
    """Whether positions are looked up in a table (GPT-2, OPT), beyond whose last row nothing can be read."""
    import torch

    context, tokens = context_of(model), model.get_input_embeddings()
    tables = [one for one in model.modules() if isinstance(one, torch.nn.Embedding) and one is not tokens]
    # OPT's table has two rows more than positions.
    return context is not None and any(context <= table.num_embeddings <= context + 2 for table in tables)


def tied_modules(model: Any) -> frozenset[str]:
    """The names of modules that share a weight: embedding and output layer, in many models."""
    tied = getattr(model, "all_tied_weights_keys", None) or {}
    return frozenset(name.rpartition(".")[0] for pair in tied.items() for name in pair)
