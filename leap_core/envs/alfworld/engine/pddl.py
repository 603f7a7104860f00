"""Reads the PDDL of a game: the domain (types, predicates, actions) and the problem (objects, first facts, goal).

Names are case-insensitive and kept in lower case. Costs and distances are read over: they matter to a planner, not
to play. What this module does not know raises PddlError; nothing is guessed.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

Expression = str | list["Expression"]
ROOT_TYPE = "object"
"""The type that every other type descends from."""
EQUALS = "="


class PddlError(ValueError):
    """The text is not PDDL, or uses a part of it that the engine does not play."""


class PddlSyntaxError(PddlError):
    """The parentheses do not match: the text is cut off or damaged."""


@dataclass(frozen=True, slots=True)
class Atom:
    """A predicate over variables (`?x`) and constants."""

    predicate: str
    args: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Negation."""

    part: "Formula"


@dataclass(frozen=True, slots=True)
class And:
    """Conjunction; of nothing: true."""

    parts: tuple["Formula", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Disjunction; of nothing: false."""

    parts: tuple["Formula", ...]


@dataclass(frozen=True, slots=True)
class Exists:
    """True where some objects of the variables' types make `part` true."""

    variables: Mapping[str, str]
    part: "Formula"


@dataclass(frozen=True, slots=True)
class Forall:
    """True where all objects of the variables' types make `part` true."""

    variables: Mapping[str, str]
    part: "Formula"


Formula = Atom | Not | And | Or | Exists | Forall


@dataclass(frozen=True, slots=True)
class Effect:
    """A fact that an action makes true or false, where `condition` held before it."""

    atom: Atom
    adds: bool
    condition: Formula | None = None


@dataclass(frozen=True, slots=True)
class ActionSchema:
    """An action with its parameters (variable -> type), in order."""

    name: str
    parameters: Mapping[str, str]
    precondition: Formula
    effects: tuple[Effect, ...]


@dataclass(frozen=True, slots=True)
class Domain:
    """What can happen in a game. `parents` maps each type to the one above it; `arity` counts arguments."""

    parents: Mapping[str, str]
    constants: Mapping[str, str]
    arity: Mapping[str, int]
    actions: tuple[ActionSchema, ...]

    @property
    def types(self) -> set[str]:
        """All types, those without a parent too."""
        return {*self.parents, *self.parents.values(), ROOT_TYPE}

    def descends(self, kind: str, ancestor: str) -> bool:
        """Whether `kind` is `ancestor` or below it."""
        for _ in range(len(self.parents) + 1):  # no chain is longer, unless the types go round in a circle
            if kind in (ancestor, ROOT_TYPE):
                break
            kind = self.parents.get(kind, ROOT_TYPE)
        return kind == ancestor


@dataclass(frozen=True, slots=True)
class Problem:
    """What one game starts from. `objects` (name -> type) includes the domain's constants."""

    objects: Mapping[str, str]
    init: tuple[Atom, ...]
    goal: Formula


@lru_cache(maxsize=16)
def parse_domain(text: str) -> Domain:
    """Read a PDDL domain. The last few are kept: the games of a data set share one.

    Raises:
        PddlError: not a domain, or a section, type, predicate or construct that the engine does not play.
    """
    known = {":requirements", ":types", ":predicates", ":functions", ":constants", ":action"}
    sections = _sections(text, "domain", known)
    parents = dict(_typed(_one(sections, ":types")))
    arity = {_name(entry): len(dict(_typed(_tail(entry)))) for entry in _one(sections, ":predicates")}
    reader = _Reader(Domain(parents, {}, arity, ()))
    actions = tuple(reader.action(section) for section in sections if _name(section) == ":action")
    return Domain(parents, reader.declarations(_one(sections, ":constants")), arity, actions)


def parse_problem(text: str, domain: Domain) -> Problem:
    """Read a PDDL problem of `domain`.

    Raises:
        PddlError: not a problem, or it names a type, predicate or object that was not declared.
    """
    sections = _sections(text, "problem", {":domain", ":requirements", ":objects", ":init", ":goal", ":metric"})
    reader = _Reader(domain)
    objects = {**domain.constants, **reader.declarations(_one(sections, ":objects"))}
    init = tuple(reader.fact(entry, objects) for entry in _one(sections, ":init") if _name(entry) != EQUALS)
    goal = _one(sections, ":goal")
    if len(goal) != 1:
        raise PddlError(f"expected one :goal formula, found {len(goal)}")
    _check_constants(domain, objects)
    return Problem(objects, init, reader.formula(goal[0]))


def variables_of(formula: Formula) -> set[str]:
    """The variables that are free in `formula`."""
    match formula:
        case Atom():
            return {arg for arg in formula.args if arg.startswith("?")}
        case Not():
            return variables_of(formula.part)
        case And() | Or():
            return {name for part in formula.parts for name in variables_of(part)}
        case Exists() | Forall():
            return variables_of(formula.part) - set(formula.variables)


def atoms_of(formula: Formula) -> Iterator[Atom]:
    """Every atom in `formula`, at any depth."""
    match formula:
        case Atom():
            yield formula
        case And() | Or():
            for part in formula.parts:
                yield from atoms_of(part)
        case Not() | Exists() | Forall():
            yield from atoms_of(formula.part)


class _Reader:
    """Turns nested lists into records, checking names against what the domain declares."""

    def __init__(self, domain: Domain) -> None:
        self._arity = {**domain.arity, EQUALS: 2}
        self._types = domain.types

    def declarations(self, entries: list[Expression], ignored: str = "") -> dict[str, str]:
        """Read `a b - type c - type` and check the types, whose ending `ignored` does not count."""
        declared = dict(_typed(entries))
        for name, kind in declared.items():
            if (kind := kind.removesuffix(ignored)) not in self._types:
                raise PddlError(f"{name!r} is of type {kind!r}, which the domain does not declare")
        return declared

    def variables(self, entries: Expression) -> dict[str, str]:
        """Read the variables of an action or quantifier.

        A comma after a type belongs to its name, as in the planner that ALFWorld uses: `?l - location, ?r - x` asks
        for a type of which nothing exists. ALFWorld's own domain has one; its games play accordingly.
        """
        return self.declarations(_items(entries), ignored=",")

    def formula(self, expression: Expression) -> Formula:
        """Read a condition."""
        items = _items(expression)
        if not items:
            return And(())
        head = _name(expression)
        match head:
            case "and" | "or":
                parts = tuple(self.formula(part) for part in items[1:])
                return And(parts) if head == "and" else Or(parts)
            case "not":
                return Not(self.formula(_only(items[1:], "not")))
            case "exists" | "forall":
                quantifier = Exists if head == "exists" else Forall
                return quantifier(self.variables(items[1]), self.formula(_only(items[2:], head)))
            case "imply":
                raise PddlError("a condition uses 'imply', which the engine does not play")
        return self.atom(expression)

    def atom(self, expression: Expression) -> Atom:
        """Read a predicate with its arguments."""
        name, args = _name(expression), tuple(_word(arg) for arg in _tail(expression))
        if name not in self._arity:
            raise PddlError(f"predicate {name!r} is not declared in the domain")
        if len(args) != self._arity[name]:
            raise PddlError(f"predicate {name!r} takes {self._arity[name]} arguments, not {len(args)}: {args}")
        return Atom(name, args)

    def fact(self, expression: Expression, objects: Mapping[str, str]) -> Atom:
        """Read an atom over declared objects."""
        atom = self.atom(expression)
        for arg in atom.args:
            if arg not in objects:
                raise PddlError(
                    f"the fact ({atom.predicate} {' '.join(atom.args)}) names {arg!r}, which is not declared"
                )
        return atom

    def action(self, section: Expression) -> ActionSchema:
        """Read an `:action` section."""
        items = _items(section)
        name = _word(items[1])
        parts = {_word(key): value for key, value in zip(items[2::2], items[3::2], strict=False)}
        if extra := sorted(set(parts) - {":parameters", ":precondition", ":effect"}):
            raise PddlError(f"action {name!r} has a part {extra[0]!r}, which the engine does not play")
        parameters = self.variables(parts.get(":parameters", []))
        precondition = self.formula(parts.get(":precondition", []))
        effects = tuple(self.effects(parts.get(":effect", []), None))
        for formula in (precondition, *(effect.atom for effect in effects)):
            if free := sorted(variables_of(formula) - parameters.keys()):
                raise PddlError(f"action {name!r} speaks of {free[0]!r}, which is not one of its parameters")
        return ActionSchema(name, parameters, precondition, effects)

    def effects(self, expression: Expression, condition: Formula | None) -> Iterator[Effect]:
        """Read an effect: `and`, `not`, `when` and plain facts; costs are read over."""
        items = _items(expression)
        if not items:
            return
        head = _name(expression)
        if head == "and":
            for part in items[1:]:
                yield from self.effects(part, condition)
        elif head == "when" and condition is None and len(items) == 3:
            yield from self._conditional(items[2], self.formula(items[1]))
        elif head == "not":
            yield Effect(self.atom(_only(items[1:], head)), adds=False, condition=condition)
        elif head in ("forall", "when", "assign", "decrease", "scale-up", "scale-down"):
            raise PddlError(f"an effect uses {head!r} in a way that the engine does not play")
        elif head != "increase":
            yield Effect(self.atom(expression), adds=True, condition=condition)

    def _conditional(self, expression: Expression, condition: Formula) -> Iterator[Effect]:
        """Read an effect with a condition, which must be about the very fact that it changes, as a switch has it.

        What ALFWorld tells of other conditional effects depends on whether its planner thinks that they can happen.
        """
        asked = condition.part if isinstance(condition, Not) else condition
        for effect in self.effects(expression, condition):
            if effect.atom != asked:
                raise PddlError(
                    f"an effect on {effect.atom.predicate!r} depends on another fact, which the engine does not play"
                )
            yield effect


def _check_constants(domain: Domain, objects: Mapping[str, str]) -> None:
    """Raise where an action speaks of an object that the problem does not declare."""
    for action in domain.actions:
        for formula in (action.precondition, *(effect.atom for effect in action.effects)):
            for name in (arg for atom in atoms_of(formula) for arg in atom.args):
                if not name.startswith("?") and name not in objects:
                    raise PddlError(f"action {action.name!r} speaks of {name!r}, which the problem does not declare")


def _sections(text: str, what: str, known: set[str]) -> list[Expression]:
    """The parts of `(define (what name) part ...)`, all of which must be known."""
    items = _items(_parse(text))
    if len(items) < 2 or items[0] != "define" or _name(items[1]) != what:
        raise PddlError(f"expected (define ({what} ...) ...)")
    if unknown := sorted({_name(section) for section in items[2:]} - known):
        raise PddlError(f"the {what} has a section {unknown[0]!r}; the engine plays {', '.join(sorted(known))}")
    return items[2:]


def _parse(text: str) -> Expression:
    """Read the one parenthesised expression in `text`."""
    tokens = re.findall(r"[()]|[^\s()]+", re.sub(r";[^\n]*", "", text).lower())
    stack: list[list[Expression]] = [[]]
    for token in tokens:
        if token == "(":
            stack.append([])
        elif token == ")":
            if len(stack) == 1:
                raise PddlSyntaxError("one ')' too many")
            stack[-2].append(stack.pop())
        else:
            stack[-1].append(token)
    if len(stack) != 1 or len(stack[0]) != 1:
        raise PddlSyntaxError("the parentheses do not match")
    return stack[0][0]


def _typed(entries: list[Expression]) -> Iterator[tuple[str, str]]:
    """Pairs of name and type from `a b - type c`; names without one are of the root type."""
    waiting: list[str] = []
    words = iter([_word(entry) for entry in entries])
    for word in words:
        if word == "-":
            kind = next(words, ROOT_TYPE)
            yield from ((name, kind) for name in waiting)
            waiting = []
        else:
            waiting.append(word)
    yield from ((name, ROOT_TYPE) for name in waiting)


def _one(sections: list[Expression], name: str) -> list[Expression]:
    """The contents of the only section called `name`; empty where there is none."""
    found = [_tail(section) for section in sections if _name(section) == name]
    if len(found) > 1:
        raise PddlError(f"section {name!r} occurs {len(found)} times")
    return found[0] if found else []


def _items(expression: Expression) -> list[Expression]:
    if isinstance(expression, str):
        raise PddlError(f"expected a list in parentheses, found {expression!r}")
    return expression


def _tail(expression: Expression) -> list[Expression]:
    return _items(expression)[1:]


def _name(expression: Expression) -> str:
    items = _items(expression)
    if not items:
        raise PddlError("found an empty list where a name was expected")
    return _word(items[0])


def _word(expression: Expression) -> str:
    if not isinstance(expression, str):
        raise PddlError(f"expected a name, found the list {expression}")
    return expression


def _only(expressions: list[Expression], head: str) -> Expression:
    if len(expressions) != 1:
        raise PddlError(f"{head!r} takes one formula, not {len(expressions)}")
    return expressions[0]
