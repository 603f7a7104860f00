"""What the student is typically asked and says: prompts and replies whose lengths tell how long others will take."""

from collections.abc import Iterator, Sequence
from typing import Any

from leap_core.config import LeapConfig
from leap_core.method.tables import read_trajectories
from leap_core.prompts import PromptSet, format_reply, load_prompts
from leap_core.types import Action, Message, Observation, Spec, Step
from tasks.demonstrations import DEMONSTRATIONS
from tasks.planned import PlannedCall
from tasks.samples import newest, spread, undamaged

Turns = list[tuple[tuple[Message, ...], str]]
"""Of one episode: each prompt with its reply."""
_FIRST = "You are in the middle of a room. Looking quickly around you, you see " + "a cabinet 1, a desk 2, " * 12
_NEXT = "You arrive at the cabinet 1. On the cabinet 1, you see a mug 1, a book 2, and a lamp 1."
_COMMANDS = tuple(f"go to cabinet {number}" for number in range(20))
_REASON = "I have not found what I need yet, and this place may hold it, so I look there first of all."


def typical_turns(call: PlannedCall[Any]) -> tuple[list[Turns], bool]:
    """Turns of the newest episodes of this environment, an expert's if need be; and whether they had to be made up."""
    config = call.config
    prompts = load_prompts(config.environment.name, config.student.prompt)
    for record in undamaged(call, newest(call, "rollout", "evaluation", DEMONSTRATIONS.name)):
        episodes = [one for one in read_trajectories(call.store.path(record.ref)) if one.steps]
        if episodes:
            limit = config.environment.max_steps
            return [_turns_of(prompts, one.spec, one.steps[:limit]) for one in spread(episodes)], False
    return [_turns_of(prompts, _made_up_spec(config), list(_made_up_steps(config.environment.max_steps)))], True


def _turns_of(prompts: PromptSet, spec: Spec, steps: Sequence[Step]) -> Turns:
    return [
        (tuple(prompts.student_messages(spec, steps[: step.index], step.observation)), step.reply) for step in steps
    ]


def _made_up_spec(config: LeapConfig) -> Spec:
    return Spec(id="", env=config.environment.name, split="train", instruction="put a clean mug in the cabinet")


def _made_up_steps(number: int) -> Iterator[Step]:
    action = Action(reason=_REASON, command=_COMMANDS[0])
    for index in range(number):
        seen = Observation(text=_NEXT if index else _FIRST, admissible=_COMMANDS)
        yield Step(index=index, observation=seen, action=action, reply=format_reply(action))
