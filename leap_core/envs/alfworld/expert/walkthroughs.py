"""Demonstrations that follow the walkthrough in a game file: what ALFWorld's own expert did, with reasons added.

A walkthrough searches like a player does, so a student can learn how to go on after a look in the wrong place. It has
no reasons. Where our expert would do the same, its reason is taken; else one is made from what was seen up to then.
"""

from collections.abc import Sequence
from contextlib import suppress

from leap_core.envs.alfworld.expert.belief import Belief, kind_of
from leap_core.envs.alfworld.privileged import AlfworldFacts
from leap_core.envs.alfworld.world.goals import Goal, parse_goal
from leap_core.envs.alfworld.world.kinds import preposition, with_article
from leap_core.envs.base import Oracle
from leap_core.errors import TeacherReplyError
from leap_core.types import Action, Level, Observation, PrivilegedState, Spec, Step


class WalkthroughExpert:
    """Follows the walkthrough for as long as the episode does; from any other state, `other` is asked."""

    def __init__(self, other: Oracle) -> None:
        self._other = other
        self.levels = other.levels

    def advise(
        self, spec: Spec, history: Sequence[Step], observation: Observation, privileged: PrivilegedState, level: Level
    ) -> Action:
        """The walkthrough's next command and a reason for it, or the advice of the other expert.

        Raises:
            GameFileError: the goal is in none of ALFWorld's template wordings.
            TeacherReplyError: the episode left the walkthrough, and the other expert has no advice.
        """
        command = _next_command(history, observation, privileged)
        if command is None:
            return self._other.advise(spec, history, observation, privileged, level)
        with suppress(TeacherReplyError):
            advice = self._other.advise(spec, history, observation, privileged, level)
            if advice.command == command:
                return advice
        return Action(reason=explain(spec, Belief.after(history, observation), command), command=command)


def explain(spec: Spec, belief: Belief, command: str) -> str:
    """Why one might do this, by one who knows the goal and what is in `belief`; names nothing else.

    Raises:
        GameFileError: the goal is in none of ALFWorld's template wordings.
    """
    goal = parse_goal(spec.instruction)
    verb, _, rest = command.partition(" ")
    have_to = f"I have to {spec.instruction.strip().rstrip('.')}."
    held = f" I hold {belief.holding}." if belief.holding else ""
    return f"{have_to}{held} {_because(verb, rest, goal, belief)} So I {command}."


def _because(verb: str, rest: str, goal: Goal, belief: Belief) -> str:
    thing = rest.split(" from ")[0].split(" to ")[0].split(" in/on ")[0].split(" with ")[0]
    match verb:
        case "go":
            return _because_of_place(rest.removeprefix("to "), goal, belief)
        case "open":
            return f"{rest} is closed, and I have not seen what is in it."
        case "close":
            return f"I am done with {rest}."
        case "take":
            return f"{thing} is here."
        case "move" | "put":
            return f"This is where {thing} can be put."
        case "clean" | "heat" | "cool":
            return f"{thing} must be {goal.state}." if goal.state else f"I can {verb} {thing} here."
        case "use":
            return f"{thing} gives light."
    return "I want to know more about where I am."


def _because_of_place(place: str, goal: Goal, belief: Belief) -> str:
    if belief.holding is not None and kind_of(belief.holding) == goal.object_kind:
        return f"Next I need {place}."
    if any(kind_of(name) == goal.object_kind for name in belief.objects_in(place)):
        return f"I saw what I look for {preposition(kind_of(place))} {place}."
    return f"There may be {with_article(goal.object_kind)} {preposition(kind_of(place))} {place}."


def _next_command(history: Sequence[Step], observation: Observation, privileged: PrivilegedState) -> str | None:
    """The walkthrough's command for this step; None where the episode took another way, or it is not possible now."""
    walkthrough = AlfworldFacts.of(privileged).expert_walkthrough
    done = tuple(step.action.command for step in history)
    if len(walkthrough) <= len(done) or done != walkthrough[: len(done)]:
        return None
    command = walkthrough[len(done)]
    return command if command in (observation.admissible or ()) else None
