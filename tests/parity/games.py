"""Games to hold the two engines against each other: generated ones, roughened with what real ALFWorld files contain.

A game is the content of a `game.tw-pddl`. Its rules and words are those of a `Dialect`, its rooms come from this
repository's generator, and `_TRAITS` adds what the generator never writes but real files do: receptacles that share a
place, objects that lie in two receptacles at once, doors that are open from the start, things inside things.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random

from leap_core.envs.alfworld.engine.game_file import UNKNOWN_GOAL, domain_text, grammar_text
from leap_core.envs.alfworld.engine.problem import problem_text, walkthrough
from leap_core.envs.alfworld.games.generator import draw_game
from leap_core.envs.alfworld.games.scenes import make_scenes
from leap_core.envs.alfworld.world.goals import TASK_TYPES
from tests.unit.alfworld_games import older_domain, older_grammar

SCENE_SIZES = ("small", "full")
_SEED = 20


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """Rules and wording that games are written in; `grammar` has UNKNOWN_GOAL where the task sentence goes."""

    name: str
    domain: str
    grammar: str

    @property
    def is_old(self) -> bool:
        """Whether one puts things `in/on`, as up to ALFWorld 0.3.5."""
        return "put {o} in/on {r}" in self.grammar


def own_dialects() -> list[Dialect]:
    """This repository's grammar in both wordings, and one that uses more of the format than ALFWorld does.

    The older wording is without the `help` that ALFWorld did not have then.
    """
    new, old = grammar_text(), older_grammar(grammar_text())
    strange = domain_text().rstrip().removesuffix(")") + _STRANGE_ACTIONS + ")\n"
    return [
        Dialect(name="own, move", domain=domain_text(), grammar=new),
        Dialect(name="own, put", domain=older_domain(domain_text()), grammar=old),
        Dialect(name="strange", domain=strange, grammar=new + _STRANGE_GRAMMAR),
    ]


_STRANGE_ACTIONS = """
  (:action stow
    :parameters (?a - agent ?l - location ?o - object ?v - object ?r - receptacle)
    :precondition (and
      (holds ?a ?o) (atLocation ?a ?l) (receptacleAtLocation ?r ?l) (inReceptacle ?v ?r)
      (isReceptacleObject ?v) (not (isReceptacleObjectFull ?v)) (not (= ?o ?v))
      (or (not (openable ?r)) (opened ?r)))
    :effect (and
      (inReceptacleObject ?o ?v) (inReceptacle ?o ?r) (objectAtLocation ?o ?l) (isReceptacleObjectFull ?v)
      (not (holds ?a ?o)) (not (holdsAny ?a))
      (when (isHot ?v) (not (isHot ?v)))
      (when (not (isHot ?v)) (isHot ?v))
      (when (isClean ?v) (not (isClean ?v)))))
  (:action rest
    :parameters (?a - agent)
    :precondition (and
      (not (exists (?o - object) (holds ?a ?o)))
      (forall (?r - receptacle) (or (not (openable ?r)) (not (opened ?r)))))
    :effect (and (holdsAnyReceptacleObject ?a)))
"""
"""Actions that ALFWorld does not have: quantifiers, equality, effects with conditions."""

_STRANGE_GRAMMAR = '''
grammar :: """
    {
        "around": [{"rhs": "[{#seen(r)# | receptacleatlocation(r:receptacle, l:location)}]"}],
        "seen(r)": [{"rhs": "{r.indefinite} {r.name or r.id}#state(r)#"}],
        "state(r)": [
            {"condition": "openable(r:receptacle) & opened(r:receptacle)", "rhs": ", wide open"},
            {"condition": "openable(r:receptacle) & not_opened(r:receptacle)", "rhs": ", shut again"},
            {"condition": "openable(r:receptacle) & checked(r:receptacle)", "rhs": ", looked at"},
            {"rhs": ""}
        ],
        "ToggleObject.feedback": [
            {"condition": "ison(o:object)", "rhs": "The {o.name} is lit, says {a.id}."},
            {"condition": "not_ison(o:object) & isclean(p:object)",
             "rhs": "Dark, with something clean about."},
            {"condition": "not_ison(o:object)", "rhs": "Dark."},
            {"rhs": "{'The ' + o.name + ' ' + 'hums'}."}
        ],
        "stow.feedback": [
            {"condition": "ishot(v:object) & not_isclean(v:object)",
             "rhs": "{o.definite} {o.name} warms and soils the {v.name}."},
            {"condition": "ishot(v:object)", "rhs": "The {o.name} warms the {v.name}."},
            {"condition": "not_isclean(v:object)", "rhs": "The {o.name} soils the {v.name}."},
            {"rhs": "In go [{x.name | inreceptacleobject(x:object, v:object)}]. #beside(r)#"}
        ],
        "beside(r)": [{"rhs": "Beside: [{y.name | inreceptacle(y:object, r:receptacle)}]."}],
        "rest.feedback": [{"rhs": "You rest. #inventory.feedback#"}]
    }
""";
action stow { template :: "stow {o} in {v}"; feedback :: "#stow.feedback#"; }
action rest { template :: "rest"; feedback :: "#rest.feedback#"; }
'''
"""Rules within rules, questions about what became false, questions that bind new things."""


def read_dialect(folder: Path, name: str) -> Dialect:
    """The dialect of an ALFWorld release: `alfred.pddl` and `alfred.twl2` in its folder `data`."""
    return Dialect(
        name=name,
        domain=(folder / "alfred.pddl").read_text(encoding="utf-8"),
        grammar=(folder / "alfred.twl2").read_text(encoding="utf-8"),
    )


def make_game(index: int, dialect: Dialect) -> dict[str, object]:
    """Game number `index`: task types in turn, rooms small and full in turn, traits by a draw of its own."""
    size = SCENE_SIZES[index // len(TASK_TYPES) % len(SCENE_SIZES)]
    game = draw_game(make_scenes(_SEED, size).test, f"{_SEED}/{size}", "test", index, 0)
    sheet = _Sheet.read(problem_text(game))
    rng = Random(f"traits/{index}")
    for trait in _TRAITS:
        if rng.random() < 0.5:
            trait(sheet, rng)
    plan = walkthrough(game)
    if dialect.is_old:
        plan = [re.sub(r"^move (.*) to (.*)$", r"put \1 in/on \2", command) for command in plan]
    return {
        "pddl_domain": dialect.domain,
        "grammar": dialect.grammar.replace(UNKNOWN_GOAL, game.sentence),
        "pddl_problem": sheet.text(),
        "solvable": True,
        "walkthrough": plan,
    }


@dataclass
class _Sheet:
    """A PDDL problem as lists that can be edited."""

    objects: dict[str, str]
    facts: list[tuple[str, ...]]
    goal: str
    metric: str = ""
    extra: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, text: str) -> "_Sheet":
        declared, rest = text.split("(:init")
        init, goal = rest.split("(:goal", 1)
        return cls(
            objects=dict(re.findall(r"^\s+(\S+) - (\S+)$", declared, re.MULTILINE)),
            facts=[tuple(found.split()) for found in re.findall(r"\(([^()]+)\)", init)],
            goal=goal.rstrip().removesuffix(")").rstrip().removesuffix(")"),
        )

    def text(self) -> str:
        lines = ["(define (problem plan_parity)", "(:domain alfred)", "(:objects"]
        lines += [f"    {name} - {kind}" for name, kind in self.objects.items()]
        lines += [")", "(:init", *(f"    ({' '.join(fact)})" for fact in self.facts), *self.extra, ")"]
        return "\n".join([*lines, f"(:goal{self.goal})", self.metric, ")"]) + "\n"

    def rows(self, predicate: str) -> list[tuple[str, ...]]:
        return [fact[1:] for fact in self.facts if fact[0] == predicate]

    def some(self, predicate: str, rng: Random, num: int) -> list[tuple[str, ...]]:
        rows = sorted(self.rows(predicate))
        return rng.sample(rows, min(num, len(rows)))

    def place_of(self, receptacle: str) -> str:
        return dict(self.rows("receptacleAtLocation"))[receptacle]

    def move(self, receptacle: str, place: str) -> None:
        """Put a receptacle, with what is in it, at another place."""
        inside = {thing for thing, where in self.rows("inReceptacle") if where == receptacle}
        self.facts = [
            (fact[0], fact[1], place)
            if fact[:2] == ("receptacleAtLocation", receptacle) or (fact[0] == "objectAtLocation" and fact[1] in inside)
            else fact
            for fact in self.facts
        ]


def _share_places(sheet: _Sheet, rng: Random) -> None:
    """Cabinets side by side are used from one and the same place."""
    receptacles = [name for name, _ in sheet.some("receptacleAtLocation", rng, 6)]
    for first, second, third in zip(receptacles[::3], receptacles[1::3], receptacles[2::3], strict=False):
        sheet.move(second, sheet.place_of(first))
        if rng.random() < 0.5:
            sheet.move(third, sheet.place_of(first))


def _start_somewhere(sheet: _Sheet, rng: Random) -> None:
    """The agent stands at a receptacle when the game begins."""
    (_, place) = sheet.some("receptacleAtLocation", rng, 1)[0]
    sheet.facts = [("atLocation", "agent1", place) if fact[0] == "atLocation" else fact for fact in sheet.facts]


def _leave_open(sheet: _Sheet, rng: Random) -> None:
    sheet.facts += [("opened", name) for (name,) in sheet.some("openable", rng, 3)]


def _lie_in_two_places(sheet: _Sheet, rng: Random) -> None:
    """Real files have objects in two receptacles at once, at one place or at two."""
    for thing, _ in sheet.some("inReceptacle", rng, 3):
        (other, place) = sheet.some("receptacleAtLocation", rng, 1)[0]
        sheet.facts += [("inReceptacle", thing, other), ("objectAtLocation", thing, place)]


def _nest(sheet: _Sheet, rng: Random) -> None:
    """A thing inside another one, which says so when examined."""
    for (vessel,), (thing, _) in zip(
        sheet.some("isReceptacleObject", rng, 2), sheet.some("inReceptacle", rng, 2), strict=False
    ):
        sheet.facts += [("inReceptacleObject", thing, vessel), ("isReceptacleObjectFull", vessel)]


def _change_states(sheet: _Sheet, rng: Random) -> None:
    for state in ("isHot", "isCool", "isClean", "isSliced"):
        sheet.facts += [(state, name) for (name,) in sheet.some("pickupable", rng, 3)]
    for state in ("isOn", "isToggled"):
        sheet.facts += [(state, name) for (name,) in sheet.some("toggleable", rng, 1)]


def _arm(sheet: _Sheet, rng: Random) -> None:
    """Knives, and something to slice, within reach of each other."""
    (receptacle, place) = sheet.some("receptacleAtLocation", rng, 1)[0]
    for kind, flags in (("Knife", ("pickupable", "cleanable")), ("ButterKnife", ("pickupable",))):
        _add_object(sheet, f"{kind}_bar__plus_09_dot_{rng.randrange(100):02d}", kind, receptacle, place, flags)
    apple = f"Apple_bar__minus_09_dot_{rng.randrange(100):02d}"
    _add_object(sheet, apple, "Apple", receptacle, place, ("pickupable", "sliceable", "heatable", "coolable"))


def _add_object(sheet: _Sheet, name: str, kind: str, receptacle: str, place: str, flags: Sequence[str]) -> None:
    sheet.objects |= {name: "object", f"{kind}Type": "otype"}
    sheet.facts += [("objectType", name, f"{kind}Type"), ("inReceptacle", name, receptacle)]
    sheet.facts += [("objectAtLocation", name, place), *((flag, name) for flag in flags)]
    kinds = sorted({kind for _, kind in sheet.rows("receptacleType")})
    sheet.facts += [("canContain", receptacle_kind, f"{kind}Type") for receptacle_kind in kinds]


def _lose_a_receptacle(sheet: _Sheet, rng: Random) -> None:
    """One that cannot be reached, because it has no place; never one that the goal needs.

    TextWorld fails to load a game whose goal cannot be reached at all.
    """
    kinds = dict(sheet.rows("receptacleType"))
    needed = {receptacle for _, receptacle in sheet.rows("inReceptacle")}
    spare = [name for name in sorted(set(kinds) - needed) if list(kinds.values()).count(kinds[name]) > 1]
    lost = rng.choice(spare) if spare else None
    sheet.facts = [fact for fact in sheet.facts if fact[:2] != ("receptacleAtLocation", lost)]


def _drop(sheet: _Sheet, rng: Random) -> None:
    """Something that lies at a place but in no receptacle; never what the goal needs."""
    kinds = dict(sheet.rows("objectType"))
    for thing, receptacle in sheet.some("inReceptacle", rng, 4):
        if kinds[thing] in sheet.goal:
            continue
        sheet.facts.remove(("inReceptacle", thing, receptacle))


def _declare_more(sheet: _Sheet, rng: Random) -> None:
    """Names that nothing is said about: kinds as objects, and places where nothing stands."""
    kinds = sorted(name.removesuffix("Type") for name, kind in sheet.objects.items() if kind == "otype")
    sheet.objects |= dict.fromkeys(kinds, "object")
    sheet.objects |= {f"loc_bar_{rng.randrange(100, 200)}_bar_0_bar_0_bar_30": "location"}


def _count_costs(sheet: _Sheet, rng: Random) -> None:
    """Distances, costs, facts said twice: read over by the game."""
    places = sorted({place for _, place in sheet.rows("receptacleAtLocation")})
    sheet.extra += ["    (= (total-cost) 0)"]
    sheet.extra += [f"    (= (distance {a} {b}) {rng.randrange(1, 9)})" for a, b in pairwise(places)]
    sheet.facts += rng.sample(sheet.facts, 5)
    sheet.facts += [("wasInReceptacle", *row) for row in sheet.some("inReceptacle", rng, 3)]
    sheet.metric = "(:metric minimize (total-cost))"


def _add_a_sink(sheet: _Sheet, rng: Random) -> None:
    """The sink around the basin, as a receptacle of its own."""
    name = f"Sink_bar__plus_08_dot_{rng.randrange(100):02d}"
    sheet.objects |= {name: "receptacle", "SinkType": "rtype", "loc_bar_99_bar_0_bar_0_bar_30": "location"}
    sheet.facts += [
        ("receptacleType", name, "SinkType"),
        ("receptacleAtLocation", name, "loc_bar_99_bar_0_bar_0_bar_30"),
    ]


_TRAITS: tuple[Callable[[_Sheet, Random], None], ...] = (
    _arm,
    _add_a_sink,
    _share_places,
    _lose_a_receptacle,
    _lie_in_two_places,
    _nest,
    _drop,
    _leave_open,
    _start_somewhere,
    _change_states,
    _declare_more,
    _count_costs,
)


def task_type_of(index: int) -> str:
    """The task type of game number `index`."""
    return TASK_TYPES[index % len(TASK_TYPES)]
