"""The one place that turns messages into token ids, for playing and for training alike.

A prompt is the chat template's text with the generation prompt. A completion is what the template writes for an answer
after it, up to the token that ends the turn. Both sides use these functions, so what a model is trained on and what it
sees when it plays cannot drift apart. No text of a message ever becomes a control token.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from leap_core.errors import StudentError
from leap_core.students.loading import base_of_adapter, is_adapter, read_tokenizer
from leap_core.students.templates import (
    AnswerFrame,
    check_template,
    find_frame,
    folds_system,
    pin_template,
    render,
)
from leap_core.types import Message

_MAX_CACHED_SEGMENTS = 100_000
_MIN_CONTROL = 3
"""Shorter special tokens are treated as words: some tokenizers use "!" for padding."""

_TAG = re.compile(r"[<\[◁].*[>\]▷]", re.DOTALL)
_ALWAYS_CONTROL = ("<think>", "</think>")
"""Templates cut answers at these marks, whether or not the tokenizer has them as tokens."""

_ANSWER = "REASON: I See: a b.\nACTION: go to Shelf 1"
"""What has to come back from any tokenizer as it went in."""

_PROBE = (
    Message(role="user", content="  A first line. \n\n- an item, \tanother  "),
    Message(role="assistant", content="ACTION: go to cabinet 1"),
    Message(role="user", content="Überall 日本 🤖 'quotes' x1 \n"),
    Message(role="assistant", content=" "),
    Message(role="user", content="1. one\n2. two"),
)


def load_tokenizer(path: Path | str) -> Any:
    """Load the tokenizer of a model directory, an adapter or a hub id, with the template that is used with it.

    Raises:
        StudentError: there is no usable tokenizer there, it has no end-of-text token, or its template is of no use.
    """
    tokenizer = read_tokenizer(path)
    if tokenizer.eos_token_id is None:
        raise StudentError(f"The tokenizer of {str(path)!r} has no eos_token, so no reply could ever end. Set one.")
    pin_template(tokenizer, _template_of_base(path) if tokenizer.chat_template is None else None)
    check_template(tokenizer)
    _check_words(tokenizer)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _check_words(tokenizer: Any) -> None:
    """Raise StudentError where an answer does not survive encoding, or would begin with words of the template."""
    read = tokenizer.decode(encode_completion(tokenizer, _ANSWER)[:-1], clean_up_tokenization_spaces=False)
    lead = _encoder_of(tokenizer).frame.lead
    if _ANSWER not in read:
        raise StudentError(
            f"The tokenizer of {tokenizer.name_or_path!r} does not keep the text: of {_ANSWER!r} it makes {read!r}. "
            "Commands would not arrive as they are meant. Take a model whose tokenizer knows upper case, line breaks "
            "and all characters."
        )
    if not opened_thought(tokenizer) and any(letter.isalpha() for letter in lead):
        raise StudentError(
            f"The chat template of {tokenizer.name_or_path!r} writes no prompt for an answer (add_generation_prompt): "
            f"each answer would have to begin with {lead!r}. Put a template that does into chat_template.jinja."
        )


def prepare(tokenizer: Any, messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages as the template can take them, and without anything that could be read as a control token.

    What a served model is sent, so that it sees what it was trained on.
    """
    return _encoder_of(tokenizer).prepare(messages)


def encode_prompt(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """Token ids of the chat template's text for `messages`, up to where the assistant's answer begins.

    Raises:
        StudentError: the chat template cannot render these messages.
    """
    return _encoder_of(tokenizer).encode_prompt(messages)


def encode_completion(tokenizer: Any, text: str) -> list[int]:
    """Token ids of one answer and of the end-of-turn token after it: everything the model must learn to emit."""
    return _encoder_of(tokenizer).encode_completion(text)


def encode_opening(tokenizer: Any, text: str) -> list[int]:
    """Token ids of the beginning of an answer."""
    return _encoder_of(tokenizer).encode_answer(text)


def encode_inside(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a part of an answer that has other words before it."""
    return _encoder_of(tokenizer).encode_inside(text)


def end_ids(tokenizer: Any) -> frozenset[int]:
    """The ids that stop generation: the template's end-of-turn token and the tokenizer's end-of-text token."""
    return frozenset({encode_completion(tokenizer, "")[-1], tokenizer.eos_token_id})


def opened_thought(tokenizer: Any) -> str:
    """The mark of a thought that every prompt leaves open, so that replies begin inside it; "" for most models."""
    return _encoder_of(tokenizer).frame.opened_thought


@dataclass(kw_only=True)
class _Encoder:
    """What is computed once per tokenizer.

    `segments` splits a rendered text before each special token. Text between special tokens is tokenised
    independently of what surrounds it, so the ids of a segment can be remembered: of a growing conversation only
    the new messages are tokenised. None where a check has shown that this tokenizer does not work that way.
    `control` finds the control tokens in a text.
    """

    tokenizer: Any
    folds_system: bool
    frame: AnswerFrame
    control: re.Pattern[str]
    segments: re.Pattern[str] | None = None
    known: dict[str, list[int]] = field(default_factory=dict)
    opening: list[int] = field(default_factory=list)

    def prepare(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        told = tuple(self._harmless(message) for message in messages)
        if not self.folds_system or len(told) < 2 or told[0].role != "system":
            return told
        return (Message(role="user", content=f"{told[0].content}\n\n{told[1].content}"), *told[2:])

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        text = render(self.tokenizer, self.prepare(messages))
        if self.segments is None:
            return _encode(self.tokenizer, text)
        return [token for segment in self.segments.split(text) for token in self._encode_segment(segment)]

    def encode_completion(self, text: str) -> list[int]:
        if self.control.search(text):
            ids = [*self.encode_answer(text), *self.encode_inside(self.frame.ending, is_said=False)]
        else:
            ids = self._after_opening(self.frame.lead + text + self.frame.ending)
        return ids if self.frame.ending else [*ids, self.tokenizer.eos_token_id]

    def encode_answer(self, text: str) -> list[int]:
        first, *rest = self._apart(text)
        return [*self._after_opening(self.frame.lead + first), *(i for part in rest for i in self._encode_after(part))]

    def encode_inside(self, text: str, is_said: bool = True) -> list[int]:
        parts = self._apart(text) if is_said else [text]
        return [token for part in parts for token in self._encode_after(part)]

    def _harmless(self, message: Message) -> Message:
        """Put a space into each control token, so that any server that renders the message reads it as words, too."""
        text = message.content
        while self.control.search(text):
            text = self.control.sub(lambda found: f"{found.group()[0]} {found.group()[1:]}", text)
        return message if text is message.content else Message(role=message.role, content=text)

    def _apart(self, text: str) -> list[str]:
        """Cut the text inside each control token: its parts are encoded one by one, and mean the same text."""
        cuts = [found.start() + 1 for found in self.control.finditer(text)]
        return [text[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    def _after_opening(self, text: str) -> list[int]:
        """The ids of `text` after the end of a prompt. Some tokenizers put a blank before a text that stands alone."""
        ids = _encode(self.tokenizer, self.frame.opening + text)
        size = len(self.opening)
        return ids[size:] if ids[:size] == self.opening else _encode(self.tokenizer, text)

    def _encode_after(self, text: str) -> list[int]:
        """The ids of `text` after a word."""
        alone, before = _encode(self.tokenizer, text), _encode(self.tokenizer, "a")
        if self.tokenizer.decode([*before, *alone]) == f"a{text}":
            return alone
        both = _encode(self.tokenizer, f"a{text}")
        return both[len(before) :] if both[: len(before)] == before else alone

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
        encoder = _Encoder(
            tokenizer=tokenizer,
            folds_system=folds_system(tokenizer),
            frame=find_frame(tokenizer, _control_tokens(tokenizer)),
            control=_one_of(_control_tokens(tokenizer) | set(_ALWAYS_CONTROL)),
            segments=_find_segments(tokenizer),
        )
        encoder.opening = _encode(tokenizer, encoder.frame.opening)
        _ENCODERS[tokenizer] = encoder
    return encoder


def _encode(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids


def _template_of_base(path: Path | str) -> str | None:
    """The template of an adapter's base: adapters are often saved without one."""
    if not is_adapter(path):
        return None
    base = read_tokenizer(base_of_adapter(path))
    if base.chat_template is None:
        return None
    pin_template(base)
    return str(base.chat_template)


def _control_tokens(tokenizer: Any) -> set[str]:
    """Tokens that mean something other than their letters; added words and whitespace are not among them."""
    added = tokenizer.added_tokens_decoder.values()
    special = {token.content for token in added if token.special or _TAG.fullmatch(token.content)}
    return {token for token in special | set(tokenizer.all_special_tokens) if len(token.strip()) >= _MIN_CONTROL}


def _one_of(tokens: set[str]) -> re.Pattern[str]:
    longest_first = sorted(tokens, key=lambda content: (-len(content), content))
    return re.compile("|".join(map(re.escape, longest_first)))


def _find_segments(tokenizer: Any) -> re.Pattern[str] | None:
    if not tokenizer.is_fast:
        return None
    clean = {
        token.content
        for token in tokenizer.added_tokens_decoder.values()
        if token.special and not (token.lstrip or token.rstrip or token.single_word or token.normalized)
    }
    if not clean:
        return None
    pattern = re.compile(f"(?={_one_of(clean).pattern})")
    text = render(tokenizer, _PROBE)
    joined = [token for segment in pattern.split(text) for token in _encode(tokenizer, segment)]
    return pattern if joined == _encode(tokenizer, text) else None
