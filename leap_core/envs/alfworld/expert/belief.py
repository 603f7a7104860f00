"""What a careful reader of an ALFWorld episode knows: rebuilt from the observations, never from hidden state."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from leap_core.types import Observation, Step

_NAME = r"[a-z]+ \d+"
_NAMES = re.compile(_NAME)


def kind_of(name: str) -> str:
    """The kind in a name: "cabinet" of "cabinet 3"."""
    return name.partition(" ")[0]


def number_of(name: str) -> int:
    """The number in a name: 3 of "cabinet 3"."""
    return int(name.partition(" ")[2])


@dataclass
class Belief:
    """Everything seen so far.

    `receptacles` are all that the opening names, in its order. `seen` holds those whose contents were shown, `closed`
    those last seen closed. `places` maps each object seen to where it is now; one in the hand is in `holding` instead.
    `states` holds what was done to an object ("clean", "hot", "cool"), `taken_from` where it was last picked up.
    """

    receptacles: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)
    places: dict[str, str] = field(default_factory=dict)
    location: str | None = None
    holding: str | None = None
    states: dict[str, set[str]] = field(default_factory=dict)
    taken_from: dict[str, str] = field(default_factory=dict)

    @classmethod
    def after(cls, history: Sequence[Step], observation: Observation) -> "Belief":
        """The belief of one who took the steps in `history` and now sees `observation`."""
        belief, command = cls(), ""
        for step in history:
            belief.observe(command, step.observation.text)
            command = step.action.command
        belief.observe(command, observation.text)
        return belief

    def observe(self, command: str, text: str) -> None:
        """Update by the text that followed a command ("" for the opening). A text without information changes
        nothing.
        """
        if text.startswith("You arrive at"):
            self.location = command.removeprefix("go to ")
        for pattern, learn in _LESSONS:
            if match := pattern.search(text):
                learn(self, *match.groups())

    def objects_in(self, receptacle: str) -> list[str]:
        """The objects known to be in a receptacle."""
        return [name for name, place in self.places.items() if place == receptacle]

    def of_kind(self, kind: str) -> list[str]:
        """The objects of a kind whose place is known, without one in the hand."""
        return [name for name in self.places if kind_of(name) == kind]

    def has_state(self, name: str, state: str | None) -> bool:
        """Whether an object was brought into a state; any object is in state None."""
        return state is None or state in self.states.get(name, ())

    def _see_room(self, listing: str) -> None:
        # Only the opening lists the room: `look` in its middle says "you see nothing".
        self.receptacles = self.receptacles or _NAMES.findall(listing)

    def _see_inside(self, receptacle: str, listing: str) -> None:
        self.seen.add(receptacle)
        self.closed.discard(receptacle)
        for name in self.objects_in(receptacle):
            del self.places[name]
        self.places.update(dict.fromkeys(_NAMES.findall(listing), receptacle))

    def _see_closed(self, receptacle: str) -> None:
        self.closed.add(receptacle)

    def _take(self, name: str, receptacle: str) -> None:
        self.places.pop(name, None)
        self.holding = name
        self.taken_from[name] = receptacle

    def _put(self, name: str, receptacle: str) -> None:
        self.places[name] = receptacle
        self.holding = None

    def _change(self, verb: str, name: str) -> None:
        states = self.states.setdefault(name, set())
        if verb != "clean":
            states -= {"hot", "cool"}
        states.add("hot" if verb == "heat" else verb)


_LESSONS: tuple[tuple[re.Pattern[str], Callable[..., None]], ...] = tuple(
    (re.compile(pattern), learn)
    for pattern, learn in (
        (r"around you, you see ([^.]*)\.", Belief._see_room),
        (rf"On the ({_NAME}), you see ([^.]*)\.", Belief._see_inside),
        (rf"The ({_NAME}) is open\. In it, you see ([^.]*)\.", Belief._see_inside),
        (rf"The ({_NAME}) is closed\.", Belief._see_closed),
        (rf"You close the ({_NAME})\.", Belief._see_closed),
        (rf"You pick up the ({_NAME}) from the ({_NAME})\.", Belief._take),
        # "put ... in/on" is the wording of ALFWorld before 0.4.
        (rf"You (?:move|put) the ({_NAME}) (?:to|in/on) the ({_NAME})\.", Belief._put),
        (rf"You (clean|heat|cool) the ({_NAME}) using", Belief._change),
    )
)
