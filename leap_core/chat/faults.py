"""What can go wrong with a request, what of it is worth another try, and what may be shown of it.

The text of an endpoint's error can hold the key, or quote the prompt with its privileged text. It is shown only after
the key was cut out, and only where it shares no run of words with the prompt.
"""

import email.utils
import math
import re
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from urllib.parse import unquote_plus

from leap_core.chat.keys import without_keys
from leap_core.chat.messages import ChatRequest
from leap_core.text.shown import shown as printable

_MOST_SHOWN = 240
_RUN = 3
_LONGEST_WAIT_S = 3600.0
_CONTEXT = re.compile(r"context.{0,12}(length|window|size)|(prompt|input)( \w+){0,3} too long")
_TOO_MUCH = re.compile(r"maximum.{0,30}tokens|too (long|many tokens)|exceed.{0,40}token")
_CREDIT = re.compile(r"billing|insufficient.{0,20}(quota|balance|credit|fund)|out of credit|no credit|arrears")
_CONTENT = re.compile(r"moderat|flagged|content.{0,5}(policy|filter)")
_KEY = re.compile(r"invalid_api_key|api_key_invalid|api key not valid|incorrect api key")
_ESCAPE = re.compile(r"\\+u([0-9a-fA-F]{4})")
_LAYOUT = re.compile(r"\\+[nrt]")
_WORD = re.compile(r"\w+")
_PASSING = {408, 409, 423, 425, 498, 499}
_WRONG_ADDRESS = " (is the name of the model right, and does base_url end in /v1?)"
_REFUSALS = {401: "", 403: "", 404: _WRONG_ADDRESS, 405: _WRONG_ADDRESS, 410: _WRONG_ADDRESS} | {
    501: _WRONG_ADDRESS,
    505: "",
    511: " (the network requires a login)",
}
"""Statuses with which everything would be refused, and what to look at."""


class FaultKind(StrEnum):
    """What became of a request that brought no reply."""

    RATE_LIMIT = "rate limit"
    """429: too fast. Tried again, more slowly."""
    SERVER = "server error"
    """5xx, and others that pass (408, 409, 423, 425, 498, 499): tried again."""
    TIMEOUT = "time-out"
    """No whole answer in time: tried again."""
    UNREACHABLE = "no connection"
    """Nothing answers at the address: waited for if it answered before."""
    CONNECTION = "connection lost"
    """Reset before the whole answer was there: tried again."""
    BROKEN = "unreadable answer"
    """200, but no chat completion in it: tried again."""
    TOO_LONG = "prompt too long"
    """The prompt does not fit into the model's context."""
    TOO_MUCH = "request too large"
    """Some other limit on size: of what is written, of a schema, of a request. Less at once may pass."""
    UNSUPPORTED = "unsupported parameter"
    """The endpoint does not know a parameter that it can do without: tried again without it."""
    BAD_REQUEST = "bad request"
    """Refused for what is in it; another request may pass."""
    REFUSED = "refused"
    """Key, model, credit or address: everything would be refused."""


WORTH_A_TRY = {FaultKind.RATE_LIMIT, FaultKind.SERVER, FaultKind.TIMEOUT, FaultKind.CONNECTION, FaultKind.BROKEN}
OPTIONAL_PARAMETERS = ("response_format", "max_completion_tokens", "max_tokens", "temperature", "top_p", "seed")
"""What a request can do without, or have under another name; looked for in this order."""


class Fault(Exception):  # noqa: N818 - not an error yet: most are tried again
    """A request that brought no reply. `text` is safe to show. `wait_s` is the endpoint's Retry-After, if any.

    `parameter` is what an UNSUPPORTED one is about.
    """

    def __init__(self, kind: FaultKind, text: str, wait_s: float | None = None, parameter: str = "") -> None:
        super().__init__(f"{kind.value}: {text}" if text else kind.value)
        self.kind, self.wait_s, self.parameter = kind, wait_s, parameter


def fault_of_status(status: int, raw: str, code: str, headers: Mapping[str, str], shown: str) -> Fault:
    """Judge an answer that is an error.

    `raw` is the endpoint's own text, to be matched and never shown; `shown` is the same after `presentable`. `code` is
    its code or type of error, "" where it gave none.
    """
    text = f"{status} {code}".strip() + (f": {shown}" if shown else "")
    words, wait_s = f"{code} {raw}".lower(), retry_after_s(headers)
    if status == 402 or (status == 429 and _is_about_credit(words, wait_s)):
        return Fault(FaultKind.REFUSED, f"{text}. Add credit to the account, then run the same command again")
    if status == 429:
        return Fault(FaultKind.RATE_LIMIT, text, wait_s=wait_s)
    if (status >= 500 and status not in _REFUSALS) or status in _PASSING:
        return Fault(FaultKind.SERVER, text, wait_s=wait_s)
    if status == 403 and _CONTENT.search(words):
        return Fault(FaultKind.BAD_REQUEST, text)
    if status in _REFUSALS or _KEY.search(words):
        return Fault(FaultKind.REFUSED, f"{text}{_REFUSALS.get(status, '')}")
    if _CONTEXT.search(words):
        return Fault(FaultKind.TOO_LONG, text)
    if status == 413 or _TOO_MUCH.search(words):
        return Fault(FaultKind.TOO_MUCH, text)
    named = next((name for name in OPTIONAL_PARAMETERS if name in words), None)
    if named is None and "json_schema" in words:
        named = "response_format"
    return Fault(FaultKind.UNSUPPORTED if named else FaultKind.BAD_REQUEST, text, parameter=named or "")


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait before the next try, an hour at most; None where the answer names none that can be read."""
    milliseconds, value = headers.get("retry-after-ms", ""), headers.get("retry-after", "")
    waits = (_seconds_of(milliseconds, 1e-3), _seconds_of(value, 1.0), _seconds_until(value))
    wait_s = next((wait for wait in waits if wait is not None), 0.0)
    return min(wait_s, _LONGEST_WAIT_S) if wait_s > 0 else None


def _is_about_credit(words: str, wait_s: float | None) -> bool:
    """Whether a 429 is about money. "Check your plan and billing" with a time to wait is about speed."""
    return "insufficient_quota" in words or (wait_s is None and _CREDIT.search(words) is not None)


def _seconds_of(number: str, unit_s: float) -> float | None:
    try:
        seconds = float(number) * unit_s
    except ValueError:
        return None
    return None if math.isnan(seconds) else seconds


def _seconds_until(date: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(date).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None


def presentable(text: str, requests: Sequence[ChatRequest] = ()) -> str:
    """An endpoint's text as it may be shown: one line, no key, no quote of a prompt, no control characters."""
    text = without_keys(" ".join(text.split()))
    if any(_quotes(text, request) for request in requests):
        return "(text left out: it quotes the prompt)"
    text = printable(text)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]} ..."


def _quotes(text: str, request: ChatRequest) -> bool:
    prompt = _WORD.findall(" ".join(message.content for message in request.messages).lower())
    runs = {tuple(prompt[start : start + _RUN]) for start in range(len(prompt) - _RUN + 1)}
    spellings = (_WORD.findall(one.lower()) for one in (text, _unescaped(text)))
    return any(
        tuple(words[start : start + _RUN]) in runs for words in spellings for start in range(len(words) - _RUN + 1)
    )


def _unescaped(text: str) -> str:
    """A text with the escapes of JSON and of URLs taken out."""
    text = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), unquote_plus(text))
    return _LAYOUT.sub(" ", text)
