"""Random play in plain words: what the tiny base student is pre-trained on.

It is what pre-training is for a real language model. The player picks admissible commands at random and says what its
goal is, where it is, what it holds and has seen, and what it does now. A model trained on it can read observations,
keep to the format and name what it acts on, but knows no task's solution.
"""

from collections.abc import Iterator
from random import Random

from leap_core.envs.alfworld.expert.belief import Belief, kind_of, number_of
from leap_core.envs.alfworld.world.goals import LOOK, Goal, parse_goal
from leap_core.envs.alfworld.world.kinds import OBJECTS, preposition, with_article
from leap_core.envs.base import Environment
from leap_core.prompts import format_reply
from leap_core.types import Action, Observation, Spec, Step, StopReason, Trajectory

_MOST_SOUGHT = 3
_SHARE_SEEN = 0.7
"""Of what is looked for beside what the goal lacks, in one reply, as many at most; and the share that was seen."""
_SHARE_ANOTHER = 0.6
"""Of the kinds that were seen, those of which another one is looked for; a third of it where none was seen."""
_NEIGHBOURS = {
    kind.name.lower(): [other.name.lower() for other in OBJECTS.values() if set(kind.rooms) & set(other.rooms)]
    for kind in OBJECTS.values()
}
"""The kinds that may lie in the same room: those that only looking can tell to be absent."""
_STATES = ("clean", "cool", "hot")
_MOST_PLACES = 8
_SHARE_LOOKING = 0.6
"""Of the steps other than walks, those that look back too.

Looking up what was seen is what such a model learns last, and it needs many examples in every update: with few, it
never gets beyond guessing. So the narrator asks more than it needs to know."""

_VERB_WEIGHTS = {
    **dict.fromkeys(("go", "open", "take", "clean", "heat", "cool"), 4.0),
    **dict.fromkeys(("move", "use"), 3.0),
    **dict.fromkeys(("close", "examine"), 0.5),
}
"""How often each verb is picked where it is possible. Uniform play would hardly ever take or change anything."""


def play_randomly(environment: Environment, spec: Spec, num_steps: int, rng: Random) -> Trajectory:
    """Play `num_steps` random commands of `spec`; winning by chance ends it earlier."""
    observation, steps, done = environment.reset(spec), list[Step](), False
    goal, belief = parse_goal(spec.instruction), Belief()
    belief.observe("", observation.text)
    while len(steps) < num_steps and not done:
        command = _pick(observation, steps[-1].action.command if steps else "", rng)
        action = Action(
            reason=f"I have to {spec.instruction.rstrip('.')}. {_narrate(goal, belief, command, rng)}", command=command
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


def _pick(observation: Observation, last: str, rng: Random) -> str:
    """A verb by its weight, then any of its commands but the last one, which would change nothing."""
    by_verb: dict[str, list[str]] = {}
    for command in observation.admissible or ():
        if command != last:
            by_verb.setdefault(command.split()[0], []).append(command)
    verbs = [verb for verb in by_verb if verb in _VERB_WEIGHTS]
    verb = rng.choices(verbs, [_VERB_WEIGHTS[verb] for verb in verbs])[0]
    return rng.choice(by_verb[verb])


def _narrate(goal: Goal, belief: Belief, command: str, rng: Random) -> str:
    """Where it is, what is in hand, what was seen in the room, and the command, in words."""
    said = [*_tell_of_self(goal, belief, rng), *_tell_of_seen(goal, belief, rng)]
    if belief.location in belief.closed:
        said.append(f"{belief.location} is closed.")
    target = command.removeprefix("go to ") if command.startswith("go to ") else None
    if target or rng.random() < _SHARE_LOOKING:
        said += _looked_at(belief, target, rng)
    return " ".join((*said, f"{_what_is_done(belief, command)}."))


def _tell_of_self(goal: Goal, belief: Belief, rng: Random) -> Iterator[str]:
    """The place, the object in hand, and whether that is of some kinds and in some states; the goal's kind is last."""
    if belief.location:
        yield f"I am at {belief.location}."
    if belief.holding is None:
        return
    held = kind_of(belief.holding)
    yield f"I hold {belief.holding}."
    other = held if rng.random() < 0.5 else rng.choice([held, *_known_kinds(belief)])
    for kind in (other, goal.object_kind):
        yield f"Is it {with_article(kind)}? {'Yes' if kind == held else 'No'}."
    for state in rng.sample(_STATES, rng.randint(0, len(_STATES))):
        yield f"Is it {state}? {'Yes' if belief.has_state(belief.holding, state) else 'Not yet'}."


def _tell_of_seen(goal: Goal, belief: Belief, rng: Random) -> Iterator[str]:
    """Whether objects of some kinds were seen anywhere, and where; what the goal lacks is looked for last."""
    present = sorted(belief.places, key=lambda name: (belief.places[name] != belief.location, number_of(name)))
    known = _known_kinds(belief)
    unknown = [kind for kind in _NEIGHBOURS.get(goal.object_kind, ()) if kind not in known]
    choices = [known if rng.random() < _SHARE_SEEN else unknown for _ in range(rng.randint(1, _MOST_SOUGHT))]
    kinds = list(dict.fromkeys(rng.choice(choice) for choice in choices if choice))
    if belief.holding is None:
        kinds.append(goal.object_kind)
    elif goal.task_type == LOOK:
        kinds.append(goal.target_kind)
    for kind in kinds:
        of_kind = [name for name in present if kind_of(name) == kind]
        share_another = _SHARE_ANOTHER if len(of_kind) > 1 else _SHARE_ANOTHER / 3
        other = rng.choice(of_kind) if of_kind and rng.random() < share_another else None
        found = next((name for name in of_kind if name != other), None)
        sought = f"another {kind} than {other}" if other else with_article(kind)
        place = belief.places[found] if found else ""
        seen = f"seen as {found} {preposition(kind_of(place))} {place}" if found else "not seen yet"
        yield f"I look for {sought}, {seen}."


def _known_kinds(belief: Belief) -> list[str]:
    return sorted({kind_of(name) for name in belief.places})


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
