"""The texts that every generated game embeds: our PDDL domain and our grammar of commands and feedback.

A real ALFWorld game carries its own copies; the engine always plays by those in the game file.
"""

from functools import cache
from importlib.resources import files

UNKNOWN_GOAL = "UNKNOWN GOAL"
"""What stands in the grammar's `task` rule in the place of the task sentence (without the final period)."""


@cache
def domain_text() -> str:
    """The PDDL domain: types, predicates and actions of the household."""
    return _read("domain.pddl")


@cache
def grammar_text() -> str:
    """The grammar, with `UNKNOWN_GOAL` where the task sentence of a game goes."""
    return _read("grammar.twl2")


def grammar_for(task: str) -> str:
    """The grammar of a game whose task sentence is `task`, without "Your task is to: " and the final period."""
    return grammar_text().replace(UNKNOWN_GOAL, task)


def _read(name: str) -> str:
    return (files("leap_core.envs.alfworld") / "data" / name).read_text(encoding="utf-8")
