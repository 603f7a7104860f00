"""Another hidden state of a game that agrees with all that an episode has shown so far.

Whatever was not yet seen changes places with the rest of it: things lie in other receptacles, of those into which the
student has not looked. What was seen stays where it was.
"""

import re
from collections.abc import Iterator, Sequence
from random import Random

from leap_core.envs.alfworld.expert.belief import Belief, kind_of
from leap_core.envs.alfworld.games.routes import NoRouteError, shortest_route, spell
from leap_core.envs.alfworld.privileged import AlfworldFacts, StartFacts, reveal
from leap_core.envs.alfworld.world.goals import Goal
from leap_core.envs.alfworld.world.kinds import fits, usual_places
from leap_core.types import PrivilegedState, Spec, Step

SOURCE = "counterfactual"
_NAMES = re.compile(r"[a-z]+ \d+")


def imagine(
    spec: Spec, goal: Goal, hidden: StartFacts, privileged: PrivilegedState, steps: Sequence[Step], rng: Random
) -> PrivilegedState:
    """Describe the game as it may be as well, in the words of the true state; that one where nothing can be otherwise.

    `hidden` is the true start, and `privileged` what was revealed of it. The last of `steps` is the one that is thought
    about: what its observation shows was seen, and its action is not looked at.
    """
    moved = dict(_moves(goal, hidden, steps, rng))
    if not moved:
        return privileged
    facts = [fact for fact in hidden.facts if not _is_place_of(fact, moved, hidden)]
    other = StartFacts([*facts, *(("inreceptacle", thing, place) for thing, place in sorted(moved.items()))])
    return reveal(spec, goal, other, _plan(other, goal, privileged), (), SOURCE)


def _moves(goal: Goal, hidden: StartFacts, steps: Sequence[Step], rng: Random) -> Iterator[tuple[str, str]]:
    """Each thing that was not seen, with its new receptacle: another one that was not looked into."""
    named = _named(steps)
    looked_into = Belief.after(steps[:-1], steps[-1].observation).seen
    unseen = [name for name in hidden.receptacles if name not in looked_into]
    for thing in hidden.room().things:
        if thing.name in named or any(place not in unseen for place in thing.spots):
            continue
        kind = kind_of(thing.name)
        # Where it is wanted it is not: the task would be done.
        done = {goal.target_kind} if kind == goal.object_kind else set()
        others = [place for place in unseen if place not in thing.spots and kind_of(place) not in done]
        if others:
            yield thing.name, rng.choice(_likely(kind, others))


def _likely(kind: str, places: list[str]) -> list[str]:
    """Those where this kind of thing usually is, if there are several; else those that can hold it, or all."""
    usual = [place for place in places if kind_of(place) in usual_places(kind)]
    return usual if len(usual) > 1 else [place for place in places if fits(kind, kind_of(place))] or places


def _named(steps: Sequence[Step]) -> set[str]:
    """All names that were read, of things and receptacles."""
    texts = [text for step in steps for text in (step.observation.text, *(step.observation.admissible or ()))]
    return {name for text in texts for name in _NAMES.findall(text)}


def _is_place_of(fact: tuple[str, ...], moved: dict[str, str], hidden: StartFacts) -> bool:
    return fact[0] == "inreceptacle" and fact[1] in moved and fact[2] in hidden.receptacles


def _plan(hidden: StartFacts, goal: Goal, privileged: PrivilegedState) -> list[str]:
    """A way to the goal in the wording of the game, which the true state's plan shows; none where none is known."""
    known = AlfworldFacts.of(privileged)
    older = any(command.startswith("put ") for command in (*known.walkthrough, *known.expert_walkthrough))
    try:
        return spell(shortest_route(hidden.room(), goal), int(older))
    except NoRouteError:
        return []
