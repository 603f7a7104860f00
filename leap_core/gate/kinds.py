"""The kinds of leaks, and how a rejection says which it is: this module alone writes and reads that."""

import re
from enum import StrEnum

_LEAK = "leak"
_WRITTEN = re.compile(r"leak(?: \((?P<kind>[a-z]+)\))?:")


class LeakKind(StrEnum):
    """What a reason gives away that the student could not know."""

    NAME = "name"
    """A name, path, id or phrase of the hidden state."""
    QUOTE = "quote"
    """Several words of the privileged text."""
    PRICE = "price"
    """An amount of money."""
    PLACE = "place"
    """Where a thing is."""
    EXCLUSION = "exclusion"
    """Where a thing is not."""
    RANK = "rank"
    """Which number, or which one in a list."""
    COUNT = "count"
    """How many there are."""
    STATE = "state"
    """The state of something not seen: closed, clean, in stock, empty."""
    IDENTITY = "identity"
    """Which one is the right one."""
    OPTIONS = "options"
    """What a page offers that was not opened."""
    RESULT = "result"
    """What a command or a search gives before it was made."""
    COMMAND = "command"
    """The shape of the solution: its commands, their number or order."""
    TOLD = "told"
    """That somebody told, or what is scored."""
    HEDGE = "hedge"
    """A guess in words alone: it names exactly what is hidden."""


def leak(kind: LeakKind, told: str) -> str:
    """Why a reason is rejected that leaks: `told` goes on after "the reason"."""
    return f"{_LEAK} ({kind}): the reason {told}"


def leak_in_command(kind: LeakKind, told: str) -> str:
    """Why a command is rejected that leaks."""
    return f"{_LEAK} ({kind}): the command {told}"


def is_leak(why: str) -> bool:
    """Whether a correction was found to give hidden state away; it passed all other checks, which come before."""
    return _WRITTEN.match(why) is not None


def kind_of_leak(why: str) -> LeakKind | None:
    """The kind of leak that was found; None where none was, or by an earlier version that told no kinds."""
    written = _WRITTEN.match(why)
    return LeakKind(written["kind"]) if written and written["kind"] else None


def cause_of(why: str) -> str:
    """What a rejection is counted as: "leak" whatever its kind, else the word that it begins with."""
    return _LEAK if is_leak(why) else why.partition(":")[0]
