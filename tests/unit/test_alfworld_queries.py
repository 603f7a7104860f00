"""Query plans against a plain reading of the same formulas, on random worlds."""

from itertools import product
from random import Random

import pytest

from leap_core.envs.alfworld.engine.facts import Relation
from leap_core.envs.alfworld.engine.pddl import And, Atom, Domain, Exists, Forall, Not, Or
from leap_core.envs.alfworld.engine.queries import Query, World

OBJECTS = {"a": "thing", "b": "thing", "c": "box", "d": "box", "e": "tool"}
DOMAIN = Domain({"thing": "object", "box": "thing", "tool": "object"}, {}, {"p": 1, "q": 2, "r": 2}, ())
VARIABLES = {"?x": "thing", "?y": "object", "?z": "box"}


def is_true(formula, state, binding):
    """The meaning of a formula, read word for word."""
    match formula:
        case Atom(predicate="=", args=(left, right)):
            return binding.get(left, left) == binding.get(right, right)
        case Atom():
            return tuple(binding.get(arg, arg) for arg in formula.args) in state[formula.predicate]
        case Not():
            return not is_true(formula.part, state, binding)
        case And():
            return all(is_true(part, state, binding) for part in formula.parts)
        case Or():
            return any(is_true(part, state, binding) for part in formula.parts)
        case Exists() | Forall():
            choices = product(*(of_type(kind) for kind in formula.variables.values()))
            inner = (binding | dict(zip(formula.variables, choice, strict=True)) for choice in choices)
            answers = (is_true(formula.part, state, bound) for bound in inner)
            return any(answers) if isinstance(formula, Exists) else all(answers)


def of_type(kind):
    return [name for name, own in OBJECTS.items() if DOMAIN.descends(own, kind)]


def draw_formula(rng, names, depth):
    kind = rng.choice(["atom", "atom", "equal", "not", "and", "or", "exists", "forall"]) if depth else "atom"
    arguments = [*names, "a"]
    if kind == "atom":
        predicate = rng.choice("pqr")
        return Atom(predicate, tuple(rng.choice(arguments) for _ in range(DOMAIN.arity[predicate])))
    if kind == "equal":
        return Atom("=", (rng.choice(arguments), rng.choice(arguments)))
    if kind == "not":
        return Not(draw_formula(rng, names, depth - 1))
    if kind in ("and", "or"):
        parts = tuple(draw_formula(rng, names, depth - 1) for _ in range(rng.randint(1, 3)))
        return And(parts) if kind == "and" else Or(parts)
    variables = {rng.choice(["?u", "?x"]): rng.choice(["thing", "box", "object"])}
    quantifier = Exists if kind == "exists" else Forall
    return quantifier(variables, draw_formula(rng, [*dict.fromkeys([*names, *variables])], depth - 1))


def draw_state(rng):
    rows = {name: list(product(OBJECTS, repeat=arity)) for name, arity in DOMAIN.arity.items()}
    return {name: Relation(rng.sample(found, rng.randint(0, len(found) // 2))) for name, found in rows.items()}


@pytest.mark.parametrize("seed", range(300))
def test_plans_answer_as_the_formula_reads(seed):
    rng = Random(seed)
    formula, start = draw_formula(rng, list(VARIABLES), 3), draw_state(rng)
    given = rng.sample(list(VARIABLES), rng.randint(0, 2))
    wanted = [name for name in VARIABLES if name not in given]
    changing = frozenset(rng.sample(list(DOMAIN.arity), rng.randint(0, 3)))
    query = Query(World(DOMAIN, OBJECTS, start, changing), formula, VARIABLES, given)
    later = {name: relation if name not in changing else draw_state(rng)[name] for name, relation in start.items()}
    for state in (start, later):
        values = tuple(rng.choice(of_type(VARIABLES[name])) for name in given)
        bound = dict(zip(given, values, strict=True))
        expected = {
            choice
            for choice in product(*(of_type(VARIABLES[name]) for name in wanted))
            if is_true(formula, state, bound | dict(zip(wanted, choice, strict=True)))
        }
        rows = query.rows(state, values)
        assert len(rows) == len(set(rows))
        assert set(rows) == expected
        assert query.holds(state, values) == bool(expected)


def test_relation_keeps_its_indexes():
    relation = Relation([("a", "x"), ("b", "x")])
    assert set(relation.index(1)["x"]) == {("a", "x"), ("b", "x")}
    relation.add(("c", "y"))
    relation.discard(("a", "x"))
    assert {key: set(rows) for key, rows in relation.index(1).items()} == {"x": {("b", "x")}, "y": {("c", "y")}}
    copy = relation.copy()
    copy.discard(("b", "x"))
    assert ("b", "x") in relation
