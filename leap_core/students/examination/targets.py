"""Whether a low-rank adapter can be put on the modules named for it: PEFT is asked, on a model without weights."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from leap_core.config import LoraSection
from leap_core.students.examination.findings import Notes
from leap_core.students.examination.skeleton import quietly, tied_modules
from leap_core.students.matching import ADAPTER_NAME, first_of, load_errors, reason_of

SETTING = "training.lora.target_modules"
ALL_LINEAR = "all-linear"


def check_targets(model: Any, lora: LoraSection, notes: Notes) -> int | None:
    """Whether an adapter as set can be trained on `model`: then return how many weights it has.

    The model is changed: it gets such an adapter.
    """
    names = lora.target_modules
    if not names or (not isinstance(names, str) and not all(names)):
        notes.error("adapter", f"{SETTING} names no module", remedy=_advice(model, []))
        return None
    known, tied = _modules_to_choose_from(model), tied_modules(model)
    try:
        adapted, num_weights = _put_on(model, names)
    except load_errors() as error:
        given = [names] if isinstance(names, str) else list(names)
        unmatched = [name for name in given if not isinstance(names, str) and not _matches(name, known)]
        why = f"match no module: {first_of(unmatched)}" if unmatched else f"do not fit this model: {reason_of(error)}"
        hint = " A string is a pattern; a list names modules." if isinstance(names, str) else ""
        notes.error("adapter", f"{SETTING}: {why}.{hint}", remedy=_advice(model, unmatched or given))
        return None
    if not isinstance(names, str):
        unmatched = [name for name in names if not _matches(name, adapted)]
        if unmatched:
            notes.error(
                "adapter", f"{SETTING}: no module matches {first_of(unmatched)}", remedy=_advice(model, unmatched)
            )
    check_tied(adapted, tied, SETTING, notes)
    return num_weights * lora.rank


def check_tied(adapted: Iterable[str], tied: frozenset[str], setting: str, notes: Notes) -> None:
    """Refuse modules that share their weight with another: merged, the change would show up in both, or be lost."""
    shared = sorted(set(adapted) & tied)
    if shared:
        notes.error(
            "adapter",
            f"{setting} holds {first_of(shared)}, but this model's embedding and output layer share one weight "
            "(tie_word_embeddings): an adapter on one of them could not be merged into what was trained",
            remedy=f"Leave it out: --set {SETTING}={ALL_LINEAR} does.",
        )


def _put_on(model: Any, names: str | Sequence[str]) -> tuple[list[str], int]:
    """The modules that PEFT puts an adapter of rank 1 on, and its number of weights."""
    from peft import LoraConfig, get_peft_model

    modules = names if isinstance(names, str) else list(names)
    with quietly():
        adapted = get_peft_model(
            model, LoraConfig(r=1, lora_alpha=1, target_modules=modules, task_type="CAUSAL_LM"), low_cpu_mem_usage=True
        )
    trained = sum(weight.numel() for weight in adapted.parameters() if weight.requires_grad)
    tuner = adapted.base_model
    return [*tuner.targeted_module_names, *tuner.targeted_parameter_names], trained


def _modules_to_choose_from(model: Any) -> list[str]:
    """Full names of the modules that an adapter can be put on."""
    import torch
    from transformers.pytorch_utils import Conv1D

    kinds = (torch.nn.Linear, Conv1D, torch.nn.Embedding)
    return [name for name, module in model.named_modules() if isinstance(module, kinds)]


def _matches(name: str, modules: Iterable[str]) -> bool:
    """Whether PEFT would take `name` for one of these modules: it is their name, or the end of it."""
    return any(module == name or module.endswith(f".{name}") for module in modules)


def _advice(model: Any, unmatched: Sequence[str]) -> str:
    ends = sorted({re.sub(r".*\.", "", name) for name in _modules_to_choose_from(model)} - {"base_layer", ADAPTER_NAME})
    close = [near[0] for name in unmatched if (near := get_close_matches(name, ends, n=1, cutoff=0.5))]
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return f"{hint}This model has: {', '.join(ends)}; {ALL_LINEAR!r} is all of them but the output layer."
