"""ALFWorld's rule-based expert: right advice from any state, with reasons that a student could have found itself.

What it may know is a `Belief` read from the episode's text, the goal sentence, and general knowledge (`kinds`). Only
`Guide` holds hidden places, and it only ever decides *which* unseen receptacle is next. The reason never speaks of
them: a choice that follows from what was seen is argued, one that hidden places made is only asserted.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from leap_core.envs.alfworld.expert.belief import Belief, kind_of, number_of
from leap_core.envs.alfworld.privileged import AlfworldFacts
from leap_core.envs.alfworld.world.goals import APPLIANCES, LOOK, PICK_TWO, Goal, parse_goal
from leap_core.envs.alfworld.world.kinds import fits, preposition, usual_places, with_article
from leap_core.errors import TeacherReplyError
from leap_core.types import LEVELS, Action, Level, Observation, PrivilegedState, Spec, Step


@dataclass(frozen=True, kw_only=True)
class Guide:
    """What the hidden state may say about a search. `places` maps every object to its first receptacle."""

    level: Level
    places: Mapping[str, str]

    def choose(self, kind: str, candidates: Sequence[str]) -> str:
        """The first candidate open to hints that holds the kind; else the very first candidate.

        Open to hints are the leading `level` % (rounded up) of the likely candidates, of all where none is likely.
        At 100 % it is every candidate, so that an object in an unlikely place is found too.
        """
        holders = {place for name, place in self.places.items() if kind_of(name) == kind}
        likely = [place for place in candidates if kind_of(place) in usual_places(kind)] or candidates
        num_hinted = len(candidates) if self.level == 100 else -(-len(likely) * self.level // 100)
        return next((place for place in candidates[:num_hinted] if place in holders), candidates[0])


class AlfworldOracle:
    """The expert that ALFWorld offers as an `Oracle`."""

    levels = LEVELS

    def advise(
        self, spec: Spec, history: Sequence[Step], observation: Observation, privileged: PrivilegedState, level: Level
    ) -> Action:
        """Say what to do now. The command is admissible now; the reason ends with what the command acts on.

        Raises:
            GameFileError: the goal is in none of ALFWorld's template wordings.
            TeacherReplyError: no sensible command is possible, because the episode's text does not tell enough.
        """
        if observation.admissible is None:
            raise TeacherReplyError("The observation has no admissible commands, which this expert needs.")
        expert = _Expert(
            goal=parse_goal(spec.instruction),
            instruction=spec.instruction.strip().rstrip("."),
            belief=Belief.after(history, observation),
            admissible=observation.admissible,
            guide=Guide(level=level, places=AlfworldFacts.of(privileged).locations),
        )
        return expert.advise()


@dataclass(frozen=True, kw_only=True)
class _Expert:
    """One decision. Every rule breaks ties by the lowest number."""

    goal: Goal
    instruction: str
    belief: Belief
    admissible: Collection[str]
    guide: Guide

    def advise(self) -> Action:
        held = self.belief.holding
        if held is None:
            known = self._known_objects()
            return self._fetch(known[0]) if known else self._search(self.goal.object_kind)
        if kind_of(held) != self.goal.object_kind:
            return self._put_away(held)
        if self.goal.task_type == LOOK:
            return self._bring_to_light(held)
        if not self.belief.has_state(held, self.goal.state):
            return self._change(held)
        return self._deliver(held)

    def _known_objects(self) -> list[str]:
        """Objects that serve the goal and whose place is known: ready ones first, then here, then by number."""
        target = self._target() if self.goal.task_type == PICK_TWO else None
        useful = [name for name in self.belief.of_kind(self.goal.object_kind) if self.belief.places[name] != target]
        return sorted(
            useful,
            key=lambda name: (
                not self.belief.has_state(name, self.goal.state),
                not self._is_at(self.belief.places[name]),
                number_of(name),
            ),
        )

    def _fetch(self, name: str) -> Action:
        place = self.belief.places[name]
        saw = self._found(name)
        if not self._is_at(place):
            return self._go(place, saw)
        if place in self.belief.closed:
            return self._open(place, saw)
        return self._act(f"{saw} So I take {name}.", f"take {name} from {place}")

    def _search(self, kind: str) -> Action:
        """Go to, or open, the next receptacle whose contents were not seen."""
        candidates = self._search_order(kind)
        if not candidates:
            raise TeacherReplyError(
                f"Every receptacle was seen, and there is no {kind} to be had ({len(self.belief.receptacles)} "
                "receptacles named by the opening). Leave this step out."
            )
        choice = self.guide.choose(kind, candidates)
        if self._is_at(choice) and choice in self.belief.closed:
            return self._open(choice, f"{self._look_for(kind)}, not seen yet.")
        if self._is_at(choice):
            why = f"{self._look_for(kind)}, not seen yet. {self._usual(kind, choice)}. So I examine {choice}."
            return self._act(why, f"examine {choice}")
        why = f"{self._look_for(kind)}, not seen yet. {self._ruling_out(kind, choice)}. Next I check {choice}."
        return self._act(why, f"go to {choice}")

    def _ruling_out(self, kind: str, choice: str) -> str:
        """Walk the search order up to the first unseen place. A choice that this does not lead to is just asserted.

        Each word of the walk is one look-up in what was seen, which even a very small model can learn; to find the
        first unseen place in one go is more than it can compute.
        """
        order = sorted(self.belief.receptacles, key=lambda place: self._likeliness(kind, place))
        seen = list(takewhile(lambda place: place in self.belief.seen, order))
        if order[len(seen)] != choice:
            return self._usual(kind, choice)
        return f"{self._usual(kind, order[0])}. {''.join(f'{place} seen. ' for place in seen)}{choice} not yet"

    def _usual(self, kind: str, place: str) -> str:
        often = "is often" if kind_of(place) in usual_places(kind) else "may also be"
        return f"{with_article(kind).capitalize()} {often} {preposition(kind_of(place))} {with_article(kind_of(place))}"

    def _search_order(self, kind: str) -> list[str]:
        """Unseen receptacles: a likely closed one here, then by likeliness."""

        def rank(place: str) -> tuple[bool, tuple[int, str, int]]:
            here = place == self.belief.location and kind_of(place) in usual_places(kind)
            return not here, self._likeliness(kind, place)

        return sorted((place for place in self.belief.receptacles if place not in self.belief.seen), key=rank)

    @staticmethod
    def _likeliness(kind: str, place: str) -> tuple[int, str, int]:
        """The order of search: kinds by how likely, other kinds by name; by number within a kind."""
        usual, place_kind = usual_places(kind), kind_of(place)
        return usual.index(place_kind) if place_kind in usual else len(usual), place_kind, number_of(place)

    def _found(self, name: str) -> str:
        place = self.belief.places[name]
        return f"{self._look_for(kind_of(name))}, seen as {name} {preposition(kind_of(place))} {place}."

    def _look_for(self, kind: str) -> str:
        """Name a kind; whether one was seen, wherever that was, is said next, and then where it was."""
        placed = self._in_place()
        return f"I look for another {kind} than {placed}" if placed else f"I look for {with_article(kind)}"

    def _change(self, held: str) -> Action:
        verb, appliance_kind = APPLIANCES[self.goal.task_type]
        appliance = self._nearest(appliance_kind.lower())
        why = f"Is it {self.goal.state}? Not yet."
        if not self._is_at(appliance):
            return self._go(appliance, why)
        return self._act(f"{why} So I {verb} {held} with {appliance}.", f"{verb} {held} with {appliance}")

    def _deliver(self, held: str) -> Action:
        target = self._target()
        ready = f"Is it {self.goal.state}? Yes." if self.goal.state else ""
        if not self._is_at(target):
            return self._go(target, ready)
        if target in self.belief.closed:
            return self._open(target, ready)
        command = self._putting(held, target)
        return self._act(f"{ready} So I {command}.".lstrip(), command)

    def _bring_to_light(self, held: str) -> Action:
        kind = self.goal.target_kind
        lamps = sorted(
            self.belief.of_kind(kind), key=lambda name: (not self._is_at(self.belief.places[name]), number_of(name))
        )
        if not lamps:
            return self._search(kind)
        lamp, place = lamps[0], self.belief.places[lamps[0]]
        if not self._is_at(place):
            return self._go(place, self._found(lamp))
        return self._act(f"{self._found(lamp)} So I use {lamp}.", f"use {lamp}")

    def _put_away(self, held: str) -> Action:
        """Free the hand of a wrong object: here if that is possible, else where it came from, else where it fits."""
        for place in self.belief.receptacles:
            command = self._putting(held, place)
            if self._is_at(place) and command in self.admissible:
                return self._act(f"So I {command}.", command)
        source = self.belief.taken_from.get(held)
        suitable = [place for place in self.belief.receptacles if fits(kind_of(held), kind_of(place))]
        for place in sorted(suitable, key=lambda place: (place != source, place in self.belief.closed)):
            if not self._is_at(place):
                return self._go(place, "")
            if place in self.belief.closed:
                return self._open(place, "")
        raise TeacherReplyError(f"There is no place to put {held}. Leave this step out.")

    def _target(self) -> str:
        """The receptacle to deliver to: where most already lies, else here, else the lowest number."""
        placed = self._placed()
        if self.goal.task_type == PICK_TWO and placed:
            return min(placed, key=lambda place: (-placed.count(place), number_of(place)))
        return self._nearest(self.goal.target_kind)

    def _placed(self) -> list[str]:
        """For each object of the goal's kind that lies in a receptacle of the target's kind: that receptacle."""
        places = [self.belief.places[name] for name in self.belief.of_kind(self.goal.object_kind)]
        return [place for place in places if kind_of(place) == self.goal.target_kind]

    def _in_place(self) -> str | None:
        """Of two objects to be brought together, the one that is where it belongs."""
        if self.goal.task_type != PICK_TWO or not self._placed():
            return None
        target = self._target()
        kin = (name for name in self.belief.of_kind(self.goal.object_kind) if self.belief.places[name] == target)
        return min(kin, key=number_of)

    def _nearest(self, kind: str) -> str:
        found = [place for place in self.belief.receptacles if kind_of(place) == kind]
        if not found:
            raise TeacherReplyError(f"The episode's opening names no {kind}. Leave this step out.")
        return min(found, key=lambda place: (not self._is_at(place), number_of(place)))

    def _is_at(self, place: str) -> bool:
        # In ALFWorld's own rooms one can stand at several receptacles at once; only the commands tell.
        return place == self.belief.location or f"examine {place}" in self.admissible

    def _putting(self, held: str, place: str) -> str:
        """The command that puts down, in the wording that is admissible now (ALFWorld changed it in 0.4)."""
        older = f"put {held} in/on {place}"
        return older if older in self.admissible else f"move {held} to {place}"

    def _go(self, place: str, why: str) -> Action:
        return self._act(f"{why} So I go to {place}.".lstrip(), f"go to {place}")

    def _open(self, place: str, why: str) -> Action:
        return self._act(f"{why} {place} is closed. So I open {place}.".lstrip(), f"open {place}")

    def _act(self, why: str, command: str) -> Action:
        if command not in self.admissible:
            raise TeacherReplyError(
                f"The advice {command!r} is not admissible at this step: the episode's text does not tell the whole "
                "state. Leave this step out."
            )
        return Action(reason=" ".join((*self._known(), why)), command=command)

    def _known(self) -> Iterator[str]:
        """The goal in the words that the student was given, how far it is met, and what the hand holds.

        Questions name what is looked up before they answer it. A model that has to answer first guesses.
        """
        yield f"I have to {self.instruction}."
        if self.belief.location:
            yield f"I am at {self.belief.location}."
        if placed := self._in_place():
            yield f"{placed} is in place."
        if held := self.belief.holding:
            answer = "Yes" if kind_of(held) == self.goal.object_kind else "No"
            yield f"I hold {held}. Is it {with_article(self.goal.object_kind)}? {answer}."
