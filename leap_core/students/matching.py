"""Whether weights belong to their model: what transformers and PEFT report about loading them, and which of it matters.

Both fill what a file lacks with random numbers, leave out what they do not know, and go on. Here that is a fault.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from leap_core.text.shown import shown

_MOST_NAMED = 3
_LAYER = re.compile(r"(?P<layers>.*?\b(?:layers|h|blocks|block|layer))\.(?P<number>\d+)\.")
_SIZE_MISMATCH = re.compile(
    r"size mismatch for (\S+): copying a param with shape torch\.Size\(\[(.*?)\]\) from checkpoint, "
    r"the shape in current model is torch\.Size\(\[(.*?)\]\)"
)
_IN_PARTS = "automatic conversion of the weights"
"""Part of the error of transformers where a weight cannot be assembled; which one is only in its log."""
_HARMLESS = re.compile(
    r"(inv_freq|masked_bias|\battn\.bias|\battention\.bias|(cos|sin)_cached|position_ids|causal_mask|[kv](_cache)?_scale)$"
)
"""Buffers that older versions saved, and scales of a cache: a model computes them itself, or does not need them."""
_OTHER_ENDS = ("ForSequenceClassification", "ForTokenClassification", "ForMaskedLM", "ForQuestionAnswering")
_DECODERS_WITH_A_SWITCH = ("gpt_neox", "gpt_neox_japanese")
"""Model types that ignore `is_decoder`, which elsewhere tells a causal model from a bidirectional one."""
ADAPTER_NAME = "default"
MERGED_ADAPTERS = ("LORA", "ADALORA", "IA3", "LOHA", "LOKR", "OFT", "VERA")
"""Types of adapters that can be merged into their base, as playing does."""


def load_errors() -> tuple[type[Exception], ...]:
    """What transformers, PEFT and torch raise where files are not what they should be."""
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    common = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError)
    return (*common, RuntimeError, ImportError, re.error, StrictDataclassError, SafetensorError)


def reason_of(error: BaseException) -> str:
    """What an error says, in one line of bounded length."""
    if _IN_PARTS in str(error):
        return "weights that are stored in parts, as those of experts are, are not all there or do not fit together"
    words = shown(" ".join(str(error).split())).rstrip(".")
    return (words[:397] + "...") if len(words) > 400 else words or type(error).__name__


def why_it_writes_no_text(config: Any) -> str | None:
    """Why a config of transformers is not one of a causal language model; None where it is one."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    kind, named = config.model_type, config.architectures or []
    if getattr(config, "is_encoder_decoder", False):
        return f"it is of the type {kind!r}, which has an encoder and a decoder"
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        return f"it is of the type {kind!r}, which has no causal language model"
    if getattr(config, "is_decoder", None) is False and kind not in _DECODERS_WITH_A_SWITCH:
        return f"it is of the type {kind!r}, which reads both ways (an encoder)"
    if named and all(name.endswith(_OTHER_ENDS) for name in named):
        return f"it is a {first_of(named)}, which writes no text"
    return None


def misfit_of(error: Exception) -> str:
    """What PEFT says of an adapter that does not fit its base, in one line: shapes first, where that is it."""
    shapes = [f"{key} ({came}) in place of ({expected})" for key, came, expected in _SIZE_MISMATCH.findall(str(error))]
    if shapes:
        return f"weights have another shape than there: {first_of(shapes)}"
    return f"its weights lack {reason_of(error)}" if isinstance(error, KeyError) else reason_of(error)


def weight_faults(model: Any, info: Mapping[str, Any]) -> list[str]:
    """What of transformers' loading info makes a model another one than its files hold; empty where nothing does."""
    shapes = sorted(info["mismatched_keys"], key=lambda one: str(one[0]))
    return _faults(
        {
            "weights are missing, and would be filled at random": sorted(info["missing_keys"]),
            "weights have another shape than config.json makes": [
                f"{key} {tuple(came)} in place of {tuple(expected)}" for key, came, expected in shapes
            ],
            "weights have no place in what config.json describes": sorted(
                key for key in info["unexpected_keys"] if _is_needed(key, model)
            ),
        }
    )


def _is_needed(key: str, model: Any) -> bool:
    """Whether a weight without a place belongs into the model's own layers, and not to a part that is left out."""
    if _HARMLESS.search(key):
        return False
    modules = {name for name, _ in model.named_modules()}
    prefixed = f"{model.base_model_prefix}.{key}"
    if key.partition(".")[0] not in modules and ".".join(prefixed.split(".")[:2]) in modules:
        key = prefixed
    parent = key.rpartition(".")[0]
    if parent in modules and any(True for _ in model.get_submodule(parent).parameters(recurse=False)):
        return True
    layer = _LAYER.match(key)
    if layer is None or layer["layers"] not in modules:
        return False
    if layer[0][:-1] in modules:
        return True
    text = model.config.get_text_config()
    # Layers that guess further tokens are stored behind the last one, and not played.
    stored = int(text.num_hidden_layers) + int(getattr(text, "num_nextn_predict_layers", None) or 0)
    return int(layer["number"]) >= stored


def adapter_faults(missing: Iterable[str], unexpected: Iterable[str]) -> list[str]:
    """What of PEFT's load result makes an adapter another one than its file holds; empty where nothing does."""
    return _faults(
        {
            "some of its weights are missing": sorted(missing),
            "some of its weights have no place in the base": sorted(unexpected),
        }
    )


def _faults(named: dict[str, list[str]]) -> list[str]:
    return [f"{what}: {first_of(names)}" for what, names in named.items() if names]


def first_of(names: Sequence[object]) -> str:
    """The first of a list, in order, and how many more there are."""
    first = ", ".join(shown(str(name)) for name in names[:_MOST_NAMED])
    return first if len(names) <= _MOST_NAMED else f"{first} and {len(names) - _MOST_NAMED:,} more"
