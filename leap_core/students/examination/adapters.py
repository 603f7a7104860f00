"""Whether an adapter from outside fits its base and can be played or trained further, or a new one can be trained.

PEFT itself tries it, on a model without weights.
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from leap_core.config import LoraSection, TrainingConfig
from leap_core.students.examination.findings import Notes
from leap_core.students.examination.skeleton import quietly, tied_modules
from leap_core.students.examination.weights import Tensor, find_adapter_tensors
from leap_core.students.matching import (
    ADAPTER_NAME,
    MERGED_ADAPTERS,
    adapter_faults,
    first_of,
    load_errors,
    misfit_of,
    reason_of,
)
from leap_core.students.model_files import read_json_object
from leap_core.students.weights import ADAPTER_CONFIG

SETTING = "training.lora.target_modules"
ALL_LINEAR = "all-linear"
TRAINED = "LORA"
_MOST_RANK = 16_384
_NOT_ITS_BASE = (
    "An adapter fits only the base that it was trained on: mend base_model_name_or_path, or download both again."
)


def read_adapter(directory: Path, training: TrainingConfig | None, notes: Notes) -> dict[str, Any] | None:
    """Read adapter_config.json and note what keeps the adapter from being used; None if it cannot be read."""
    with notes.catching("adapter"):
        settings = read_json_object(directory / ADAPTER_CONFIG)
        _check_kind(settings, training, notes)
        return settings
    return None


def _check_kind(settings: dict[str, Any], training: TrainingConfig | None, notes: Notes) -> None:
    kind, task = settings.get("peft_type"), settings.get("task_type")
    if kind not in MERGED_ADAPTERS:
        came = f"it is of the type {kind!r}, which cannot be merged into its base"
        notes.error("adapter", came, f"one of {', '.join(MERGED_ADAPTERS)}", f"Only {TRAINED} is trained further.")
    elif kind != TRAINED and training is not None and training.method == "lora":
        came = f"it is of the type {kind!r}, which can be played, but is not trained further"
        remedy = "--set training.method=full merges it and trains all weights; or give the merged model."
        notes.error("adapter", came, f"an adapter of the type {TRAINED}", remedy)
    if task not in (None, "CAUSAL_LM"):
        notes.error("adapter", f"it was made for the task {task!r}", "CAUSAL_LM", "Give an adapter that writes text.")
    if settings.get("alora_invocation_tokens"):
        came = "it acts only after certain tokens (alora_invocation_tokens), so it cannot be merged into its base"
        notes.error("adapter", came, remedy="Give one without.")
    if kind == TRAINED:
        _check_rank(settings, training, notes)


def _check_rank(settings: dict[str, Any], training: TrainingConfig | None, notes: Notes) -> None:
    rank, pattern = settings.get("r"), settings.get("rank_pattern") or {}
    ranks = [rank, *(pattern.values() if isinstance(pattern, dict) else [pattern])]
    if not all(isinstance(one, int) and 1 <= one <= _MOST_RANK for one in ranks):
        notes.error("adapter", f"its rank is {rank!r}", f"a whole number from 1 to {_MOST_RANK:,}")
    elif training is not None and training.method == "lora" and rank != training.lora.rank:
        came = f"it has rank {rank} and is trained on with that, not with training.lora.rank = {training.lora.rank}"
        notes.remark("adapter", came)


def check_adapter(directory: Path, settings: dict[str, Any], base: Any, notes: Notes) -> None:
    """Check that the adapter's weights are there and fit `base`, a model without weights, which gets the adapter."""
    tensors = find_adapter_tensors(directory, notes)
    tied = tied_modules(base)
    _check_saved_modules(settings, tied, notes)
    if notes.errors or not tensors:
        return
    with quietly():
        try:
            adapted, faults = _put_on(directory, base, tensors)
        except load_errors() as error:
            notes.error("adapter", f"it does not fit its base: {misfit_of(error)}", remedy=_NOT_ITS_BASE)
            return
    check_tied(adapted, tied, f"{ADAPTER_CONFIG}: target_modules", notes)
    for fault in faults:
        notes.error("adapter", fault, remedy=_NOT_ITS_BASE)


def _check_saved_modules(settings: dict[str, Any], tied: frozenset[str], notes: Notes) -> None:
    names = settings.get("modules_to_save") or []
    given = [names] if isinstance(names, str) else list(names)
    whole = [module for module in tied if any(_matches(name, [module]) for name in given)]
    check_tied(whole, tied, f"{ADAPTER_CONFIG}: modules_to_save", notes)


def _put_on(directory: Path, base: Any, tensors: dict[str, Tensor]) -> tuple[list[str], list[str]]:
    """Put the adapter on its base: the modules that it is on, and what is wrong with its weights there."""
    import torch
    from peft import PeftConfig, PeftModelForCausalLM, set_peft_model_state_dict
    from peft.mapping import PEFT_TYPE_TO_PREFIX_MAPPING

    config = PeftConfig.from_pretrained(str(directory))
    config.inference_mode = True
    if hasattr(config, "init_lora_weights"):
        config.init_lora_weights = False  # some ways to begin look at the base's weights, of which there are none
    model = PeftModelForCausalLM(base, config, ADAPTER_NAME, low_cpu_mem_usage=True)
    weights = {name: torch.empty(tensor.shape, device="meta") for name, tensor in tensors.items()}
    result = set_peft_model_state_dict(model, weights, ADAPTER_NAME)
    # As PEFT's own `load_adapter` does: the base's weights are missing too, and what an adapter works out by itself.
    own = PEFT_TYPE_TO_PREFIX_MAPPING[config.peft_type]
    missing = [key for key in result.missing_keys if own in key and ADAPTER_NAME in key.split(".")]
    return list(model.base_model.targeted_module_names), adapter_faults(missing, result.unexpected_keys)


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
        adapted, num_weights = _train_on(model, names)
    except load_errors() as error:
        unmatched = [name for name in given if not isinstance(names, str) and not _matches(name, known)]
        none = f"matches no module: {first_of(unmatched)}"
        why = none if unmatched else f"does not fit this model: {reason_of(error)}"
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


def _train_on(model: Any, names: str | Sequence[str]) -> tuple[list[str], int]:
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
