"""Random play in plain words: what the tiny base student is pre-trained on.

It plays the part that pre-training plays for a real language model. The player picks admissible commands at random and
says what it was told to do, what of that is in view or in hand, and what it does now. Whoever has read it can read
observations, keep to the form and name what it acts on, and knows of no task how it is done.
"""

from random import Random

from leap_core.envs.alfworld.belief import Belief, kind_of, number_of
from leap_core.envs.alfworld.goals import Goal, parse_goal
from leap_core.envs.alfworld.kinds import preposition
from leap_core.envs.base import Environment
from leap_core.prompts import format_reply
from leap_core.types import Action, Observation, Spec, Step, StopReason, Trajectory

_MOST_PLACES = 7
VERB_WEIGHTS = {
    "go": 4.0,
    "open": 4.0,
    "take": 4.0,
    "move": 3.0,
    "clean": 4.0,
    "heat": 4.0,
    "cool": 4.0,
    "use": 3.0,
    "close": 0.5,
    "examine": 0.5,
}
"""How often each verb is picked where it is possible. Uniform play would hardly ever take or change anything."""


def play_randomly(environment: Environment, spec: Spec, num_steps: int, rng: Random) -> Trajectory:
    """Play `num_steps` random commands of `spec`; winning by chance ends it earlier."""
    observation, steps, done = environment.reset(spec), list[Step](), False
    goal, belief = parse_goal(spec.instruction), Belief()
    belief.observe("", observation.text)
    while len(steps) < num_steps and not done:
        command = _pick(observation, rng)
        action = Action(
            reason=f"I have to {spec.instruction.rstrip('.')}. {_say(goal, belief, command, rng)}", command=command
        )
        steps.append(Step(index=len(steps), observation=observation, action=action, reply=format_reply(action)))
        result = environment.step(command)
        observation, done = result.observation, result.terminated
        belief.observe(command, observation.text)
    return Trajectory(
        id=f"random/{spec.id}",
        spec=spec,
        iteration=0,
        student="random",
        steps=tuple(steps),
        final_observation=observation.text,
        stop_reason=StopReason.TERMINATED if done else StopReason.STEP_LIMIT,
        score=float(done),
        success=done,
    )


def _pick(observation: Observation, rng: Random) -> str:
    """A verb by its weight, then any of its commands."""
    by_verb: dict[str, list[str]] = {}
    for command in observation.admissible or ():
        by_verb.setdefault(command.split()[0], []).append(command)
    verbs = [verb for verb in by_verb if verb in VERB_WEIGHTS]
    verb = rng.choices(verbs, [VERB_WEIGHTS[verb] for verb in verbs])[0]
    return rng.choice(by_verb[verb])


def _say(goal: Goal, belief: Belief, command: str, rng: Random) -> str:
    """What of the goal is in hand or in view, what of the room was looked at, and the command, in words."""
    known, act = _what_is_known(goal, belief), _what_is_done(belief, command)
    if command.startswith("go to "):
        looked = ", ".join(_looked_at(belief, command.removeprefix("go to "), rng))
        return f"{known}. {looked}, so {act}." if known else f"{looked}, so {act}."
    return f"{known}, so {act}." if known else f"So {act}."


def _what_is_known(goal: Goal, belief: Belief) -> str:
    here, held = belief.location, belief.holding
    if held is not None:
        if kind_of(held) != goal.object_kind:
            return f"I hold {held} and it is not {_a(goal.object_kind)}"
        if goal.state is None:
            return f"I hold {held}"
        done = belief.has_state(held, goal.state)
        return f"I hold {held} and it is {goal.state}" if done else f"I hold {held} and it is not {goal.state} yet"
    known = sorted(belief.of_kind(goal.object_kind), key=lambda name: belief.places[name] != here)
    if known:
        place = belief.places[known[0]]
        return f"I {'see' if place == here else 'saw'} {known[0]} {preposition(kind_of(place))} {place}"
    if here is None:
        return ""
    if here in belief.closed:
        return f"{here} is closed"
    return f"There is no {goal.object_kind} {preposition(kind_of(here))} {here}"


def _looked_at(belief: Belief, target: str, rng: Random) -> list[str]:
    """For some places, the last of them `target`, whether their contents were seen."""
    kinds = sorted({kind_of(place) for place in belief.receptacles} - {kind_of(target)})
    chosen = [*rng.sample(kinds, min(len(kinds), rng.randint(0, 2))), kind_of(target)]
    places = [place for kind in chosen for place in sorted(belief.receptacles, key=number_of) if kind_of(place) == kind]
    told = places[: places.index(target) + 1][-_MOST_PLACES:]
    return [f"{place} {'seen' if place in belief.seen else 'not yet'}" for place in told]


def _what_is_done(belief: Belief, command: str) -> str:
    if command.startswith("go to "):
        place = command.removeprefix("go to ")
        return f"I go to {place}" if belief.holding else f"next I check {place}"
    if command.startswith("take "):
        return f"I {command.partition(' from ')[0]}"
    return f"I {command}"


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
