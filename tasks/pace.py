"""How often a long stage says how far it is."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

_FIRST_S = 10.0
_LAST_S = 60.0
_SHARE = 0.1


@dataclass(kw_only=True)
class Pace:
    """Passes on what a stage says of its progress, now and then; work calls it as often as it likes.

    Nothing in the first ten seconds, then a line in ten seconds at most; in a stage that takes long, ever fewer, down
    to one a minute: a night's log is still to be read. `clock` gives seconds.
    """

    log: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    _started: float = field(init=False)
    _told: float = field(init=False)

    def __post_init__(self) -> None:
        """Start the clock."""
        self._started = self._told = self.clock()

    def __call__(self, line: str) -> None:
        """Say `line` if it is time."""
        now = self.clock()
        if now - self._told >= min(max(_FIRST_S, _SHARE * (now - self._started)), _LAST_S):
            self._told = now
            self.log(line)
