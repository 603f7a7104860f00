"""What to type next: the plan, a random possible command, or one that is wrong in some way."""

from collections.abc import Sequence
from itertools import pairwise
from random import Random

_TEMPLATES = (
    *("go to {a}", "open {a}", "close {a}", "take {a} from {b}", "move {a} to {b}", "put {a} in/on {b}", "examine {a}"),
    *("clean {a} with {b}", "heat {a} with {b}", "cool {a} with {b}", "slice {a} with {b}", "use {a}"),
)
_NONSENSE = (
    *("", " ", "\n", "look around", "LOOK", "go to", "go to  ", "take", "help me", "inventory 1", "use desklamp"),
    *(
        "{o.name}",
        "#look.feedback#",
        "open the fridge",
        "go to loc 1",
        "examine",
        "x" * 3000,
        "go to 🧊 1",
        "quit",
        "restart",
    ),
)
_QUIET = ("look", "inventory", "help", "examine")


class Player:
    """Chooses commands for one game: a fixed mixture, drawn from `seed`."""

    def __init__(self, plan: Sequence[str], seed: str) -> None:
        self._plan = list(plan)
        self._rng = Random(seed)
        self._last = "look"

    def next(self, admissible: Sequence[str]) -> tuple[str, str]:
        """The next command, and where it comes from: "plan", "random" or "wrong"."""
        source = self._rng.choices(("plan", "random", "wrong"), (4, 4, 3))[0]
        if source == "plan" and not (self._plan and self._plan[0] in admissible):
            source = "random"
        if source == "plan":
            command = self._plan.pop(0)
        else:
            command = self._random(admissible) if source == "random" else self._wrong(admissible)
        self._last = command
        return command, source

    def _random(self, admissible: Sequence[str]) -> str:
        """A verb first, so that the many places to go to do not crowd out the rest; mostly one that changes things."""
        verbs = sorted({command.split()[0] for command in admissible})
        verb = self._rng.choices(verbs, [1 if verb in _QUIET else 4 for verb in verbs])[0]
        return self._rng.choice([command for command in admissible if command.split()[0] == verb])

    def _wrong(self, admissible: Sequence[str]) -> str:
        """A command that may be impossible here; some of these happen to be possible after all."""
        possible = self._rng.choice(admissible)
        names = sorted({name for command in admissible for name in _names(command)}) or ["fridge 1"]
        kind = self._rng.randrange(8)
        if kind == 0:
            return self._rng.choice(_NONSENSE)
        if kind == 1:
            return self._last  # again: open what is open, go where one is
        if kind == 2:
            return possible.upper() if self._rng.random() < 0.5 else possible.replace(" ", "  ", 1)
        if kind == 3:
            return f"  {possible}\t"  # space around a command does not matter
        if kind == 4:
            return possible[: self._rng.randrange(len(possible))]
        template = self._rng.choice(_TEMPLATES)
        return template.format(a=self._rng.choice(names), b=self._rng.choice(names))


def _names(command: str) -> list[str]:
    """The things that a command names: words that a number follows, with the number."""
    words = command.split()
    return [f"{word} {number}" for word, number in pairwise(words) if number.isdigit()]
