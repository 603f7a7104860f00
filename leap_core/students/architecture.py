"""Which models accept a custom attention mask and keep plain keys and values: read from the model's config.

Playing needs this for the slot cache (slots.py), training for the prefix trees (trainers/packing.py). A model that is
not listed here still works, without the savings. Each name in `MASKABLE` is checked by the tests.
"""

from collections.abc import Iterable
from typing import Any

from leap_core.errors import StudentError

MASKABLE = frozenset(
    {"gemma", "granite", "llama", "mistral", "olmo2", "phi3", "qwen2", "qwen3", "smollm3", "stablelm", "starcoder2"}
)
"""Values of `model_type` whose every layer is full causal attention with rotary positions, unless the config of one
model says otherwise."""

_DROPS_KEYWORDS = frozenset({"stablelm"})
"""Values of `model_type` whose model does not hand unknown keywords of a forward pass on to its attention."""

_ROPES_BY_LENGTH = frozenset({"longrope", "dynamic"})
"""Kinds of rotary positions whose angles depend on the longest row of a batch: transformers updates them as it goes."""

_IGNORES_PADDING_MASK = frozenset({"rwkv", "xlstm"})
"""Values of `model_type` that read padding like text, whatever the mask says."""


def takes_own_mask(config: Any) -> bool:
    """Whether every layer sees all earlier positions, placed by `position_ids`, under any mask that we pass."""
    if config.model_type not in MASKABLE:
        return False
    if any(kind != "full_attention" for kind in getattr(config, "layer_types", None) or ()):
        return False
    # Qwen2 and its like carry a window's size that is switched off.
    window_is_on = getattr(config, "use_sliding_window", True)
    return not (window_is_on and getattr(config, "sliding_window", None))


def hands_on_keywords(config: Any) -> bool:
    """Whether keywords of a forward pass reach an attention function of ours."""
    return config.model_type not in _DROPS_KEYWORDS


def one_regime_length(config: Any) -> int | None:
    """Length up to which positions are rotated alike whatever else is in the batch; None: at every length.

    Some models (longrope, dynamic) rotate by other angles once the longest row of a batch is longer than this, and then
    all rows of it. So rows that may become longer must not be computed beside others.
    """
    text = config.get_text_config()
    ropes = getattr(text, "rope_parameters", None) or {}
    # Models whose layers differ in this hold one record for each kind of layer.
    kinds = [rope for rope in ropes.values() if isinstance(rope, dict)] or [ropes]
    lengths = [
        rope.get("original_max_position_embeddings") or text.max_position_embeddings
        for rope in kinds
        if rope.get("rope_type") in _ROPES_BY_LENGTH
    ]
    return min(lengths, default=None)


def can_be_padded(config: Any) -> bool:
    """Whether a row that is padded on the left gives the same result as alone."""
    return config.model_type not in _IGNORES_PADDING_MASK


def num_ids(config: Any) -> int:
    """How many token ids the model has rows for."""
    return int(config.get_text_config().vocab_size)


def check_ids(size: int, ids: Iterable[int]) -> None:
    """Raise StudentError where a text has a token that the model has no row for; `size` is what `num_ids` says."""
    largest = max(ids, default=0)
    if largest >= size:
        raise StudentError(
            f"The tokenizer gave the token {largest:,}, but the model has rows for {size:,} tokens only (vocab_size in "
            "its config.json). Tokenizer and model do not belong together: take the tokenizer that the model came "
            "with, or resize its embeddings."
        )


def valid_padding(config: Any, pad_id: int) -> int:
    """The id to pad rows with, which nothing ever reads: the tokenizer's, or 0 where the model has no row for it."""
    return pad_id if pad_id < num_ids(config) else 0
