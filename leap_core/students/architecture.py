"""Which models take a mask of our own making and keep plain keys and values: read from the model's config.

The slot cache needs it to play (slots.py), the prefix trees need it to train (trainers/packing.py). A model that
is not known here still works, without the savings. Each name in `MASKABLE` is checked by the tests.
"""

from typing import Any

MASKABLE = frozenset(
    {"gemma", "granite", "llama", "mistral", "olmo2", "phi3", "qwen2", "qwen3", "smollm3", "stablelm", "starcoder2"}
)
"""Values of `model_type` whose every layer is full causal attention with rotary positions, unless the config of one
model says otherwise."""


def takes_own_mask(config: Any) -> bool:
    """Whether every layer sees all earlier positions, placed by `position_ids`, under any mask that we pass."""
    if config.model_type not in MASKABLE:
        return False
    if any(kind != "full_attention" for kind in getattr(config, "layer_types", None) or ()):
        return False
    # Qwen2 and its like carry a window's size that is switched off.
    window_is_on = getattr(config, "use_sliding_window", True)
    return not (window_is_on and getattr(config, "sliding_window", None))
