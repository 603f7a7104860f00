"""Expands a game's grammar over its state: what the game says, how its commands are worded, what it calls things."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from leap_core.envs.alfworld.engine.facts import Row, State
from leap_core.envs.alfworld.engine.grammar import (
    Conditions,
    Each,
    Entity,
    Grammar,
    GrammarError,
    Part,
    Placeholder,
    Symbol,
    Text,
)
from leap_core.envs.alfworld.engine.pddl import And, Atom
from leap_core.envs.alfworld.engine.queries import Query, World

NEGATED = "not_"
"""Prefix by which a grammar asks for facts that an action made false."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is bound while a text is expanded: object ids by placeholder, and the same things by plain name."""

    ids: Mapping[Placeholder, str]
    entities: Mapping[str, Entity]

    def extended(self, placeholders: Sequence[Placeholder], row: Row, entities: Mapping[str, Entity]) -> "Scope":
        """A copy with more placeholders bound."""
        new = dict(zip(placeholders, row, strict=True))
        named = {placeholder.name: entities[value] for placeholder, value in new.items()}
        return Scope({**self.ids, **new}, {**self.entities, **named})


NOTHING_BOUND = Scope({}, {})


class Narrator:
    """The voice of one game. `relations` names the relation to look a predicate up in, where it is not its own."""

    def __init__(
        self, grammar: Grammar, world: World, entities: Mapping[str, Entity], relations: Mapping[str, str]
    ) -> None:
        self._grammar = grammar
        self._relations = relations
        self._world = world
        self._entities = entities
        self._queries: dict[tuple[Conditions, tuple[Placeholder, ...]], _GrammarQuery] = {}

    def scope(self, parameters: Mapping[str, str], row: Row) -> Scope:
        """The bindings of an action: its parameters (`?x` -> type) and their values, in order."""
        placeholders = [Placeholder(name[1:], kind) for name, kind in parameters.items()]
        return NOTHING_BOUND.extended(placeholders, row, self._entities)

    def tell(self, parts: Sequence[Part], state: State, scope: Scope = NOTHING_BOUND) -> str:
        """Expand a text.

        Raises:
            GrammarError: no alternative of a rule applies, or a name is not bound.
        """
        return "".join([self._tell_part(part, state, scope) for part in parts])

    def _tell_part(self, part: Part, state: State, scope: Scope) -> str:
        if isinstance(part, Text):
            return part.text
        if isinstance(part, Symbol):
            return self._tell_rule(part.rule, state, scope)
        if isinstance(part, Each):
            return self._tell_each(part, state, scope)
        return str(part.evaluate(scope.entities))

    def _tell_rule(self, rule: str, state: State, scope: Scope) -> str:
        for alternative in self._grammar.rule(rule):
            if not alternative.condition or self._answers(alternative.condition, state, scope):
                return self.tell(alternative.parts, state, scope)
        raise GrammarError(f"no alternative of rule {rule!r} applies, with {scope.entities}")

    def _tell_each(self, part: Each, state: State, scope: Scope) -> str:
        scopes = self._answers(part.query, state, scope) if part.query else [scope]
        items = [self._tell_part(part.item, state, inner) for inner in scopes]
        if not part.is_list:
            return "".join(items)
        if not items:
            return self._tell_rule("list_empty", state, scope)
        if len(items) == 1:
            return items[0]
        separator = self._tell_rule("list_separator", state, scope)
        return separator.join(items[:-1]) + self._tell_rule("list_last_separator", state, scope) + items[-1]

    def _answers(self, conditions: Conditions, state: State, scope: Scope) -> list[Scope]:
        """One scope for each way to bind the new placeholders, in the order of the facts that match."""
        key = (conditions, tuple(scope.ids))
        query = self._queries.get(key)
        if query is None:
            query = self._queries[key] = _GrammarQuery(self._world, conditions, scope, self._relations)
        if not query.new:
            return [scope] if query.holds(state, scope) else []
        return [scope.extended(query.new, row, self._entities) for row in query.rows(state, scope)]


class _GrammarQuery:
    """A query of the grammar under given bindings. Different placeholders stand for different things."""

    def __init__(self, world: World, conditions: Conditions, scope: Scope, relations: Mapping[str, str]) -> None:
        mentioned = dict.fromkeys(placeholder for condition in conditions for placeholder in condition.args)
        self._given = [placeholder for placeholder in mentioned if placeholder in scope.ids]
        self.new = [placeholder for placeholder in mentioned if placeholder not in scope.ids]
        atoms = tuple(
            Atom(relations.get(condition.predicate, condition.predicate), tuple(map(_variable, condition.args)))
            for condition in conditions
        )
        types = {_variable(placeholder): placeholder.type for placeholder in mentioned}
        self._query = Query(world, And(atoms), types, [_variable(placeholder) for placeholder in self._given])
        self._order = [self.new.index(arg) for condition in conditions for arg in condition.args if arg in self.new]

    def holds(self, state: State, scope: Scope) -> bool:
        """Whether the query is true of what is bound."""
        return self._query.holds(state, self._values(scope))

    def rows(self, state: State, scope: Scope) -> list[Row]:
        """Values of the new placeholders, sorted as the facts that they come from."""
        used = set(scope.ids.values())
        found = self._query.rows(state, self._values(scope))
        distinct = [row for row in found if len(set(row)) == len(row) and used.isdisjoint(row)]
        return sorted(distinct, key=lambda row: [row[position] for position in self._order])

    def _values(self, scope: Scope) -> Row:
        return tuple([scope.ids[placeholder] for placeholder in self._given])


def _variable(placeholder: Placeholder) -> str:
    return f"?{placeholder.name}:{placeholder.type}"


def number_names(ids: Iterable[str]) -> dict[str, str]:
    """The name of each object: its kind and a number, "cabinet 2".

    Ids begin with the kind (`cabinet_bar_...`; a basin's with the fixture: `sink_bar_..._bar_sinkbasin`). Within a
    kind, the first id in alphabetical order has the highest number, as in ALFWorld. An id of another form is its own
    name.
    """
    kinds = {id: _kind(id) for id in sorted(ids)}
    left = Counter(kinds.values())
    names = {}
    for id, kind in kinds.items():
        names[id] = f"{kind} {left[kind]}" if "_bar_" in id else f"{_unescaped(id)} "
        left[kind] -= 1
    return names


def _kind(id: str) -> str:
    head, bar, _ = id.partition("_bar_")
    return head + ("basin" if bar and "basin" in id else "") if bar else id


def _unescaped(id: str) -> str:
    for escape, character in (("_minus_", "-"), ("_plus_", "+"), ("_dot_", "."), ("_comma_", ",")):
        id = id.replace(escape, character)
    return id
