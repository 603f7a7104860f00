"""An episode with the hidden state that its teacher may see, and the control in which that is the wrong one."""

from collections.abc import Sequence
from dataclasses import dataclass

from leap_core.types import PrivilegedState, Trajectory


@dataclass(frozen=True, kw_only=True)
class PrivilegedEpisode:
    """A finished episode with the hidden state of its own spec."""

    trajectory: Trajectory
    privileged: PrivilegedState


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
        state = other.with_(spec_id=own)
        shuffled[index] = PrivilegedEpisode(trajectory=episodes[index].trajectory, privileged=state)
    return shuffled
