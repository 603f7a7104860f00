"""An endpoint that is out of reach: waited for if it answered before, given up at once if it never did."""

import random
import time

from leap_core.chat.faults import Fault, FaultKind
from leap_core.errors import EndpointError

_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 30.0


class Outage:
    """Tells those who found nobody at the address how long to wait. One object serves one endpoint."""

    def __init__(self, address: str, limit_s: float, setting: str) -> None:
        """Allow for `limit_s` seconds between two answers; `setting` is the section that messages name."""
        self._address, self._limit_s, self._setting = address, limit_s, setting
        self._has_answered = False
        self._began: float | None = None

    def answered(self) -> None:
        """Somebody is there, whatever the answer."""
        self._has_answered, self._began = True, None

    def wait_s(self, fault: Fault) -> float:
        """Seconds until the next try.

        Raises:
            EndpointError: nobody ever answered, or nobody has for longer than the limit.
        """
        if not self._has_answered and fault.kind is FaultKind.UNREACHABLE:
            raise EndpointError(
                f"Nobody answers at {self._address} ({fault}). Start the server, or mend {self._setting}.base_url."
            )
        now = time.monotonic()
        self._began = now if self._began is None else self._began
        down_s = now - self._began
        if down_s >= self._limit_s:
            raise EndpointError(
                f"{self._address} has been out of reach for {down_s:.0f} s ({fault}). Run the same command again when "
                f"it is back: what was paid for is kept. {self._setting}.max_outage_s says how long to wait for it."
            )
        wait_s = min(max(down_s, _FIRST_WAIT_S), _LONGEST_WAIT_S) * random.uniform(0.5, 1.0)
        return min(wait_s, self._limit_s - down_s)
