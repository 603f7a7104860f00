"""Chat templates of models that people bring: pinned to one date and one way to answer, and tested on a made-up chat.

A template is somebody else's program. That it renders without an error proves nothing: some leave out the system
message, some put it after the history, some only read content parts. So a made-up conversation is rendered, and the
text that comes out decides.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from leap_core.errors import StudentError
from leap_core.students.trial import Chat, is_tame, try_template
from leap_core.text.markup import find_open_thought
from leap_core.types import Message

PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
"""For base models, whose tokenizer has no chat template. The space before an answer belongs to the answer: tokenizers
of base models make one token of a space and the word after it."""

_BOS = "{{ bos_token }}"
_FIXED_DATE = (
    "{% set date_string = '26 Jul 2024' %}{% macro strftime_now(format) %}{{ format | replace('%-d', '26')"
    " | replace('%d', '26') | replace('%e', '26') | replace('%b', 'Jul') | replace('%B', 'July') | replace('%m', '07')"
    " | replace('%Y', '2024') | replace('%y', '24') | replace('%A', 'Friday') | replace('%a', 'Fri')"
    " | replace('%H', '12') | replace('%I', '12') | replace('%M', '00') | replace('%S', '00') | replace('%p', 'PM')"
    " | replace('%j', '208') | replace('%F', '2024-07-26') | replace('%D', '07/26/24') }}{% endmacro +%}"
)
_NO_THINKING = "{% set enable_thinking = false +%}"
_AS_PARTS = (
    "{% set pinned = namespace(messages=[]) %}{% for message in messages %}"
    "{% set pinned.messages = pinned.messages + [{'role': message['role'], 'content': "
    "[{'type': 'text', 'text': message['content']}] if message['content'] is string else message['content']}] %}"
    "{% endfor %}{% set messages = pinned.messages +%}"
)
_PINS = {"strftime_now": _FIXED_DATE, "date_string": _FIXED_DATE, "enable_thinking": _NO_THINKING}
"""What a template that names a thing begins with. `+%}` keeps the line break that may follow."""

_SYSTEM, _FIRST, _ANSWER, _SECOND = "Systemwords", "Firstwords", "Answerwords", "Secondwords"
_SYSTEM_MESSAGE = Message(role="system", content=_SYSTEM)
_TALK = (
    Message(role="user", content=_FIRST),
    Message(role="assistant", content=_ANSWER),
    Message(role="user", content=_SECOND),
)
_LONG_TALK = tuple(
    Message(
        role="assistant" if number % 2 else "user",
        content=f"Turn {number}, One  Two: It's <b>'{number}'</b> & \"{{{{ x }}}}\" \\ 日本\n\n"
        + "many words " * 100
        + f"end {number}",
    )
    for number in range(23)
)
"""Long and awkward: some templates truncate messages, escape them as HTML, or drop all but the last ones."""

_FOREIGN_FAULTS = (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, MemoryError, RuntimeError)
"""What code in a template may raise besides jinja2's own errors."""


@dataclass(frozen=True, kw_only=True)
class AnswerFrame:
    """How a template writes an answer: `opening` stands at the end of each prompt, `lead` before the answer's words.

    `ending` is what follows them, up to and with the token that ends the turn, if the template writes one.
    `opened_thought` is the mark of a thought that `opening` leaves open, "" if it leaves none.
    """

    opening: str
    lead: str
    ending: str
    opened_thought: str


def pin_template(tokenizer: Any, base_template: str | None = None) -> None:
    """Give the tokenizer the one template that is used with it, independent of today's date.

    Without one of its own it gets `base_template` (that of the base, for an adapter), else the plain one, with the
    token that opens a text where this tokenizer puts it before texts. Pinned once, a template stays as it is.

    Raises:
        StudentError: there are several templates and none is the default.
    """
    template = tokenizer.chat_template
    if isinstance(template, dict):
        template = _default_of(template, tokenizer)
    if template is None:
        template = base_template or (_BOS if _adds_bos(tokenizer) else "") + PLAIN_TEMPLATE
    pins = dict.fromkeys(pin for name, pin in _PINS.items() if name in template and pin not in template)
    tokenizer.chat_template = "".join(pins) + template
    _try(tokenizer)
    if not _keeps(tokenizer, _TALK):
        plain, tokenizer.chat_template = tokenizer.chat_template, _AS_PARTS + tokenizer.chat_template
        if not _keeps(tokenizer, _TALK):
            tokenizer.chat_template = plain


def check_template(tokenizer: Any) -> None:
    """Raise StudentError where the template drops or changes messages, or refuses user and assistant in turn."""
    for talk in (_TALK, _LONG_TALK):
        text = render(tokenizer, talk)
        missing = [message.role for message in talk if text.count(message.content) != 1]
        places = [text.find(message.content) for message in talk]
        if missing or places != sorted(places):
            raise StudentError(
                f"The chat template of {tokenizer.name_or_path!r} does not write the text of "
                f"{missing[0] if missing else 'all'} messages once, as it is and in order: of {len(talk)} messages it "
                f"makes {text[:200]!r}. Put a template that does into chat_template.jinja."
            )


def folds_system(tokenizer: Any) -> bool:
    """Whether system messages must become the beginning of the first user message.

    That is so where a template has no system role, drops its text, or puts it after the history: each prompt of an
    episode has to begin with the text of the one before it.
    """
    for talk in (_TALK[:1], _TALK, _LONG_TALK):
        try:
            text = render(tokenizer, (_SYSTEM_MESSAGE, *talk))
        except StudentError:
            return True
        if text.count(_SYSTEM) != 1 or not text.find(_SYSTEM) < text.find(talk[0].content):
            return True
    return False


def find_frame(tokenizer: Any, ends: Collection[str]) -> AnswerFrame:
    """See how the template writes an answer; `ends` are the tokens that could end a turn."""
    opening = render(tokenizer, _TALK[:1])
    turn = render(tokenizer, _TALK[:2], add_generation_prompt=False)
    before, _, after = turn.rpartition(_ANSWER)
    lead = before[len(opening) :] if before.startswith(opening) else ""
    thought = find_open_thought(opening.rpartition(_FIRST)[2] + lead)
    if thought is not None:  # an answer is taught without a thought, so it begins by ending the one that was opened
        lead = f"{lead}\n{thought.closing}\n\n"
    found = [after.index(token) + len(token) for token in ends if token in after]
    return AnswerFrame(
        opening=opening,
        lead=lead,
        ending=after[: min(found)] if found else "",
        opened_thought="" if thought is None else thought.opening,
    )


def render(tokenizer: Any, messages: Sequence[Message], add_generation_prompt: bool = True) -> str:
    """The template's text for these messages.

    Raises:
        StudentError: the template refuses them, or fails.
    """
    from jinja2.exceptions import TemplateError

    chat = _chat(messages)
    try:
        return str(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=add_generation_prompt))
    except (TemplateError, *_FOREIGN_FAULTS) as error:
        roles = [message.role for message in messages]
        raise StudentError(
            f"The chat template of {tokenizer.name_or_path!r} refuses messages with the roles {roles}: "
            f"{str(error) or type(error).__name__}. Expected an optional system message, then user and assistant in "
            "turn. Mend its chat_template.jinja, or take the one of the model that it was made from."
        ) from error


def _chat(messages: Sequence[Message]) -> Chat:
    return [{"role": message.role, "content": message.content} for message in messages]


def _try(tokenizer: Any) -> None:
    """Raise StudentError where the template runs without bounds, or gives a different text each time."""
    template = str(tokenizer.chat_template)
    if is_tame(template):
        return
    talks = (_TALK[:1], _TALK, (_SYSTEM_MESSAGE, *_TALK), _LONG_TALK)
    as_parts = [
        [{"role": message.role, "content": [{"type": "text", "text": message.content}]} for message in talk]
        for talk in talks
    ]
    texts = try_template(template, tokenizer.special_tokens_map, [*map(_chat, talks), *as_parts])
    if any(text is not None and text != render(tokenizer, talk) for talk, text in zip(talks, texts, strict=False)):
        raise StudentError(
            f"The chat template of {tokenizer.name_or_path!r} writes something else each time for the same messages. "
            "Take what is left to chance out of its chat_template.jinja."
        )


def _keeps(tokenizer: Any, messages: Sequence[Message]) -> bool:
    try:
        text = render(tokenizer, messages)
    except StudentError:
        return False
    return all(text.count(message.content) == 1 for message in messages)


def _default_of(templates: dict[str, str], tokenizer: Any) -> str:
    if "default" not in templates:
        raise StudentError(
            f"The tokenizer of {tokenizer.name_or_path!r} has the chat templates {', '.join(sorted(templates))}, and "
            "none is called 'default'. Copy the one that is meant to chat_template.jinja in the model's directory."
        )
    return templates["default"]


def _adds_bos(tokenizer: Any) -> bool:
    """Whether texts begin with the token that opens a text, as this tokenizer encodes them."""
    bos = tokenizer.bos_token_id
    return (
        bos is not None
        and tokenizer.encode("a")[:1] == [bos]
        and tokenizer.encode("a", add_special_tokens=False)[:1] != [bos]
    )
