"""Examining a model: from a directory or a hub id to what is known of it and what is wrong with it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from leap_core.errors import StudentError
from leap_core.students.encoding import encode_prompt
from leap_core.students.examination.adapters import check_adapter, check_targets, read_adapter
from leap_core.students.examination.findings import Examination, Notes, Purpose
from leap_core.students.examination.settings import check_quantization, num_layers, quantization_of, read_settings
from leap_core.students.examination.skeleton import context_of, has_table_of_positions, make_skeleton, num_rows
from leap_core.students.examination.vocabulary import check_vocabulary, read_vocabulary, template_of
from leap_core.students.examination.weights import Tensor, find_tensors
from leap_core.students.loading import ADAPTER_WEIGHTS, base_of_adapter, is_adapter, resolve_device, tokenizer_source
from leap_core.students.matching import first_of
from leap_core.students.model_files import check_plain, read_json_object
from leap_core.students.weights import MODEL_FILES, find_model, has_weights, require_model, snapshot_of

MOST_BILLIONS_ON_CPU = 1
"""Larger students get a warning if there is no GPU."""
_GENERATION = "generation_config.json"
_BYTES_TRAINED = 16
"""Of each trained weight: itself, its gradient and two moments of AdamW, in fp32."""
_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8, "I8": 1, "U8": 1}


def examine_model(model: Path | str, purpose: Purpose) -> Examination:
    """Examine a model without loading it; nothing is raised, everything that is wrong is in the findings.

    `model` is a directory with a model or an adapter, or a hub id whose files are here or can be downloaded.
    """
    look = _Look(model, purpose)
    with look.notes.catching("model"):
        look.run()
    return Examination(model=str(model), facts=look.facts, findings=tuple(look.notes.found))


def check_published(directory: Path) -> None:
    """Open the model or adapter that a training has written to `directory` as a user would, before it is published.

    Without its weights in memory that takes under a second at any size, and finds what a full load would. Then each
    trained number is read once. The base beside an adapter was examined before the run, and its files are copies.

    Raises:
        StudentError: it cannot be opened, does not fit its base, or has weights that are not finite.
    """
    examine_model(directory, Purpose()).check()
    written = [directory / ADAPTER_WEIGHTS] if is_adapter(directory) else sorted(directory.glob("*.safetensors"))
    broken = [name for path in written for name in _not_finite(path)]
    if broken:
        raise StudentError(
            f"The training ended with weights that are not finite: {first_of(broken)}. Nothing is published. "
            "Lower training.learning_rate, and run again.",
            item=broken[0],
        )


def _not_finite(path: Path) -> Iterator[str]:
    import torch
    from safetensors import safe_open

    with safe_open(path, framework="pt") as weights:
        for name in weights.keys():  # noqa: SIM118 - it is not a mapping
            tensor = weights.get_tensor(name)
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                yield name


class _Look:
    """One examination of one model."""

    def __init__(self, model: Path | str, purpose: Purpose) -> None:
        self._model, self._purpose = str(model), purpose
        self.notes, self.facts = Notes(), dict[str, str]()

    def run(self) -> None:
        """Check everything, cheapest first."""
        source, adapter = self._model, None
        base = directory = _directory_of(source)
        if is_adapter(directory):
            if find_model(self._model) is None:
                how = f"Download it: `hf download {self._model} --local-dir DIR`, and give the directory."
                raise StudentError(f"{self._model} is an adapter on the hub. {how}")
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
        with self.notes.catching("config"):  # only the ids that end a reply are used, but damaged it stops transformers
            if (directory / _GENERATION).exists():
                read_json_object(directory / _GENERATION)
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
        method = quantization_of(settings)
        quantized = f", quantized ({method})" if method else ""
        self.facts["weights"] = f"{size:,} numbers, {', '.join(kinds)}{quantized}"
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
            num_weights = check_targets(skeleton, training.lora, self.notes)
            if num_weights is not None:
                need = _gigabytes(_BYTES_TRAINED * num_weights)
                self.facts["new adapter"] = f"{num_weights:,} weights at rank {training.lora.rank}, {need}"


def _directory_of(model: str) -> Path:
    """The local directory of a model's files; of a hub id, the small files are downloaded."""
    found = find_model(model)
    if found is None:
        require_model(model)
        return snapshot_of(model)
    for name in MODEL_FILES:
        if (found / name).exists():
            check_plain(found / name)
    return found


def _tell_absent(notes: Notes) -> None:
    """Note that a hub model's weights are not in the cache: loading downloads them, unless it may not."""
    from huggingface_hub import constants

    came = "the model's weights are not on this machine"
    if constants.HF_HUB_OFFLINE:
        notes.error("weights", f"{came}, and HF_HUB_OFFLINE is set", remedy="Unset it, or `hf download` the model.")
    else:
        notes.remark("weights", f"{came} yet: they are fetched when it is loaded, and looked at then")


def _gigabytes(num: float) -> str:
    return f"{num / 1e9:.1f} GB" if num >= 1e8 else f"{num / 1e6:.1f} MB"
