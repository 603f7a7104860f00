"""Small models and conversations that the tests of students and trainers share."""

from leap_core.students.tiny import TinyParams, make_tiny_student
from leap_core.types import Message

SMALL = TinyParams(hidden_size=32, num_layers=2, num_heads=2, intermediate_size=48, max_positions=1024)
COMMANDS = ("go to cabinet 1", "go to cabinet 2", "take mug 1 from cabinet 2", "take mug 1", "look")
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def conversation(episode, turn):
    """The prompt of one turn; each begins with the text of the one before."""
    messages = [
        Message(role="system", content="Answer with REASON: and ACTION:."),
        Message(role="user", content=f"Goal: put mug {1 + episode % 3} on shelf 1. " + "You see a shelf 1. " * episode),
    ]
    for step in range(turn):
        place = f"cabinet {1 + (episode + step) % 2}"
        messages.append(Message(role="assistant", content=f"ACTION: go to {place}"))
        messages.append(Message(role="user", content=f"You arrive at {place}.\nOn the {place}, you see a mug 1."))
    return tuple(messages)


def answer(episode, turn):
    return f"REASON: need mug 1; not in cabinet {1 + turn % 2}.\nACTION: go to cabinet {1 + (episode + turn) % 2}"


def texts():
    yield from COMMANDS
    for episode in range(4):
        yield answer(episode, episode)
        yield from (message.content for message in conversation(episode, 3))


def make_small_tiny(folder, seed=0):
    make_tiny_student(folder, texts(), seed, SMALL)
    return folder


def make_bpe_tokenizer():
    """A byte-level BPE tokenizer with a ChatML template, trained on the spot."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sorted(texts()), trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    fast.chat_template = CHATML
    return fast


def make_model(model_type, vocab_size, **settings):
    """A random model of two small layers."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    config = AutoConfig.for_model(
        model_type,
        **{
            "vocab_size": vocab_size,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 1024,
            "bos_token_id": None,
            "eos_token_id": 2,
            "pad_token_id": 0,
            "initializer_range": 0.2,
            **settings,
        },
    )
    return AutoModelForCausalLM.from_config(config).eval()


def write_rows(path, episodes, steps, completion=answer):
    """A Parquet file like that of a dataset artifact; each step is one that the teacher changed."""
    import pyarrow as pa
    from pyarrow import parquet

    rows = [
        {
            "iteration": 0,
            "episode": f"episode-{episode}",
            "step": step,
            "prompt": [message.model_dump() for message in conversation(episode % 4, step)],
            "completion": [{"role": "assistant", "content": completion(episode, step)}],
            "rejected": [{"role": "assistant", "content": answer(episode + 1, step)}],
        }
        for episode in range(episodes)
        for step in range(steps)
    ]
    parquet.write_table(pa.Table.from_pylist(rows), path)
    return path
