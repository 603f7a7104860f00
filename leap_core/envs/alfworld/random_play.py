"""Random play in plain words: what the tiny base student is pre-trained on.

It plays the part that pre-training plays for a real language model. The player picks admissible commands at random and
says what it was told to do, what of that is in view or in hand, and what it does now. Whoever has read it can read
observations, keep to the form and name what it acts on, and knows of no task how it is done.
"""

from collections.abc import Iterator, Sequence
from random import Random

from leap_core.envs.alfworld.belief import Belief, kind_of, number_of
from leap_core.envs.alfworld.goals import Goal, parse_goal
from leap_core.envs.alfworld.kinds import preposition
from leap_core.envs.base import Environment
from leap_core.prompts import format_reply
from leap_core.types import Action, Observation, Spec, Step, StopReason, Trajectory

_SHARE_PRESENT = 0.7
"""Of the kinds in hand or in view, those that are asked about: "yes" and "no" come up about equally often."""
_STATES = ("clean", "cool", "hot")
_MOST_PLACES = 8
_SHARE_LOOKING = 0.6
"""Of the steps other than walks, those that look back too.

To look up whether a place was seen, or a kind is in view, is what such a model learns last, and it needs many examples
in every update: with a few, it never gets beyond guessing. So the narrator asks more than it needs to know."""

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
    """What is in hand or in view, what of the room was looked at, and the command, in words."""
    said = list(_ask_of_held(goal, belief, rng) if belief.holding else _ask_of_here(goal, belief, rng))
    target = command.removeprefix("go to ") if command.startswith("go to ") else None
    if target or rng.random() < _SHARE_LOOKING:
        said += _looked_at(belief, target, rng)
    return " ".join((*said, f"{_what_is_done(belief, command)}."))


def _ask_of_held(goal: Goal, belief: Belief, rng: Random) -> Iterator[str]:
    """Whether the object in hand is of some kinds and in some states; the goal's own kind is asked about last."""
    held = belief.holding
    assert held is not None
    yield f"I hold {held}."
    for kind in (*_some_kinds(goal, belief, [kind_of(held)], rng), goal.object_kind):
        yield f"Is it {_a(kind)}? {'Yes' if kind == kind_of(held) else 'No'}."
    for state in rng.sample(_STATES, rng.randint(0, len(_STATES))):
        yield f"Is it {state}? {'Yes' if belief.has_state(held, state) else 'Not yet'}."


def _ask_of_here(goal: Goal, belief: Belief, rng: Random) -> Iterator[str]:
    """Whether objects of some kinds can be seen here; the goal's own kind is asked about last."""
    here = belief.location
    if here is None:
        return
    if here in belief.closed:
        yield f"Is {_a(goal.object_kind)} here? {here} is closed."
        return
    present = sorted(belief.objects_in(here), key=number_of)
    for kind in (*_some_kinds(goal, belief, [kind_of(name) for name in present], rng), goal.object_kind):
        first = next((name for name in present if kind_of(name) == kind), None)
        yield f"Is {_a(kind)} here? {f'Yes, {first}' if first else 'No'}."
    elsewhere = sorted(name for name, place in belief.places.items() if place != here)
    for name in rng.sample(elsewhere, min(len(elsewhere), rng.randint(0, 1))):
        yield f"I saw {name} {preposition(kind_of(belief.places[name]))} {belief.places[name]}."


def _some_kinds(goal: Goal, belief: Belief, present: Sequence[str], rng: Random) -> list[str]:
    """Kinds to ask about beside the goal's: most of those `present` and at times another one met so far."""
    there, met = set(present) - {goal.object_kind}, {kind_of(name) for name in belief.places} - {goal.object_kind}
    chosen = [kind for kind in sorted(there) if rng.random() < _SHARE_PRESENT]
    chosen += rng.sample(sorted(met - there), min(len(met - there), rng.randint(0, 1)))
    rng.shuffle(chosen)
    return chosen


def _looked_at(belief: Belief, target: str | None, rng: Random) -> list[str]:
    """For some places, by kind and number, whether their contents were seen; a target is the last of them."""
    last = kind_of(target) if target else ""
    kinds = sorted({kind_of(place) for place in belief.receptacles} - {last})
    rng.shuffle(kinds)
    ordered = sorted(belief.receptacles, key=number_of)
    places = [place for kind in (*kinds, last) for place in ordered if kind_of(place) == kind]
    told = (places[: places.index(target) + 1] if target else places)[-rng.randint(1, _MOST_PLACES) :]
    return [f"{place} {'seen' if place in belief.seen else 'not yet'}." for place in told]


def _what_is_done(belief: Belief, command: str) -> str:
    if command.startswith("go to "):
        place = command.removeprefix("go to ")
        return f"So I go to {place}" if belief.holding else f"Next I check {place}"
    if command.startswith("take "):
        return f"So I {command.partition(' from ')[0]}"
    return f"So I {command}"


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
