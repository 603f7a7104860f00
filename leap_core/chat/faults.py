"""What can go wrong with a request, which of it is worth another try, and what may be told about it.

What an endpoint says in an error can hold the key, or quote the prompt with its privileged text. So its words are
shown only after the key was cut out of them, and only where they share no run of words with the prompt.
"""

import email.utils
import re
import time
from collections.abc import Mapping
from enum import StrEnum

from leap_core.chat.messages import ChatRequest

_MOST_SHOWN = 240
_RUN = 3
_LONGEST_WAIT_S = 3600.0
_CONTEXT = re.compile(
    r"context.{0,12}(length|window|size)|maximum.{0,30}tokens|too (long|many tokens)|exceed.{0,40}token"
)
_WORD = re.compile(r"\w+")


class FaultKind(StrEnum):
    """What became of a request that brought no reply."""

    RATE_LIMIT = "rate limit"
    """429: too fast. Tried again, more slowly."""
    SERVER = "server error"
    """5xx, and 408, 409, 425: tried again."""
    TIMEOUT = "time-out"
    """No whole answer in time: tried again."""
    UNREACHABLE = "no connection"
    """Nobody answers at the address: waited for if somebody did before."""
    CONNECTION = "connection lost"
    """Reset before the whole answer was there: tried again."""
    BROKEN = "unreadable answer"
    """200, but no chat completion in it: tried again."""
    TOO_LONG = "prompt too long"
    """The prompt does not fit into the model's context."""
    UNSUPPORTED = "unsupported parameter"
    """The endpoint does not know a parameter that it can do without: tried again without it."""
    BAD_REQUEST = "bad request"
    """Refused for what is in it; another request may pass."""
    REFUSED = "refused"
    """Key, model or credit: everything would be refused."""


WORTH_A_TRY = {FaultKind.RATE_LIMIT, FaultKind.SERVER, FaultKind.TIMEOUT, FaultKind.CONNECTION, FaultKind.BROKEN}
OPTIONAL_PARAMETERS = ("response_format", "max_completion_tokens", "max_tokens", "temperature", "seed")
"""What a request can do without, or say otherwise; asked after in this order."""


class Fault(Exception):  # noqa: N818 - not an error yet: most are tried again
    """A request that brought no reply. `text` is safe to show. `wait_s` is what the endpoint asked for, if it did.

    `parameter` is what an UNSUPPORTED one is about.
    """

    def __init__(self, kind: FaultKind, text: str, wait_s: float | None = None, parameter: str = "") -> None:
        super().__init__(f"{kind.value}: {text}" if text else kind.value)
        self.kind, self.wait_s, self.parameter = kind, wait_s, parameter


def fault_of_status(status: int, said: str, code: str, headers: Mapping[str, str], shown: str) -> Fault:
    """Judge an answer that is an error.

    `said` are the endpoint's own words, for looking at only, `shown` the same after `presentable`. `code` is its code
    or type of error, "" where it gave none.
    """
    text = f"{status} {code}".strip() + (f": {shown}" if shown else "")
    words = f"{code} {said}".lower()
    if status == 429:
        if "insufficient_quota" in words or "billing" in words:
            return Fault(FaultKind.REFUSED, f"{text}. Add credit to the account, then run the same command again")
        return Fault(FaultKind.RATE_LIMIT, text, wait_s=asked_wait_s(headers))
    if status >= 500 or status in (408, 409, 425):
        return Fault(FaultKind.SERVER, text, wait_s=asked_wait_s(headers))
    if status in (401, 403):
        return Fault(FaultKind.REFUSED, text)
    if status == 404:
        return Fault(FaultKind.REFUSED, f"{text} (is the name of the model right, and does base_url end in /v1?)")
    if status == 413 or _CONTEXT.search(words):
        return Fault(FaultKind.TOO_LONG, text)
    named = next((name for name in OPTIONAL_PARAMETERS if name in words), None)
    if named is None and "json_schema" in words:
        named = "response_format"
    return Fault(FaultKind.UNSUPPORTED if named else FaultKind.BAD_REQUEST, text, parameter=named or "")


def asked_wait_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that an answer asks to wait, an hour at most; None where it does not, or not readably."""
    milliseconds, value = headers.get("retry-after-ms"), headers.get("retry-after")
    wait: float | None
    try:
        wait = float(milliseconds) / 1000 if milliseconds else float(value or "")
    except ValueError:
        wait = _seconds_until(value)
    return None if wait is None or wait < 0 else min(wait, _LONGEST_WAIT_S)


def _seconds_until(date: str | None) -> float | None:
    try:
        return max(email.utils.parsedate_to_datetime(date or "").timestamp() - time.time(), 0.0)
    except (ValueError, TypeError):
        return None


def presentable(said: str, key: str, request: ChatRequest | None) -> str:
    """The words of an endpoint as they may be shown: one line, no key, nothing that quotes the prompt."""
    text = " ".join(said.split())
    if key:
        text = text.replace(key, "<key>")
    if request is not None and _quotes(text, request):
        return "(its words are left out: they quote the prompt)"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]} ..."


def _quotes(text: str, request: ChatRequest) -> bool:
    said = _WORD.findall(text.lower())
    asked = _WORD.findall(" ".join(message.content for message in request.messages).lower())
    runs = {tuple(asked[start : start + _RUN]) for start in range(len(asked) - _RUN + 1)}
    return any(tuple(said[start : start + _RUN]) in runs for start in range(len(said) - _RUN + 1))
