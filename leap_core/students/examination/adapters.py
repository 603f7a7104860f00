"""Whether an adapter from outside can be read, fits its base, and can be played or trained further."""

from pathlib import Path
from typing import Any

from leap_core.config import TrainingConfig
from leap_core.students.examination.findings import Notes
from leap_core.students.examination.skeleton import quietly, tied_modules
from leap_core.students.examination.targets import check_tied
from leap_core.students.examination.weights import Tensor, find_adapter_tensors
from leap_core.students.matching import ADAPTER_NAME, MERGED_ADAPTERS, adapter_faults, load_errors, misfit_of
from leap_core.students.model_files import read_json_object

ADAPTER_CONFIG = "adapter_config.json"
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
    whole = [module for module in tied if any(module == name or module.endswith(f".{name}") for name in given)]
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
