"""Tiny random models in the manner of the families that people bring, each with a tokenizer and a chat template of its
family's habits: who opens with BOS, who has no system role, who writes today's date, who drops thoughts.

The templates (`templates/`) are written for these tests: they keep those habits of the originals that have tripped
somebody, not their text.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from student_models import texts

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, kw_only=True)
class Family:
    """How models of one family are built: `special` tokens in the order of their ids, the first three by name."""

    model_type: str
    special: tuple[str, ...]
    bos: str | None = None
    eos: str
    pad: str | None = None
    template: str | None
    """A file in `templates/`."""
    pieces: bool = False
    """Whether blanks are part of the words after them (SentencePiece), with one put before the text."""
    adds_bos: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)


_LLAMA3_SPECIAL = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
_CHATML_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_GEMMA_SPECIAL = ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>", "<unk>")
_SENTENCEPIECE = ("<unk>", "<s>", "</s>")
_LONG_FACTORS = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 4,
    "long_factor": [3.0] * 4,
    "original_max_position_embeddings": 130,
}


def _llama3(template: str, **config: Any) -> Family:
    special = _LLAMA3_SPECIAL
    return Family(model_type="llama", special=special, bos=special[0], eos=special[4], template=template, config=config)


def _chatml(model_type: str, template: str, **config: Any) -> Family:
    special = _CHATML_SPECIAL
    return Family(
        model_type=model_type, special=special, eos=special[2], pad=special[0], template=template, config=config
    )


def _gemma(model_type: str, **config: Any) -> Family:
    return Family(
        model_type=model_type,
        special=_GEMMA_SPECIAL,
        bos="<bos>",
        eos="<eos>",
        pad="<pad>",
        template="gemma",
        config={"head_dim": 8, **config},
    )


def _pieces(model_type: str, template: str | None, *more: str, adds_bos: bool = False, **config: Any) -> Family:
    return Family(
        model_type=model_type,
        special=(*_SENTENCEPIECE, *more),
        bos="<s>",
        eos="</s>",
        template=template,
        pieces=True,
        adds_bos=adds_bos,
        config=config,
    )


def _phi3(**config: Any) -> Family:
    special = ("<|endoftext|>", "<s>", "<|user|>", "<|assistant|>", "<|end|>", "<|system|>")
    return Family(
        model_type="phi3", special=special, bos="<s>", eos=special[0], pad=special[0], template="phi3", config=config
    )


FAMILIES: dict[str, Family] = {
    "llama2": _pieces("llama", "llama2", adds_bos=True),
    "llama3": _llama3("llama3"),
    "llama32": _llama3("llama32", tie_word_embeddings=True),
    "llama-base": _pieces("llama", None, adds_bos=True),
    "gemma": _gemma("gemma"),
    "gemma2": _gemma("gemma2", sliding_window=64, query_pre_attn_scalar=8),
    "gemma3": _gemma(
        "gemma3_text",
        sliding_window=64,
        query_pre_attn_scalar=8,
        layer_types=["sliding_attention", "full_attention"],
    ),
    "phi3": _phi3(),
    "phi3-long": _phi3(rope_parameters=_LONG_FACTORS, original_max_position_embeddings=130),
    "qwen2.5": _chatml("qwen2", "qwen25", tie_word_embeddings=True),
    "qwen3": _chatml("qwen3", "qwen3", head_dim=8),
    "qwen3-moe": _chatml(
        "qwen3_moe", "qwen3", head_dim=8, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32
    ),
    "smollm2": _chatml("llama", "smollm2", tie_word_embeddings=True),
    "content-parts": _chatml("llama", "content-parts"),
    "mistral": _pieces("mistral", "mistral", "[INST]", "[/INST]", sliding_window=None),
    "mistral-window": _pieces("mistral", "mistral", "[INST]", "[/INST]", sliding_window=64),
    "r1": Family(
        model_type="qwen2",
        special=("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"),
        bos="<｜begin▁of▁sentence｜>",
        eos="<｜end▁of▁sentence｜>",
        pad="<｜end▁of▁sentence｜>",
        template="r1",
    ),
    "gpt2": Family(
        model_type="gpt2", special=("<|endoftext|>",), bos="<|endoftext|>", eos="<|endoftext|>", template=None
    ),
}
"""Every family that README names as tried."""


def make_tokenizer(family: Family, vocab_size: int = 420) -> Any:
    """Train the family's kind of tokenizer on the spot."""
    from tokenizers import Tokenizer, models, processors, trainers
    from transformers import PreTrainedTokenizerFast

    unknown = "<unk>" if family.pieces else None
    raw = Tokenizer(models.BPE(unk_token=unknown, byte_fallback=family.pieces))
    trainer: dict[str, Any] = {"vocab_size": vocab_size, "special_tokens": list(family.special), "show_progress": False}
    if family.pieces:
        trainer["special_tokens"] += [f"<0x{byte:02X}>" for byte in range(256)]
        trainer["vocab_size"] += 256
    else:
        trainer["initial_alphabet"] = _as_bytes(raw)
    if family.pieces:
        _as_pieces(raw)
    raw.train_from_iterator(sorted(texts()), trainers.BpeTrainer(**trainer))
    if family.pieces:
        raw = _with_bytes_as_words(raw)
    if family.adds_bos:
        bos = (str(family.bos), family.special.index(str(family.bos)))
        raw.post_processor = processors.TemplateProcessing(single=f"{bos[0]} $A", special_tokens=[bos])
    named = {"bos_token": family.bos, "eos_token": family.eos, "pad_token": family.pad, "unk_token": unknown}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        additional_special_tokens=list(family.special),
        clean_up_tokenization_spaces=False,
        **{name: token for name, token in named.items() if token},
    )
    if family.template is not None:
        tokenizer.chat_template = (TEMPLATES / f"{family.template}.jinja").read_text(encoding="utf-8")
    return tokenizer


def _as_bytes(raw: Any) -> list[str]:
    from tokenizers import decoders, pre_tokenizers

    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    return list(pre_tokenizers.ByteLevel.alphabet())


def _as_pieces(raw: Any) -> None:
    from tokenizers import decoders, normalizers

    raw.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    raw.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )


def _with_bytes_as_words(raw: Any) -> Any:
    """A trainer takes bytes as special tokens alone; they are ordinary ones."""
    from tokenizers import Tokenizer

    parts = json.loads(raw.to_str())
    parts["added_tokens"] = [token for token in parts["added_tokens"] if not token["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(parts))


def make_family(name: str, folder: Any, seed: int = 0, **config: Any) -> Any:
    """Write a model of a family, in fp32, into `folder`; return it with its tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    family = FAMILIES[name]
    tokenizer = make_tokenizer(family)
    id_of = {token: number for number, token in enumerate(family.special)}
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "max_position_embeddings": 2048}
    shape |= {"num_attention_heads": 4, "num_key_value_heads": 2}
    if family.model_type == "gpt2":
        shape = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 1024}
    settings = AutoConfig.for_model(
        family.model_type,
        **{
            "vocab_size": len(tokenizer),
            "bos_token_id": id_of.get(str(family.bos)),
            "eos_token_id": id_of[family.eos],
            "pad_token_id": id_of.get(str(family.pad)),
            "initializer_range": 0.3,
            **shape,
            **family.config,
            **config,
        },
    )
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(settings).eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer
