"""Examining a model: from a directory or a hub id to what is known of it and what is wrong with it."""

from pathlib import Path
from typing import Any

from leap_core.config import TrainingConfig
from leap_core.errors import StudentError
from leap_core.students.encoding import encode_prompt
from leap_core.students.examination.adapters import ADAPTER_CONFIG, check_adapter, read_adapter
from leap_core.students.examination.findings import Examination, Notes, Purpose
from leap_core.students.examination.settings import check_quantization, num_layers, quantization_of, read_settings
from leap_core.students.examination.skeleton import context_of, has_table_of_positions, make_skeleton, num_rows
from leap_core.students.examination.targets import check_targets
from leap_core.students.examination.vocabulary import check_vocabulary, read_vocabulary, template_of
from leap_core.students.examination.weights import Tensor, find_tensors
from leap_core.students.loading import base_of_adapter, is_adapter, resolve_device, tokenizer_source
from leap_core.students.model_files import check_plain, read_json_object
from leap_core.students.weights import find_model, has_weights, require_model, snapshot_of

MOST_BILLIONS_ON_CPU = 1
"""Larger students get a warning if there is no GPU."""
_GENERATION = "generation_config.json"
_BYTES_TRAINED = 16
"""Of each trained weight: itself, its gradient and two moments of AdamW, in fp32."""
_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8, "I8": 1, "U8": 1}


def examine_model(model: Path | str, purpose: Purpose) -> Examination:
    """Examine a model without loading it; nothing is raised, everything that is wrong is in the findings.

    Args:
        model: a directory with a model or an adapter, or a hub id whose files are here or can be downloaded.
        purpose: what it is to be used for.
    """
    look = _Look(model, purpose)
    with look.notes.catching("model"):
        look.run()
    return Examination(model=str(model), facts=look.facts, findings=tuple(look.notes.found))


class _Look:
    """One examination of one model."""

    def __init__(self, model: Path | str, purpose: Purpose) -> None:
        self._model, self._purpose = str(model), purpose
        self.notes, self.facts = Notes(), dict[str, str]()

    def run(self) -> None:
        """Check everything, cheapest first."""
        directory = _directory_of(self._model)
        adapter = None
        source, base = self._model, directory
        if is_adapter(directory):
            if find_model(self._model) is None:
                how = f"`hf download {self._model} --local-dir DIR`"
                raise StudentError(
                    f"{self._model} is an adapter on the hub. Download it: {how}, and give the directory."
                )
            adapter = read_adapter(directory, self._purpose.training, self.notes)
            with self.notes.catching("base"):
                source = str(base_of_adapter(directory))
                base = _directory_of(source)
            if self.notes.errors and base == directory:
                return
            self.facts["adapter"] = f"{(adapter or {}).get('peft_type')}, on {base}"
        skeleton = self._look_at_model(base, is_here=find_model(source) is not None or has_weights(source))
        self._look_at_tokenizer(directory, base, skeleton)
        if skeleton is not None:
            self._look_at_use(skeleton)
            self._look_at_adapter(directory, adapter, skeleton)

    def _look_at_model(self, directory: Path, is_here: bool) -> Any:
        """Check config and weights; return the model without its weights, if it can be built.

        Weights that are not on this machine yet are downloaded when the model is loaded, and checked then.
        """
        settings = read_settings(directory, self.notes)
        files_are_bounded = not self.notes.errors
        tensors = find_tensors(directory, self.notes) if is_here else {}
        if not is_here:
            _tell_absent(self.notes)
        _check_generation_config(directory, self.notes)
        if settings is None:
            return None
        check_quantization(settings, tensors, self._purpose, self.notes)
        if tensors and num_layers(settings) > len(tensors):
            came = f"config.json has {num_layers(settings):,} layers, and the files {len(tensors):,} weights"
            self.notes.error("weights", came, "at least one weight a layer", "Download both again.")
            return None
        self._tell_weights(tensors, settings)
        if not files_are_bounded:
            return None
        whole = bool(tensors) and not any(found.what == "weights" for found in self.notes.errors)
        return make_skeleton(directory, settings, whole, self.notes)

    def _tell_weights(self, tensors: dict[str, Tensor], settings: dict[str, Any]) -> None:
        self.facts["family"] = f"{settings.get('model_type')}, {num_layers(settings)} layers"
        if not tensors:
            return
        kinds = sorted({tensor.dtype for tensor in tensors.values()})
        size = sum(tensor.num_elements for tensor in tensors.values())
        quantized = quantization_of(settings)
        self.facts["weights"] = f"{size:,} numbers, {', '.join(kinds)}" + (
            f", quantized ({quantized})" if quantized else ""
        )
        stored = sum(_BYTES.get(tensor.dtype, 4) * tensor.num_elements for tensor in tensors.values())
        self.facts["memory"] = (
            f"about {_gigabytes(stored)} to play on a GPU, {_gigabytes(4 * size)} on a CPU; "
            f"{_gigabytes(_BYTES_TRAINED * size)} to train all weights, a little more than to play for an adapter; "
            "activations come on top"
        )

    def _look_at_tokenizer(self, directory: Path, base: Path, skeleton: Any) -> None:
        source = directory
        with self.notes.catching("tokenizer"):
            source = _directory_of(str(tokenizer_source(directory)))
        has_config = not any(found.what in ("config", "base") for found in self.notes.errors)
        tokenizer = read_vocabulary(source, self.notes, has_config=has_config)
        if tokenizer is None:
            return
        self.facts["tokenizer"] = f"{len(tokenizer):,} tokens, ends with {tokenizer.eos_token!r}"
        self.facts["chat template"] = template_of(tokenizer, self.notes)
        if skeleton is not None:
            check_vocabulary(tokenizer, num_rows(skeleton), self.notes)
            self._look_at_room(skeleton, tokenizer)

    def _look_at_room(self, skeleton: Any, tokenizer: Any) -> None:
        """Check that the shortest prompt and a reply fit into the model's context."""
        context, needed = context_of(skeleton), self._purpose.num_new_tokens
        if self._purpose.prompt and not self.notes.errors:
            with self.notes.catching("tokenizer"):
                needed += len(encode_prompt(tokenizer, self._purpose.prompt))
        if context is not None and needed > context:
            came = f"the model reads at most {context:,} tokens, and a prompt and its reply have at least {needed:,}"
            remedy = "Lower student.max_new_tokens, take a shorter student.prompt, or a model with a longer context."
            self.notes.error("context", came, remedy=remedy)

    def _look_at_use(self, skeleton: Any) -> None:
        """Check that the device is fast enough for the model, and that rows of the configured length fit."""
        billions = sum(weight.numel() for weight in skeleton.parameters()) / 1e9
        if billions > MOST_BILLIONS_ON_CPU and resolve_device(self._purpose.device) == "cpu":
            came = f"it has about {billions:.0f} billion parameters, and there is no GPU here: a reply takes minutes"
            remedy = "Training takes weeks. Take a machine with a GPU, or a smaller student.model."
            self.notes.remark("device", came, remedy=remedy)
        context, training = context_of(skeleton), self._purpose.training
        if context is None:
            return
        self.facts["context"] = f"{context:,} tokens"
        if training is None or training.max_length <= context:
            return
        came = f"training.max_length is {training.max_length:,}, and the model reads at most {context:,} tokens"
        if has_table_of_positions(skeleton):
            remedy = f"--set training.max_length={context}; longer rows are then left out and counted."
            self.notes.error("context", came, remedy=remedy)
        else:
            self.notes.remark("context", came)

    def _look_at_adapter(self, directory: Path, adapter: dict[str, Any] | None, skeleton: Any) -> None:
        """Check the adapter that is there, or the one that is to be trained."""
        training = self._purpose.training
        if adapter is not None:
            check_adapter(directory, adapter, skeleton, self.notes)
        elif training is not None and training.method == "lora":
            self._tell_trained(check_targets(skeleton, training.lora, self.notes), training)

    def _tell_trained(self, num_weights: int | None, training: TrainingConfig) -> None:
        if num_weights is not None:
            need = _gigabytes(_BYTES_TRAINED * num_weights)
            self.facts["new adapter"] = f"{num_weights:,} weights at rank {training.lora.rank}, {need}"


def _directory_of(model: str) -> Path:
    """The local directory of a model's files; of a hub id, the small files are downloaded.

    Raises:
        StudentError: they are not there, and cannot be had.
    """
    found = find_model(model)
    if found is not None:
        for name in ("config.json", ADAPTER_CONFIG):
            if (found / name).exists():
                check_plain(found / name)
        return found
    require_model(model)
    return snapshot_of(model)


def _tell_absent(notes: Notes) -> None:
    """Note that a hub model's weights are not in the cache: loading downloads them, unless it may not."""
    from huggingface_hub import constants

    came = "the model's weights are not on this machine"
    if constants.HF_HUB_OFFLINE:
        notes.error("weights", f"{came}, and HF_HUB_OFFLINE is set", remedy="Unset it, or `hf download` the model.")
    else:
        notes.remark("weights", f"{came} yet: they are fetched when it is loaded, and looked at then")


def _check_generation_config(directory: Path, notes: Notes) -> None:
    """Only the ids that end a reply are used from it, but transformers stops at a damaged file."""
    if (directory / _GENERATION).exists():
        with notes.catching("config"):
            read_json_object(directory / _GENERATION)


def _gigabytes(num: float) -> str:
    return f"{num / 1e9:.1f} GB" if num >= 1e8 else f"{num / 1e6:.1f} MB"
