"""Reading an endpoint's answer: a reply with possible counts of tokens, or the text of an error.

A count of tokens that is negative, absurdly large or no number is replaced by an estimate of our own: budgets and
records are kept by these counts.
"""

from typing import Any

from pydantic import JsonValue

from leap_core.chat.keys import without_keys
from leap_core.chat.messages import ChatReply
from leap_core.text.outside import read_json
from leap_core.text.shown import shown

_MOST_TOKENS = 10_000_000
"""Of a prompt or of a reply: more than any model reads or writes."""
_MOST_CHARACTERS_A_TOKEN = 200
"""Nobody's tokens are longer on average."""
_MOST_CHARACTERS = 1_000_000
"""Of a reply: what is beyond is cut off, as by the limit on tokens."""
_CUT_OFF = {"length", "max_tokens", "model_length"}
_LONGEST_NAME, _LONGEST_WORDS, _MOST_SHOWN = 200, 2000, 40


def read_completion(value: JsonValue, num_characters: int) -> tuple[ChatReply, str]:
    """Read a chat completion, forgiving what servers leave out or put elsewhere; and list its impossible counts.

    No choices make an empty reply. An answer in `reasoning_content` alone counts as the answer. `num_characters` is the
    length of the prompt, for the counts that the answer leaves out.

    Raises:
        ValueError: it is no chat completion at all.
    """
    if not isinstance(value, dict) or "choices" not in value:
        raise ValueError("no choices")
    choice = _first_of(value["choices"] or [{"message": {}, "finish_reason": "empty"}])
    message = choice["message"] if choice else None
    if not isinstance(message, dict):
        raise ValueError("no message")
    text = without_keys(_text_of(message))
    finish, refusal = _name(choice.get("finish_reason"), "stop"), message.get("refusal")
    is_cut_off = finish.lower() in _CUT_OFF or len(text) > _MOST_CHARACTERS
    tokens, doubt = _tokens_of(value.get("usage"), num_characters, text)
    reply = ChatReply(
        text=text[:_MOST_CHARACTERS],
        finish="length" if is_cut_off else finish,
        refusal=without_keys(refusal)[:_LONGEST_WORDS] if isinstance(refusal, str) else None,
        **tokens,
    )
    return reply, doubt


def recounted(reply: ChatReply, num_characters: int) -> ChatReply:
    """A reply with an estimate in place of impossible counts; `num_characters` is the length of its prompt."""
    prompt, completion, cached = reply.prompt_tokens, reply.completion_tokens, reply.cached_tokens
    if 0 <= cached <= prompt <= _MOST_TOKENS and 0 <= completion <= _MOST_TOKENS:
        return reply
    return reply.with_(
        prompt_tokens=estimate_tokens(num_characters),
        completion_tokens=estimate_tokens(len(reply.text)),
        cached_tokens=0,
        is_counted=False,
    )


def estimate_tokens(num_characters: int) -> int:
    """Tokens of a text, guessed from its length: English and code have three to four characters a token."""
    return -(-num_characters // 3)


def status_of_error(value: JsonValue) -> int | None:
    """The status that an answer should have had that is an error though it came as a success; None where it is none.

    500 where it names none.
    """
    if not isinstance(value, dict) or not value.get("error") or value.get("choices"):
        return None
    error = value["error"]
    code = _count_of(error.get("code")) if isinstance(error, dict) else None
    return code if code is not None and 400 <= code < 600 else 500


def words_of(content: bytes) -> tuple[str, str]:
    """The text of an error, and its code or type, in whatever form it came; both without keys."""
    try:
        value = read_json(content)
    except ValueError:
        return without_keys(content[:_LONGEST_WORDS].decode("utf-8", "replace")), ""
    error = value.get("error", value) if isinstance(value, dict) else value
    if not isinstance(error, dict):
        return without_keys(str(error))[:_LONGEST_WORDS], ""
    text = error.get("message") or error.get("detail") or ""
    named = f" ({error['param']})" if error.get("param") else ""
    code = str(error.get("code") or error.get("type") or "")
    return without_keys(f"{text}{named}")[:_LONGEST_WORDS], without_keys(code)[:_LONGEST_NAME]


def _first_of(choices: JsonValue) -> dict[str, JsonValue]:
    """The first choice; empty where it is none."""
    first = choices[0] if isinstance(choices, list) else None
    return first if isinstance(first, dict) and "message" in first else {}


def _text_of(message: dict[str, JsonValue]) -> str:
    text = message.get("content") or message.get("reasoning_content") or message.get("reasoning") or ""
    if isinstance(text, list):
        return "".join(part if isinstance(part, str) else _text_of_part(part) for part in text)
    if not isinstance(text, str):
        raise ValueError("no text")
    return text


def _text_of_part(part: JsonValue) -> str:
    text = part.get("text", "") if isinstance(part, dict) else ""
    return text if isinstance(text, str) else ""


def _name(value: JsonValue, otherwise: str) -> str:
    return without_keys(value)[:_LONGEST_NAME] if isinstance(value, str) and value else otherwise


def _tokens_of(usage: JsonValue, num_characters: int, text: str) -> tuple[dict[str, Any], str]:
    """The counts of a reply, and which of them are impossible."""
    given, doubts, counts = usage if isinstance(usage, dict) else {}, list[str](), list[int]()
    for name, length in (("prompt_tokens", num_characters), ("completion_tokens", len(text))):
        count = _count_of(given.get(name))
        if count is None or count < length / _MOST_CHARACTERS_A_TOKEN:
            doubts.append(f"{name}: {_shown(given[name]) if name in given else 'none'}")
            count = estimate_tokens(length)
        counts.append(count)
    is_counted, (prompt, completion) = not doubts, counts
    details = given.get("prompt_tokens_details")
    given_cached = (details.get("cached_tokens") if isinstance(details, dict) else None) or 0
    cached = _count_of(given_cached)
    if cached is None or cached > prompt:
        doubts.append(f"cached_tokens: {_shown(given_cached)}")
        cached = 0
    total = _count_of(given.get("total_tokens"))
    if is_counted and total is not None and total != prompt + completion:
        doubts.append(f"total_tokens: {total} of {prompt} and {completion}")
        completion = max(completion, total - prompt)  # what a model thought may be billed and in the total alone
    tokens = {"prompt_tokens": prompt, "completion_tokens": completion, "cached_tokens": cached}
    return {**tokens, "is_counted": is_counted}, "; ".join(doubts)


def _count_of(value: JsonValue) -> int | None:
    """A number of tokens, or None where it cannot be one."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST_TOKENS:
        return None
    return int(value) if value == int(value) else None


def _shown(value: JsonValue) -> str:
    text = shown(without_keys(repr(value)))
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]} ..."
