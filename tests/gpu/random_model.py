"""A model of Llama 3 8B's shape from random weights, with a tokenizer of its own, and what is said to it.

It is written to a directory, since that is what the real trainer and the real student are given. What it says is
noise, which costs as much as sense.
"""

from pathlib import Path
from typing import Any

from leap_core.types import Message
from tests.gpu.job import Figures, Job, Stopwatch, peak_memory

LLAMA_3_8B = {
    "vocab_size": 128_256,
    "hidden_size": 4096,
    "intermediate_size": 14_336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
    "rope_parameters": {"rope_type": "default", "rope_theta": 500_000.0},
}
TINY = LLAMA_3_8B | {
    "vocab_size": 384,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
SPECIAL = ("<|end_of_text|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_KINDS = ("cabinet", "shelf", "drawer", "countertop")


def make(job: Job, figures: Figures) -> None:
    """Make the model on the device and write it."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    shape = TINY if job.dry_run else LLAMA_3_8B
    pad, _, end = range(3)
    config = AutoConfig.for_model("llama", **shape, bos_token_id=None, eos_token_id=end, pad_token_id=pad)
    dtype = torch.float32 if job.dry_run else torch.bfloat16
    torch.manual_seed(0)
    watch = Stopwatch()
    with torch.device(job.device):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    figures["make_seconds"] = watch.read()
    figures["parameters"] = model.num_parameters()
    watch = Stopwatch()
    job.random_model.mkdir(parents=True)
    model.save_pretrained(job.random_model)
    _make_tokenizer(shape["vocab_size"]).save_pretrained(job.random_model)
    # The trainer copies a model from outside to beside the adapter, but links one that lies where it puts its own.
    (job.random_model.parent / "adapter_config.json").write_text("{}", encoding="utf-8")
    figures["write_seconds"] = watch.read()
    figures["folder"] = str(job.folder)
    figures["memory"] = peak_memory()


def _make_tokenizer(size: int) -> Any:
    """One token a byte of text, and as many words beside, which nothing is read as, as the model knows ids."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    known = [*SPECIAL, *alphabet]
    words = known + [f"word{number}" for number in range(size - len(known))]
    tokenizer = Tokenizer(models.BPE({word: number for number, word in enumerate(words)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=SPECIAL[2], pad_token=SPECIAL[0])
    fast.chat_template = TEMPLATE
    return fast


def conversation(episode: int, turn: int, opening: int, each: int) -> tuple[Message, ...]:
    """The prompt of one turn of a made-up episode.

    Args:
        episode: no two of them begin alike.
        turn: how many actions were taken before.
        opening: characters of the first message; each is a token.
        each: characters of each observation after it.
    """
    messages = [Message(role="user", content=f"Room {episode}. " + _things(episode, opening))]
    for step in range(turn):
        place = _place(episode, step)
        messages.append(Message(role="assistant", content=f"ACTION: go to {place}"))
        messages.append(Message(role="user", content=f"You arrive at {place}. " + _things(episode + step, each)))
    return tuple(messages)


def answer(episode: int, turn: int) -> str:
    """What the made-up student says in one turn; of that, later prompts hold the action alone."""
    place = _place(episode, turn)
    return f"REASON: I have not found the mug yet, and I have not looked at {place}.\nACTION: go to {place}"


def _place(episode: int, step: int) -> str:
    return f"{_KINDS[(episode + step) % 4]} {1 + (episode * 7 + step * 3) % 5}"


def _things(number: int, length: int) -> str:
    things = [f"a {thing} {1 + (number + index) % 9}" for index, thing in enumerate(("mug", "cd", "book", "pen") * 3)]
    seen = f"On it, you see {', '.join(things)}. "
    return (seen * (1 + length // len(seen)))[:length]


def load_plainly(folder: Path, device: str) -> Any:
    """The model as transformers loads it, on the device at once."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype="auto", device_map={"": device})
