"""How often long work says how far it is, and how long it will take to its end."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from leap_core.text.durations import rough

_FIRST_S = 10.0
_LAST_S = 60.0
_SHARE = 0.1
_JUDGED_BY_S = 5.0


class Progress(Protocol):
    """Takes a line on how far work is, and how much is done and left, in units that take about equally long each."""

    def __call__(self, line: str, *, done: float, left: float) -> None:
        """Take note."""
        ...


def keep_silent(line: str, *, done: float, left: float) -> None:
    """Progress that nobody wants to hear of."""


class _Mark(NamedTuple):
    time: float
    done: float


@dataclass(kw_only=True)
class Pace:
    """Passes on what work says of its progress, now and then; work calls it as often as it likes.

    Nothing in the first ten seconds, then a line in ten seconds at most; in a stage that takes long, ever fewer, down
    to one a minute: a night's log is still to be read. `clock` gives seconds.

    How long is left is judged by the later half of the time since the first call. So neither the loading of a model
    counts, nor what an earlier attempt had finished and this one only reads, nor how fast the very beginning was.
    """

    log: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    _started: float = field(init=False)
    _told: float = field(init=False)
    _first: float | None = field(init=False, default=None)
    _marks: deque[_Mark] = field(init=False, default_factory=deque)

    def __post_init__(self) -> None:
        """Start the clock."""
        self._started = self._told = self.clock()

    def __call__(self, line: str, *, done: float, left: float) -> None:
        """Say `line` if it is time, with how long is left if that is known."""
        now = self.clock()
        self._note(now, done)
        if now - self._told >= min(max(_FIRST_S, _SHARE * (now - self._started)), _LAST_S):
            self._told = now
            seconds = self._seconds_for(left, now)
            self.log(line if seconds is None else f"{line}, about {rough(seconds)} left")

    def _note(self, now: float, done: float) -> None:
        """Remember what was done when; of the earlier half of the time, only its end."""
        if self._first is None:
            self._first = now
        if not self._marks or done != self._marks[-1].done:
            self._marks.append(_Mark(now, done))
        half = self._first + (now - self._first) / 2
        while len(self._marks) > 1 and self._marks[1].time <= half:
            self._marks.popleft()

    def _seconds_for(self, left: float, now: float) -> float | None:
        """How long so many units will take; None while that cannot be known, and at the end."""
        since, newest = self._marks[0], self._marks[-1]
        if left <= 0 or newest.done <= since.done or newest.time - since.time < _JUDGED_BY_S:
            return None
        # By the time of the newest mark, not now: a unit that is under way is neither done nor left.
        return left * (newest.time - since.time) / (newest.done - since.done)
