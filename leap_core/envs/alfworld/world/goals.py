"""ALFWorld's six kinds of goals: the sentences that state them, and reading such a sentence back."""

import re
from dataclasses import dataclass

from leap_core.errors import GameFileError

PICK = "pick_and_place_simple"
LOOK = "look_at_obj_in_light"
CLEAN = "pick_clean_then_place_in_recep"
HEAT = "pick_heat_then_place_in_recep"
COOL = "pick_cool_then_place_in_recep"
PICK_TWO = "pick_two_obj_and_place"
TASK_TYPES = (PICK, LOOK, CLEAN, HEAT, COOL, PICK_TWO)
"""In ALFWorld's own order."""

TEMPLATES: dict[str, tuple[str, str]] = {
    PICK: ("put a {obj} in {target}", "put some {obj} on {target}"),
    LOOK: ("look at {obj} under the {target}", "examine the {obj} with the {target}"),
    CLEAN: ("put a clean {obj} in {target}", "clean some {obj} and put it in {target}"),
    HEAT: ("put a hot {obj} in {target}", "heat some {obj} and put it in {target}"),
    COOL: ("put a cool {obj} in {target}", "cool some {obj} and put it in {target}"),
    PICK_TWO: ("put two {obj} in {target}", "find two {obj} and put them in {target}"),
}

STATES = {CLEAN: "clean", HEAT: "hot", COOL: "cool"}
"""The state that the object must be brought into, by task type; also the word for it."""

APPLIANCES = {CLEAN: ("clean", "SinkBasin"), HEAT: ("heat", "Microwave"), COOL: ("cool", "Fridge")}
"""By task type: the verb that changes the object's state, and the kind of receptacle it is done with."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What the agent must do. Kinds are lower case; `target_kind` is the lamp's kind where the goal is to look."""

    task_type: str
    object_kind: str
    target_kind: str

    @property
    def state(self) -> str | None:
        """What the object must be: "clean", "hot", "cool"; None where any state will do."""
        return STATES.get(self.task_type)

    @property
    def num_objects(self) -> int:
        """How many objects of the kind must lie in one and the same receptacle."""
        return 2 if self.task_type == PICK_TWO else 1

    def sentence(self, variant: int) -> str:
        """The goal in one of ALFWorld's two wordings (0 or 1), without the final full stop."""
        return TEMPLATES[self.task_type][variant].format(obj=self.object_kind, target=self.target_kind)


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(template.format(obj=r"(?P<obj>[a-z]+)", target=r"(?P<target>[a-z]+)") + r"\.?$")


_PATTERNS = [(task_type, _pattern(text)) for task_type, pair in TEMPLATES.items() for text in pair]


def parse_goal(instruction: str) -> Goal:
    """Read a goal sentence; a leading "Your task is to:" is allowed.

    Raises:
        GameFileError: it is in none of ALFWorld's wordings (a free human description, for example).
    """
    text = instruction.strip().removeprefix("Your task is to:").strip()
    for task_type, pattern in _PATTERNS:
        if match := pattern.match(text):
            return Goal(task_type=task_type, object_kind=match["obj"], target_kind=match["target"])
    raise GameFileError(
        f"The goal {instruction!r} is in none of ALFWorld's template wordings, e.g. 'put a clean mug in desk'. "
        "Use games whose goals were made from the templates."
    )
