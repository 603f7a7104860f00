"""Answers formulas over a state: a formula becomes a few plans, each a short list of joins and tests over rows.

A plan is made once for a game and run at every step. A row is the tuple of values that are known so far; a join adds
the values of the facts that fit, a test drops rows. Joins with few expected answers come first, by the sizes of
the relations when the game starts. Nothing here knows what the predicates mean.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import count, product
from operator import itemgetter

from leap_core.envs.alfworld.engine.facts import Row, State
from leap_core.envs.alfworld.engine.pddl import (
    EQUALS,
    ROOT_TYPE,
    And,
    Atom,
    Domain,
    Exists,
    Forall,
    Formula,
    Not,
    Or,
    atoms_of,
    variables_of,
)

Step = Callable[[State, list[Row]], list[Row]]
Test = Callable[[State, Row], bool]
Pick = Callable[[Row], Row]


@dataclass(frozen=True, slots=True)
class World:
    """What the planner knows of a game: its objects by type and the facts at the start."""

    domain: Domain
    objects: Mapping[str, str]
    start: State
    changing: frozenset[str]
    members: dict[str, frozenset[str]] = field(default_factory=dict)

    def members_of(self, kind: str) -> frozenset[str]:
        """The objects of a type."""
        if kind not in self.members:
            descends = self.domain.descends
            self.members[kind] = frozenset(name for name, own in self.objects.items() if descends(own, kind))
        return self.members[kind]


@dataclass(frozen=True, slots=True)
class Conjunction:
    """Atoms to join and conditions to test, over typed variables. One alternative of a formula."""

    atoms: tuple[Atom, ...] = ()
    tests: tuple[Formula, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    def joined(self, other: "Conjunction") -> "Conjunction":
        """Both at once."""
        return Conjunction(self.atoms + other.atoms, self.tests + other.tests, {**self.variables, **other.variables})

    def binds(self, formula: Formula) -> bool:
        """Whether the atoms give a value to every variable of `formula`."""
        bound = {arg for atom in self.atoms for arg in atom.args}
        return variables_of(formula) <= bound


class Query:
    """A formula made ready for one game. `given` are the variables whose values are passed in, in order."""

    def __init__(self, world: World, formula: Formula, variables: Mapping[str, str], given: Sequence[str]) -> None:
        wanted = [name for name in variables if name not in given]
        alternatives = _alternatives(formula, count())
        self._plans = [_plan(world, alternative, variables, given, wanted) for alternative in alternatives]

    def rows(self, state: State, values: Row = ()) -> list[Row]:
        """The values of the variables that were not given, in their order; no order among rows, none twice."""
        if len(self._plans) == 1:
            return self._plans[0].rows(state, values)
        return list({row: None for plan in self._plans for row in plan.rows(state, values)})

    def holds(self, state: State, values: Row = ()) -> bool:
        """Whether there is any answer."""
        return any(plan.rows(state, values) for plan in self._plans)


class _Plan:
    """Steps that start from the given values and constants; `outputs` picks the wanted values from a final row."""

    def __init__(self, constants: Row, steps: Sequence[Step], outputs: Sequence[int], is_set: bool) -> None:
        self._constants = constants
        self._steps = tuple(steps)
        self._output = picker(outputs)
        self._is_set = is_set

    def rows(self, state: State, values: Row) -> list[Row]:
        rows = [values + self._constants]
        for step in self._steps:
            rows = step(state, rows)
            if not rows:
                return rows
        found = map(self._output, rows)
        return list(found if self._is_set else dict.fromkeys(found))


def _alternatives(formula: Formula, fresh: "count[int]") -> list[Conjunction]:
    """The formula as alternatives; a choice whose variables are bound anyway stays a test."""
    match formula:
        case Atom() if formula.predicate != EQUALS:
            return [Conjunction(atoms=(formula,))]
        case Or():
            return [choice for part in formula.parts for choice in _alternatives(part, fresh)]
        case Exists():
            return _existential(formula, fresh)
        case And():
            return _conjunction(formula, fresh)
        case Not(part=Not(part=inner)):
            return _alternatives(inner, fresh)
        case Not(part=And(parts=parts)):
            return _alternatives(Or(tuple(Not(part) for part in parts)), fresh)
        case Not(part=Or(parts=parts)):
            return _alternatives(And(tuple(Not(part) for part in parts)), fresh)
        case Not(part=Forall(variables=variables, part=inner)):
            return _alternatives(Exists(variables, Not(inner)), fresh)
    return [Conjunction(tests=(formula,))]


def _existential(formula: Exists, fresh: "count[int]") -> list[Conjunction]:
    """Lift the quantified variables into the conjunction under names of their own."""
    names = {name: f"{name}#{next(fresh)}" for name in formula.variables}
    typed = Conjunction(variables={names[name]: kind for name, kind in formula.variables.items()})
    return [typed.joined(choice) for choice in _alternatives(_renamed(formula.part, names), fresh)]


def _conjunction(formula: And, fresh: "count[int]") -> list[Conjunction]:
    plain = [_alternatives(part, fresh) for part in formula.parts if not isinstance(part, Or)]
    found = [reduce(Conjunction.joined, choice, Conjunction()) for choice in product(*plain)]
    for part in formula.parts:
        if isinstance(part, Or):
            choices = _alternatives(part, fresh)
            found = [
                joined
                for conjunction in found
                for joined in (
                    [conjunction.joined(Conjunction(tests=(part,)))]
                    if len(choices) > 1 and conjunction.binds(part)
                    else [conjunction.joined(choice) for choice in choices]
                )
            ]
    return found


def _renamed(formula: Formula, names: Mapping[str, str]) -> Formula:
    match formula:
        case Atom():
            return Atom(formula.predicate, tuple(names.get(arg, arg) for arg in formula.args))
        case Not():
            return Not(_renamed(formula.part, names))
        case And():
            return And(tuple(_renamed(part, names) for part in formula.parts))
        case Or():
            return Or(tuple(_renamed(part, names) for part in formula.parts))
        case Exists() | Forall():
            inner = {name: other for name, other in names.items() if name not in formula.variables}
            return type(formula)(formula.variables, _renamed(formula.part, inner))


def _plan(
    world: World, conjunction: Conjunction, variables: Mapping[str, str], given: Sequence[str], wanted: Sequence[str]
) -> _Plan:
    """Order the joins and put each test and type check as early as its variables are known."""
    mentioned = atoms_of(And((*conjunction.atoms, *conjunction.tests)))
    constants = tuple(sorted({arg for atom in mentioned for arg in atom.args if arg[0] != "?"}))
    builder = _Builder(world, {**variables, **conjunction.variables}, (*given, *constants), conjunction.tests)
    for name in given:
        builder.check_type(name)
    atoms = list(conjunction.atoms)
    while atoms:
        atom = min(atoms, key=builder.cost)
        atoms.remove(atom)
        builder.join(atom)
    for name in (*wanted, *conjunction.variables):
        builder.enumerate(name)
    outputs = [builder.slots[name] for name in wanted]
    return _Plan(
        constants, builder.steps, outputs, is_set=len(builder.slots) == len(given) + len(constants) + len(wanted)
    )


class _Builder:
    """Collects the steps of one plan. `slots` says where in a row the value of a name stands.

    Each test becomes a step as soon as its variables are known.
    """

    def __init__(self, world: World, types: Mapping[str, str], known: Sequence[str], tests: Sequence[Formula]) -> None:
        self.slots = {name: slot for slot, name in enumerate(known)}
        self.steps: list[Step] = []
        self._world = world
        self._types = types
        self._waiting = list(tests)
        self._flush()

    def cost(self, atom: Atom) -> float:
        """How many facts are expected to fit one row."""
        rows = self._world.start[atom.predicate].rows
        known = [position for position, arg in enumerate(atom.args) if arg in self.slots]
        if len(known) == len(atom.args):
            return -1.0
        spread = [len({row[position] for row in rows}) for position in known]
        return len(rows) / max([1, *spread])

    def join(self, atom: Atom) -> None:
        """Add the facts of a predicate."""
        new = [name for name in dict.fromkeys(atom.args) if name not in self.slots]
        self.steps.append(_join(atom, self.slots, new))
        for name in new:
            self.slots[name] = len(self.slots)
            if not self._is_typed_by(atom, name):
                self.check_type(name)
        self._flush()

    def check_type(self, name: str) -> None:
        """Drop rows where the value is not of the variable's type."""
        kind = self._types[name]
        if kind != ROOT_TYPE:
            slot, members = self.slots[name], self._world.members_of(kind)
            self.steps.append(lambda state, rows: [row for row in rows if row[slot] in members])

    def enumerate(self, name: str) -> None:
        """Let a variable that no atom binds run over all objects of its type."""
        if name not in self.slots:
            members = sorted(self._world.members_of(self._types[name]))
            self.slots[name] = len(self.slots)
            self.steps.append(lambda state, rows: [(*row, member) for row in rows for member in members])
            self._flush()

    def test(self, formula: Formula) -> Test:
        """Compile a condition all of whose variables are known."""
        match formula:
            case Atom(predicate="=", args=(left, right)):
                first, second = self.slots[left], self.slots[right]
                return lambda state, row: row[first] == row[second]
            case Atom():
                predicate, fact = formula.predicate, picker([self.slots[arg] for arg in formula.args])
                return lambda state, row: fact(row) in state[predicate].rows
            case Not():
                inner = self.test(formula.part)
                return lambda state, row: not inner(state, row)
            case And():
                parts = [self.test(part) for part in formula.parts]
                return lambda state, row: all(part(state, row) for part in parts)
            case Or():
                parts = [self.test(part) for part in formula.parts]
                return lambda state, row: any(part(state, row) for part in parts)
            case Exists():
                return self._subquery(formula)
            case Forall():
                return self.test(Not(Exists(formula.variables, Not(formula.part))))

    def _flush(self) -> None:
        ready = [formula for formula in self._waiting if variables_of(formula) <= self.slots.keys()]
        self._waiting = [formula for formula in self._waiting if formula not in ready]
        for formula in ready:
            test = self.test(formula)
            self.steps.append(lambda state, rows, test=test: [row for row in rows if test(state, row)])  # type: ignore[misc]

    def _subquery(self, formula: Exists) -> Test:
        known = sorted(variables_of(formula))
        types = {**{name: self._types[name] for name in known}, **formula.variables}
        query = Query(self._world, formula.part, types, known)
        values = picker([self.slots[name] for name in known])
        return lambda state, row: query.holds(state, values(row))

    def _is_typed_by(self, atom: Atom, name: str) -> bool:
        """Whether all facts of a predicate that never changes have the variable's type at that place anyway."""
        if atom.predicate in self._world.changing:
            return False
        members, position = self._world.members_of(self._types[name]), atom.args.index(name)
        return all(row[position] in members for row in self._world.start[atom.predicate].rows)


def _join(atom: Atom, slots: Mapping[str, int], new: Sequence[str]) -> Step:
    """The step that extends each row by the facts of `atom` that agree with it."""
    predicate, args = atom.predicate, atom.args
    if not new:
        fact_of = picker([slots[arg] for arg in args])
        return lambda state, rows: [row for row in rows if fact_of(row) in state[predicate].rows]
    known = [(position, slots[arg]) for position, arg in enumerate(args) if arg in slots]
    repeated = [(position, args.index(arg)) for position, arg in enumerate(args) if args.index(arg) != position]
    pick = picker([args.index(name) for name in new])
    if not known and not repeated:
        return lambda state, rows: [row + pick(fact) for row in rows for fact in state[predicate].rows]
    if len(known) == 1 and not repeated:
        return _keyed_join(predicate, *known[0], pick)
    checks = known[1:]

    def step(state: State, rows: list[Row]) -> list[Row]:
        relation = state[predicate]
        return [
            row + pick(fact)
            for row in rows
            for fact in (relation.index(known[0][0]).get(row[known[0][1]], ()) if known else relation.rows)
            if all(fact[i] == row[slot] for i, slot in checks) and all(fact[i] == fact[j] for i, j in repeated)
        ]

    return step


def _keyed_join(predicate: str, position: int, slot: int, pick: Pick) -> Step:
    """A join on one known argument: the usual case, kept short because it runs at every step."""

    def step(state: State, rows: list[Row]) -> list[Row]:
        index = state[predicate].index(position)
        return [row + pick(fact) for row in rows for fact in index.get(row[slot], ())]

    return step


def picker(positions: Sequence[int]) -> Pick:
    """A function that takes these positions out of a row, as a row."""
    if not positions:
        return lambda row: ()
    if len(positions) == 1:
        return itemgetter(slice(positions[0], positions[0] + 1))  # of a tuple: a tuple of one
    return itemgetter(*positions)
