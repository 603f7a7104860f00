"""Whether a low-rank adapter can be put on the configured modules: PEFT tries it, on a model without weights."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from leap_core.config import LoraSection
from leap_core.students.examination.findings import Notes
from leap_core.students.examination.skeleton import quietly, tied_modules
from leap_core.students.matching import first_of, load_errors, reason_of

SETTING = "training.lora.target_modules"
ALL_LINEAR = "all-linear"


def check_targets(model: Any, lora: LoraSection, notes: Notes) -> int | None:
    """Check that the configured adapter can be trained on `model`; return its number of weights if so.

    The model may be changed: it gets such an adapter.
    """
    names = lora.target_modules
    if names == ALL_LINEAR:  # PEFT, which takes seconds to import, need not be asked
        return lora.rank * sum(sum(weight.shape) for weight in _linear_weights(model))
    known, tied = _modules_to_choose_from(model), tied_modules(model)
    given = [names] if isinstance(names, str) else list(names)
    choice = sorted({name.rpartition(".")[2] for name in set(known) - tied})
    if not given or not all(given):
        notes.error("adapter", f"{SETTING} names no module", remedy=_advice(given, choice))
        return None
    try:
        adapted, num_weights = _put_on(model, names)
    except load_errors() as error:
        unmatched = [name for name in given if not isinstance(names, str) and not _matches(name, known)]
        why = (
            f"matches no module: {first_of(unmatched)}" if unmatched else f"does not fit this model: {reason_of(error)}"
        )
        hint = ' A string is a pattern; names are a list: ["q_proj", "v_proj"].' if isinstance(names, str) else ""
        notes.error("adapter", f"{SETTING} {why}.{hint}", remedy=_advice(unmatched or given, choice))
        return None
    unmatched = [name for name in given if not isinstance(names, str) and not _matches(name, adapted)]
    if unmatched:
        notes.error("adapter", f"{SETTING} matches no module: {first_of(unmatched)}", remedy=_advice(unmatched, choice))
    check_tied(adapted, tied, SETTING, notes)
    return num_weights * lora.rank


def check_tied(adapted: Iterable[str], tied: frozenset[str], setting: str, notes: Notes) -> None:
    """Refuse modules that share a weight with another: when merged, the change would affect both, or be lost."""
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


def _linear_weights(model: Any) -> list[Any]:
    """The weights of all linear modules but the output layer."""
    import torch
    from transformers.pytorch_utils import Conv1D

    output = model.get_output_embeddings()
    return [one.weight for one in model.modules() if isinstance(one, torch.nn.Linear | Conv1D) and one is not output]


def _modules_to_choose_from(model: Any) -> list[str]:
    """Full names of the modules that an adapter can be put on."""
    import torch
    from transformers.pytorch_utils import Conv1D

    kinds = (torch.nn.Linear, Conv1D, torch.nn.Embedding)
    return [name for name, module in model.named_modules() if isinstance(module, kinds)]


def _matches(name: str, modules: Iterable[str]) -> bool:
    """Whether PEFT would take `name` for one of these modules: it is their name, or the end of it."""
    return any(module == name or module.endswith(f".{name}") for module in modules)


def _advice(unmatched: Sequence[str], choice: Sequence[str]) -> str:
    close = [near[0] for name in unmatched if (near := get_close_matches(name, choice, n=1, cutoff=0.5))]
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return f"{hint}This model has: {', '.join(choice)}; {ALL_LINEAR!r} takes all linear ones but the output layer."
