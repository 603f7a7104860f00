"""How much of the hidden state a teacher is shown, and the control in which it is shown the wrong one."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from leap_core.types import Level, PrivilegedState, Trajectory

_STATEMENTS = re.compile(r"(?<=[.;\n])\s+")


@dataclass(frozen=True, kw_only=True)
class PrivilegedEpisode:
    """A finished episode with the hidden state of its own spec."""

    trajectory: Trajectory
    privileged: PrivilegedState


def excerpt(state: PrivilegedState, level: Level) -> str:
    """The share of a hidden state that `level` allows, statement by statement (paper, realizability ablation).

    Which statements are left out is drawn from a hash of each, so it is the same in every run; a higher level shows all
    that a lower one does.
    """
    if level == 100:
        return state.text
    statements = [text for text in _STATEMENTS.split(state.text) if text.strip()]
    ranked = sorted(statements, key=lambda text: hashlib.sha256(f"{state.spec_id}:{text}".encode()).digest())
    shown = set(ranked[: round(len(statements) * level / 100)])
    return "\n".join(text.strip() for text in statements if text in shown)


def shuffle_privilege(episodes: Sequence[PrivilegedEpisode]) -> list[PrivilegedEpisode]:
    """Give each episode the hidden state of another one: the control that tells what privilege is worth.

    Where all specs are the same there is no other one, and nothing changes.
    """
    order = sorted(range(len(episodes)), key=lambda index: episodes[index].privileged.spec_id)
    by_spec = [episodes[index].privileged for index in order]
    most = max((sum(state.spec_id == one.spec_id for one in by_spec) for state in by_spec), default=0)
    shuffled = list(episodes)
    for position, index in enumerate(order):
        # In the order of specs, a turn by the largest group leaves no state with a spec of its own.
        other = by_spec[(position + most) % len(order)]
        own = episodes[index].privileged.spec_id
        state = other.model_copy(update={"spec_id": own})
        shuffled[index] = PrivilegedEpisode(trajectory=episodes[index].trajectory, privileged=state)
    return shuffled
