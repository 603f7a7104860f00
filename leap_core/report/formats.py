"""How numbers are written in a report. A value that is missing is a dash, a cost that is not known is `unknown`."""

import math
from collections.abc import Mapping

from leap_core.types import Figure, Interval

MISSING = "–"
UNKNOWN = "unknown"
FIGURES: dict[Figure, str] = {"success": "success", "score": "mean score"}
"""Display names of the figures that can decide."""
NBSP = "\u00a0"


def is_number(value: float | None) -> bool:
    """Tell whether there is a finite value to show."""
    return value is not None and math.isfinite(value)


def number(value: float | None, digits: int = 1) -> str:
    """Write a number with thousands separators and a fixed count of decimals."""
    return f"{value:,.{digits}f}" if value is not None and math.isfinite(value) else MISSING


def count(value: int | None) -> str:
    """Write a whole number with thousands separators."""
    return MISSING if value is None else f"{value:,}"


def parts(score_parts: Mapping[str, float]) -> str:
    """Write the parts of a score, or their means, in their order."""
    return ", ".join(f"{name} {value:.3f}" for name, value in score_parts.items())


def percent(share: float | None, digits: int = 1) -> str:
    """Write a share in [0, 1] in percent."""
    return f"{100 * share:.{digits}f}{NBSP}%" if share is not None and math.isfinite(share) else MISSING


def points(difference: float) -> str:
    """Write a difference of two shares in percentage points, always with its sign."""
    return f"{100 * difference:+.1f}{NBSP}points".replace("-", "\u2212")


def figure(value: float, figure: Figure) -> str:
    """Write a value of the figure that decides: success in percent, a score as it is."""
    return number(value, 3) if figure == "score" else percent(value)


def gain(difference: float, figure: Figure) -> str:
    """Write a difference of two such values, always with its sign."""
    return f"{difference:+.3f}".replace("-", "\u2212") if figure == "score" else points(difference)


def figure_span(interval: Interval, figure: Figure) -> str:
    """Write the interval of such a value."""
    if figure == "score":
        return f"{interval.low:.3f}–{interval.high:.3f}"
    return f"{100 * interval.low:.1f}–{100 * interval.high:.1f}{NBSP}%"


def duration(seconds: float) -> str:
    """Write seconds in the two largest units that a reader needs."""
    if seconds < 59.95:
        return f"{seconds:.1f}{NBSP}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{NBSP}min {rest:02d}{NBSP}s"
    return f"{minutes // 60}{NBSP}h {minutes % 60:02d}{NBSP}min"


def cost(usd: float | None) -> str:
    """Write a cost in US dollars; None is unknown, not zero."""
    if usd is None:
        return UNKNOWN
    return f"${usd:,.4f}" if 0 < usd < 0.1 else f"${usd:,.2f}"


def counts(by_name: Mapping[str, int]) -> str:
    """Write named counts in the order of their names."""
    return ", ".join(f"{name.replace('_', ' ')}{NBSP}{value:,}" for name, value in sorted(by_name.items())) or MISSING
