"""Times to come, in words: as rough as they are known."""

_SECONDS_UNTIL = 90.0
_MINUTES_UNTIL = 100 * 60.0


def rough(seconds: float) -> str:
    """Write an estimate in one unit: `20 s`, `12 min`, `2.5 h`."""
    if seconds < _SECONDS_UNTIL:
        return f"{max(round(seconds, -1), 10):.0f} s"
    if seconds < _MINUTES_UNTIL:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def rough_range(low: float, high: float) -> str:
    """Write two estimates, one unit where both have the same: `20 to 50 min`."""
    first, last = rough(low), rough(high)
    if first == last:
        return f"about {last}"
    number, _, unit = first.partition(" ")
    return f"{number if last.endswith(f' {unit}') else first} to {last}"
