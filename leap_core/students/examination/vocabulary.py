"""Whether a tokenizer can be read, and fits the model's embedding."""

from pathlib import Path
from typing import Any

from leap_core.errors import StudentError
from leap_core.students.encoding import encode_completion, encode_prompt, end_ids, load_tokenizer
from leap_core.students.examination.findings import Notes
from leap_core.students.examination.skeleton import quietly
from leap_core.students.matching import first_of
from leap_core.students.model_files import HOW_TO_PULL, check_plain, is_pointer, read_json_object
from leap_core.students.templates import PLAIN_TEMPLATE
from leap_core.types import Message

FILES = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")
_ALL = (*FILES, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt")
_OTHER = "The tokenizer must be the model's own: download both again."
_PROBE = (
    Message(role="system", content="Answer with REASON: and ACTION:."),
    Message(role="user", content="Goal: put a mug on the shelf 1."),
    Message(role="assistant", content="ACTION: go to cabinet 12"),
    Message(role="user", content="You arrive at cabinet 12. It is closed; nothing happens."),
)
_MOST_UNUSED_SHARE = 0.5


def read_vocabulary(directory: Path, notes: Notes, *, has_config: bool) -> Any:
    """Load the tokenizer of a model directory; None if that fails, with the reason in `notes`.

    Without a readable config.json, which transformers needs, only its files are checked.
    """
    before = len(notes.found)
    for name in _ALL:
        if (directory / name).exists() or (directory / name).is_symlink():
            with notes.catching("tokenizer"):
                _check_file(directory / name)
    if not any((directory / name).exists() for name in FILES):
        came, expected = f"{directory} has no tokenizer", f"{FILES[0]} and tokenizer_config.json"
        notes.error("tokenizer", came, expected, "Copy the tokenizer of the model there.")
    if len(notes.found) > before or not has_config:
        return None
    with notes.catching("tokenizer"), quietly():
        return load_tokenizer(directory)
    return None


def _check_file(path: Path) -> None:
    if path.suffix == ".json":
        read_json_object(path)
    elif check_plain(path) and is_pointer(path):
        raise StudentError(f"{path} {HOW_TO_PULL}")


def check_vocabulary(tokenizer: Any, num_rows: int, notes: Notes) -> None:
    """Check that every id that can occur has a row in the model's embedding, which has `num_rows`."""
    has = f"the model has rows for 0 to {num_rows - 1:,}"
    named = {"eos_token": tokenizer.eos_token, "pad_token": tokenizer.pad_token}
    if named["pad_token"] == named["eos_token"]:  # as it is where a tokenizer has no pad_token
        named.pop("pad_token")
    for name, token in named.items():
        number = tokenizer.convert_tokens_to_ids(token)
        if number is None or tokenizer.convert_ids_to_tokens(number) != str(token):
            notes.error("tokenizer", f"its {name} {token!r} is not in its vocabulary", remedy=f"Set a {name} that is.")
        elif number >= num_rows:
            remedy = f"Set {name} in tokenizer_config.json to a token that the model knows."
            notes.error("tokenizer", f"its {name} {token!r} has the id {number:,}, but {has}", remedy=remedy)
    if tokenizer.vocab_size > num_rows:
        notes.error("tokenizer", f"it has {tokenizer.vocab_size:,} tokens, but {has}", remedy=_OTHER)
    # Some models have no row for a special token for images, which never occurs in text.
    added = [token for number, token in tokenizer.added_tokens_decoder.items() if number >= num_rows]
    names = sorted(token.content for token in added if not token.special)
    if names:
        notes.error("tokenizer", f"it adds tokens for which the model has no row: {first_of(names)}", remedy=_OTHER)
    elif tokenizer.vocab_size < num_rows * _MOST_UNUSED_SHARE:
        came = f"it has {len(tokenizer):,} tokens, and the model rows for {num_rows:,}"
        notes.remark("tokenizer", came, remedy="See that it is the model's own.")
    with notes.catching("tokenizer"):
        used = {*encode_prompt(tokenizer, _PROBE), *encode_completion(tokenizer, "ACTION: look"), *end_ids(tokenizer)}
        tokens = [repr(tokenizer.convert_ids_to_tokens(number)) for number in sorted(used) if number >= num_rows]
        if tokens:
            notes.error("tokenizer", f"prompts hold {first_of(tokens)}, but {has}", remedy=_OTHER)


def template_of(tokenizer: Any, notes: Notes) -> str:
    """Describe the chat template that prompts are rendered with; that there is none is worth a note."""
    if not tokenizer.chat_template.endswith(PLAIN_TEMPLATE):
        return "its own"
    came = "there is no chat template, so messages are written as plain lines, `user: ...`"
    remedy = "If the model was trained to chat, put its own into chat_template.jinja."
    notes.remark("chat template", came, remedy=remedy)
    return "none: messages are written as plain lines"
