"""A small Llama from scratch with a tokenizer of its own: the student of the demo and of the tests.

A model of half a million parameters cannot copy a name that is spread over several tokens. So an entity such as
" cabinet 1", with the blank before it, is one token, wherever it stands: in an observation, a reason or a command.
So is a frequent phrase: the model then reads and writes a fraction of the tokens. A phrase is what stands between two
content words or ends of sentences: " Next I check" in "Next I check cabinet 3." Content words (kinds of entities, and
entities themselves) stay apart, because the model has to copy them.
The same texts, seed and parameters give the same bytes, wherever the directory is made.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, JsonValue

from leap_core.config import Section, read_params
from leap_core.errors import ConfigError
from leap_core.settings.bounds import Within

PAD, SYSTEM, USER, ASSISTANT, END = "<|pad|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"
SPECIAL_TOKENS = (PAD, SYSTEM, USER, ASSISTANT, END)

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

_PIECES = r"(?:REASON|ACTION):| ?[a-z]+ [0-9]+| ?\p{L}+| ?[0-9]+| ?[^\s\p{L}0-9]|\s"
"""How text is cut: headings, entities, words, numbers and punctuation (each with the blank before it), other space."""

_ENTITY = re.compile(r"( ?)([a-z]+) ([0-9]+)")
_ALIKENESS = 0.7
"""Correlation of queries and keys at the start; 0 would be the usual random beginning."""
_MAX_ENTITY_NUMBER = 99
"""A lower-case word before a larger number ("year 1984") is not the name of an entity that others could follow."""
_MAX_PHRASES, _MIN_COUNT = 256, 8
_APART = re.compile(r"\s+|.*:$|.*[0-9].*", re.DOTALL)
"""Pieces that no phrase may hold: line breaks, headings, numbers."""
_ENDS = (".", "?")
"""A phrase ends with its sentence, so that an answer is the same token whatever follows it."""


class TinyParams(Section):
    """Size of the model. The defaults make about 0.6 million parameters with a vocabulary of some hundred words."""

    hidden_size: Annotated[int, Within(8, 4096, "a larger one is not tiny")] = 128
    num_layers: Annotated[int, Within(1, 64, "more are not tiny")] = 3
    num_heads: Annotated[int, Within(1, 256, "each has a part of hidden_size")] = 4
    intermediate_size: Annotated[int, Within(8, 2**14, "a larger one is not tiny")] = 256
    max_positions: Annotated[int, Within(64, 2**17, "its attention is over all of them")] = Field(
        4096, description="Longest prompt and reply, in tokens."
    )
    initializer_range: Annotated[float, Within(1e-6, 1, "the spread of the first weights")] = 0.04

    @classmethod
    def read(cls, params: Mapping[str, JsonValue]) -> "TinyParams":
        """Validate `student.params`; a ConfigError names the key that is unknown or out of range."""
        read = read_params(params, cls, "student.params")
        if read.hidden_size % (2 * read.num_heads):
            raise ConfigError(
                f"Config student.params.hidden_size must be a multiple of twice num_heads; came: {read.hidden_size} "
                f"and {read.num_heads}."
            )
        return read


def make_tiny_student(output: Path, texts: Iterable[str], seed: int, params: TinyParams | None = None) -> None:
    """Write a randomly initialised model and its tokenizer to `output`, as a normal Hugging Face directory.

    The vocabulary is taken from `texts`, in any order. Other text still round-trips, byte by byte. The directory is
    made if missing; files of the same names are replaced.
    """
    output.mkdir(parents=True, exist_ok=True)
    texts = list(texts)
    phrases = find_phrases(texts, _cut(_pre_tokenizer()))
    vocabulary = build_vocabulary(texts, phrases)
    _save_tokenizer(output, vocabulary, phrases)
    _save_model(output, vocabulary, seed, params or TinyParams())


def find_phrases(texts: Iterable[str], cut: Callable[[str], Sequence[str]]) -> list[str]:
    """The most frequent phrases of two or more pieces in `texts`, longest first.

    `cut` splits a text into pieces, whole words and entities among them. Texts that occur twice count once.
    """
    pieces_of = [cut(text) for text in sorted(set(texts))]
    entities = (_ENTITY.fullmatch(piece) for pieces in pieces_of for piece in pieces)
    kinds = {match[2] for match in entities if match}
    counts = Counter(run for pieces in pieces_of for run in _runs(pieces, kinds))
    frequent = sorted((run for run in counts if counts[run] >= _MIN_COUNT), key=lambda run: (-counts[run], run))
    return sorted(frequent[:_MAX_PHRASES], key=lambda run: (-len(run), run))


def _runs(pieces: Sequence[str], kinds: set[str]) -> Iterable[str]:
    """The longest runs, of two pieces or more, in which no piece is a content word or has to stand apart."""
    run: list[str] = []
    for piece in [*pieces, "\n"]:
        if piece.strip() not in kinds and not _APART.fullmatch(piece):
            run.append(piece)
            if piece not in _ENDS:
                continue
        if len(run) > 1:
            yield "".join(run)
        run = []


def build_vocabulary(texts: Iterable[str], phrases: Sequence[str] = ()) -> list[str]:
    """All tokens, in the order of their ids: special tokens, the 256 bytes, then sorted pieces of `texts`.

    Every piece is there with a leading blank too, as it would stand within a line. Of every kind of entity all
    numbers are there from 1 to one more than the largest seen.
    """
    cut = _cut(_pre_tokenizer())
    seen = {piece for text in set(texts) for piece in cut(text)}
    pieces = {"REASON:", "ACTION:", "\n", " "} | seen
    pieces |= {" " + piece for piece in pieces if piece[0].isalnum() and not piece.endswith(":")}
    pieces |= _more_entities(pieces) | set(phrases)
    return [*SPECIAL_TOKENS, *(f"<0x{byte:02X}>" for byte in range(256)), *sorted(pieces)]


def _more_entities(pieces: set[str]) -> set[str]:
    largest: dict[tuple[str, str], int] = {}
    for match in filter(None, map(_ENTITY.fullmatch, pieces)):
        blank, kind, number = match.groups()
        if int(number) <= _MAX_ENTITY_NUMBER:
            largest[blank, kind] = max(largest.get((blank, kind), 0), int(number))
    return {f"{blank}{kind} {n}" for (blank, kind), last in largest.items() for n in range(1, last + 2)}


def _pre_tokenizer(phrases: Sequence[str] = ()) -> Any:
    from tokenizers import Regex, pre_tokenizers

    # A phrase is not the beginning of a longer word.
    whole = [re.escape(phrase) + (r"(?![\p{L}0-9])" if phrase[-1].isalnum() else "") for phrase in phrases]
    return pre_tokenizers.Split(Regex("|".join([*whole, _PIECES])), behavior="isolated")


def _cut(pre_tokenizer: Any) -> Callable[[str], list[str]]:
    return lambda text: [piece for piece, _ in pre_tokenizer.pre_tokenize_str(text)]


def _save_tokenizer(output: Path, vocabulary: list[str], phrases: Sequence[str]) -> None:
    """Write tokenizer.json and tokenizer_config.json: Unigram with bytes for what the vocabulary does not hold."""
    from tokenizers import AddedToken, Tokenizer, decoders, models

    # Equal scores make the cut with the fewest tokens win; `unk_id` must be set but bytes leave nothing unknown.
    tokenizer = Tokenizer(models.Unigram([(piece, -1.0) for piece in vocabulary], unk_id=0, byte_fallback=True))
    tokenizer.pre_tokenizer = _pre_tokenizer(phrases)
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL_TOKENS])
    (output / "tokenizer.json").write_text(tokenizer.to_str(pretty=True) + "\n", encoding="utf-8")
    settings = {
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": END,
        "model_max_length": 1_000_000,
        "pad_token": PAD,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    (output / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _save_model(output: Path, vocabulary: list[str], seed: int, params: TinyParams) -> None:
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    pad, end = SPECIAL_TOKENS.index(PAD), SPECIAL_TOKENS.index(END)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=params.hidden_size,
        intermediate_size=params.intermediate_size,
        num_hidden_layers=params.num_layers,
        num_attention_heads=params.num_heads,
        max_position_embeddings=params.max_positions,
        initializer_range=params.initializer_range,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=pad,
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
        _compose_entities(model.get_input_embeddings().weight.data, vocabulary)
        for layer in model.model.layers:
            _attend_to_alike(layer.self_attn)
    model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=pad)
    model.save_pretrained(output)


def _attend_to_alike(attention: Any) -> None:
    """Let each head begin by attending to tokens like the one it looks from: its keys are made much as its queries are.

    That is half of what looking something up in a text needs; from random weights it takes far longer to learn. After
    Trockman and Kolter, "Mimetic Initialization of Self-Attention Layers" (arXiv 2305.09828).
    """
    import torch

    queries, keys = attention.q_proj.weight.data, attention.k_proj.weight.data
    scale = queries.shape[1] ** -0.5
    torch.nn.init.normal_(queries, std=scale)
    torch.nn.init.normal_(keys, std=scale)
    keys.copy_(_ALIKENESS * queries + (1 - _ALIKENESS**2) ** 0.5 * keys)


def _compose_entities(embeddings: Any, vocabulary: Sequence[str]) -> None:
    """Let each entity begin as a mixture of its kind, its number and itself; shape of `embeddings`: (tokens, hidden).

    Otherwise nothing tells that a "mug 2" is a "mug", and whether there is a mug takes very long to learn.
    """
    import torch

    ids = {piece: number for number, piece in enumerate(vocabulary)}
    numbers = torch.randn(_MAX_ENTITY_NUMBER + 2, embeddings.shape[1]) * embeddings.std()
    for piece, own in ids.items():
        match = _ENTITY.fullmatch(piece)
        kind = ids.get(f"{match[1]}{match[2]}") if match else None
        if match and kind is not None and int(match[3]) < len(numbers):
            embeddings[own] = (embeddings[kind] + numbers[int(match[3])] + embeddings[own]) / 3**0.5
