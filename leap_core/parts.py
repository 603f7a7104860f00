"""The parts of a score, and doubts about it: told in the last observation of an episode, and read back from there.

An environment whose score is made of parts ends an episode's last observation with this line. So the parts are on
record wherever episodes are, and the report and the result of an evaluation can show them. One that sees that a score
may have been steered, and gives it all the same, says so in a line of its own.
"""

import re
from collections.abc import Mapping, Sequence
from statistics import fmean

from leap_core.types import StopReason, Trajectory

_START = "Parts of the score: "
_LINE = re.compile(rf"^{_START}(.+)$", re.MULTILINE)
_SUSPICION = "Suspect: "
_PART = re.compile(r"([a-z ]+?) (\d+(?:\.\d+)?)(?:, |$)")


def tell_parts(parts: Mapping[str, float]) -> str:
    """One line with all parts, each in [0, 1], to four digits. Names are words in small letters."""
    return _START + ", ".join(f"{name} {value:.4f}".rstrip("0").rstrip(".") for name, value in parts.items())


def read_parts(text: str) -> dict[str, float]:
    """The parts that a last observation tells; none where there is no such line."""
    found = _LINE.findall(text)
    return {name: float(value) for name, value in _PART.findall(found[-1])} if found else {}


def mean_parts(last_observations: Sequence[str]) -> dict[str, float]:
    """The mean of each part over episodes, by their last observations.

    An episode that was broken off tells no parts and counts as 0 in each. One that tells some, but not this one, as
    nothing of the kind was asked for, does not count in its mean.
    """
    told = [read_parts(text) for text in last_observations]
    names = list(dict.fromkeys(name for parts in told for name in parts))
    return {name: fmean(parts.get(name, 0.0) for parts in told if name in parts or not parts) for name in names}


def tell_suspicion(why: str) -> str:
    """One line that says why a score may be wrong."""
    return _SUSPICION + " ".join(why.split())


def read_suspicion(text: str) -> str | None:
    """Why the score may be wrong, if a last observation says so."""
    _, found, why = text.rpartition(f"\n{_SUSPICION}")
    return why if found else None


def suspicion_of(trajectory: Trajectory) -> str | None:
    """Why the score may have been steered, if the environment said so when it ended the episode."""
    return read_suspicion(trajectory.final_observation) if trajectory.stop_reason is StopReason.TERMINATED else None
