"""The one place that turns messages into token ids, for playing and for training alike.

A prompt is the chat template's text with the generation prompt. A completion is the answer's own ids and then
the end-of-turn token that the template puts after an assistant message. Both sides use these functions, so what
a model is trained on and what it sees when it plays cannot drift apart.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from leap_core.errors import StudentError
from leap_core.students.loading import read_tokenizer
from leap_core.types import Message

PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
"""For base models, whose tokenizer has no chat template."""

_SENTINEL = "sentinelanswer"
_MAX_CACHED_SEGMENTS = 100_000
_PROBE = (
    Message(role="user", content="  A first line. \n\n- an item, \tanother  "),
    Message(role="assistant", content="ACTION: go to cabinet 1"),
    Message(role="user", content="Überall 日本 🤖 'quotes' x1 \n"),
    Message(role="assistant", content=" "),
    Message(role="user", content="1. one\n2. two"),
)


def load_tokenizer(path: Path | str) -> Any:
    """Load the tokenizer of a model directory or hub id; one without a chat template gets `PLAIN_TEMPLATE`.

    Raises:
        StudentError: there is no usable tokenizer there, or it has no end-of-text token.
    """
    tokenizer = read_tokenizer(path)
    if tokenizer.chat_template is None:
        tokenizer.chat_template = PLAIN_TEMPLATE
    if tokenizer.eos_token_id is None:
        raise StudentError(f"The tokenizer of {str(path)!r} has no eos_token, so no reply could ever end. Set one.")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def encode_prompt(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """Token ids of the chat template's text for `messages`, up to where the assistant's answer begins.

    Raises:
        StudentError: the chat template cannot render these messages.
    """
    return _encoder_of(tokenizer).encode_prompt(messages)


def encode_completion(tokenizer: Any, text: str) -> list[int]:
    """Token ids of one answer and of the end-of-turn token after it: everything the model must learn to emit."""
    encoder = _encoder_of(tokenizer)
    return [*tokenizer.encode(text, add_special_tokens=False), *encoder.ending]


def end_ids(tokenizer: Any) -> frozenset[int]:
    """The ids that stop generation: the template's end-of-turn token and the tokenizer's end-of-text token."""
    encoder = _encoder_of(tokenizer)
    return frozenset({encoder.ending[-1], tokenizer.eos_token_id})


@dataclass
class _Encoder:
    """What is worked out once for a tokenizer.

    `segments` splits a rendered text before each special token. Text between special tokens is tokenised
    independently of what surrounds it, so the ids of a segment can be remembered: of a growing conversation only
    the new messages are tokenised. None where a check has shown that this tokenizer does not work that way.
    """

    tokenizer: Any
    fold_system: bool
    ending: tuple[int, ...]
    segments: re.Pattern[str] | None
    known: dict[str, list[int]]

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        text = _render(self.tokenizer, _fold_system(messages) if self.fold_system else messages)
        if self.segments is None:
            return _encode(self.tokenizer, text)
        return [token for segment in self.segments.split(text) for token in self._encode_segment(segment)]

    def _encode_segment(self, segment: str) -> list[int]:
        ids = self.known.get(segment)
        if ids is None:
            if len(self.known) >= _MAX_CACHED_SEGMENTS:
                self.known.clear()
            ids = self.known[segment] = _encode(self.tokenizer, segment)
        return ids


_ENCODERS: WeakKeyDictionary[Any, _Encoder] = WeakKeyDictionary()


def _encoder_of(tokenizer: Any) -> _Encoder:
    encoder = _ENCODERS.get(tokenizer)
    if encoder is None:
        encoder = _Encoder(tokenizer, _refuses_system(tokenizer), _find_ending(tokenizer), None, {})
        encoder.segments = _find_segments(tokenizer)
        _ENCODERS[tokenizer] = encoder
    return encoder


def _encode(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids


def _render(tokenizer: Any, messages: Sequence[Message], add_generation_prompt: bool = True) -> str:
    from jinja2.exceptions import TemplateError

    chat = [{"role": message.role, "content": message.content} for message in messages]
    try:
        text: str = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=add_generation_prompt)
    except TemplateError as error:
        roles = [message.role for message in messages]
        raise StudentError(
            f"The chat template of {tokenizer.name_or_path!r} refuses messages with the roles {roles}: {error}. "
            "Expected an optional system message, then user and assistant in turn."
        ) from error
    return text


def _refuses_system(tokenizer: Any) -> bool:
    """Whether the template has no system role (Gemma's, for one): then its text goes into the first user message."""
    try:
        _render(tokenizer, [Message(role="system", content="s"), Message(role="user", content="u")])
    except StudentError:
        return True
    return False


def _fold_system(messages: Sequence[Message]) -> Sequence[Message]:
    if len(messages) < 2 or messages[0].role != "system":
        return messages
    first = Message(role="user", content=f"{messages[0].content}\n\n{messages[1].content}")
    return [first, *messages[2:]]


def _find_ending(tokenizer: Any) -> tuple[int, ...]:
    """The ids from the end of an answer to the first special token that the template puts after it.

    Whatever follows that token (often a line break) is never generated, so it is not learned either. A template
    that ends answers without a special token gets the tokenizer's end-of-text token.
    """
    answer = [Message(role="user", content="question"), Message(role="assistant", content=_SENTINEL)]
    suffix = _render(tokenizer, answer, add_generation_prompt=False).rpartition(_SENTINEL)[2]
    ids = _encode(tokenizer, suffix)
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    first = next((index for index, token in enumerate(ids) if token in special), None)
    return (tokenizer.eos_token_id,) if first is None else tuple(ids[: first + 1])


def _find_segments(tokenizer: Any) -> re.Pattern[str] | None:
    if not tokenizer.is_fast:
        return None
    clean = [
        token.content
        for token in tokenizer.added_tokens_decoder.values()
        if token.special and not (token.lstrip or token.rstrip or token.single_word or token.normalized)
    ]
    if not clean:
        return None
    longest_first = sorted(clean, key=lambda content: (-len(content), content))
    pattern = re.compile(f"(?={'|'.join(map(re.escape, longest_first))})")
    text = _render(tokenizer, _PROBE)
    joined = [token for segment in pattern.split(text) for token in _encode(tokenizer, segment)]
    return pattern if joined == _encode(tokenizer, text) else None
