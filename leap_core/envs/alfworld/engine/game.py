"""A compiled game, and one live episode of it: the heart of the native engine.

Behaviour is ALFWorld's own, as its game files state it: the rules come from the PDDL, the words from the grammar, the
numbers in names from the order of the object ids. An action that its own precondition makes pointless (going where one
is) is not offered, and commands are offered in alphabetical order.

ALFWorld keeps two states of a predicate that has conditional effects (its own domain has one, `isOn`): its rules apply
the effects whose conditions hold, but its *texts* read as if all conditions held. Here, the second state is a relation
of its own, named by `told`.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from leap_core.envs.alfworld.engine.facts import Relation, Row, State
from leap_core.envs.alfworld.engine.grammar import ActionText, Condition, Each, Entity, Grammar, GrammarError, Symbol
from leap_core.envs.alfworld.engine.narration import NEGATED, Narrator, number_names
from leap_core.envs.alfworld.engine.pddl import ActionSchema, And, Atom, Domain, Effect, Formula, Not, Problem
from leap_core.envs.alfworld.engine.queries import Query, World

NOTHING_HAPPENS = "Nothing happens."


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What an engine gives back. `valid` is False where the command was not among the admissible ones."""

    text: str
    admissible: tuple[str, ...]
    won: bool
    valid: bool = True


class Game:
    """A parsed game, shared by all its episodes: names, compiled rules, and the facts at the start."""

    def __init__(self, domain: Domain, problem: Problem, grammar: Grammar) -> None:
        """Compile the rules.

        Raises:
            GrammarError: the grammar does not fit the domain.
        """
        conditions = grammar.conditions(action.name for action in domain.actions)
        _check_conditions(conditions, domain)
        self.names = number_names({arg for fact in problem.init for arg in fact.args})
        changing = {effect.atom.predicate for action in domain.actions for effect in action.effects}
        asked = {condition.predicate for condition in conditions}
        self.watched = frozenset(name for name in changing if NEGATED + name in asked)
        self.doubted = frozenset(
            effect.atom.predicate
            for action in domain.actions
            for effect in action.effects
            if effect.condition is not None
        )
        self.changing = frozenset({*changing, *(NEGATED + name for name in self.watched), *map(told, self.doubted)})
        self.start = _first_state(domain, problem, conditions, self.doubted)
        world = World(domain, problem.objects, self.start, self.changing)
        entities = {
            name: Entity(id=name, type=kind, name=self.names.get(name, name)) for name, kind in problem.objects.items()
        }
        self.narrator = Narrator(grammar, world, entities, {name: told(name) for name in self.doubted})
        self.rules = [
            Rule(action, grammar.wording(action.name), world, self.narrator, self.doubted) for action in domain.actions
        ]
        self.goal = Query(world, problem.goal, {}, ())
        self.intro = self.narrator.tell((Symbol("intro"),), self.start)

    def new_state(self) -> State:
        """The facts at the start, to be changed by one episode; what never changes is shared."""
        return {name: relation.copy() if name in self.changing else relation for name, relation in self.start.items()}

    def told_facts(self, state: State) -> Iterator[tuple[str, Row]]:
        """What ALFWorld says is true: predicates with the ids that they hold of."""
        kept_apart = {told(name) for name in self.doubted}
        for predicate, relation in state.items():
            if not predicate.startswith(NEGATED) and predicate not in kept_apart:
                shown = state[told(predicate)] if predicate in self.doubted else relation
                yield from ((predicate, row) for row in shown.rows)


class Rule:
    """One kind of action, compiled for one game. `doubted` are the predicates of which two states are kept."""

    def __init__(
        self, schema: ActionSchema, text: ActionText, world: World, narrator: Narrator, doubted: Container[str]
    ) -> None:
        self._schema = schema
        self._text = text
        self._narrator = narrator
        self._query = Query(world, schema.precondition, schema.parameters, ())
        slots = {name: position for position, name in enumerate(schema.parameters)}
        self._effects = [_CompiledEffect(effect, slots, world, schema.parameters) for effect in schema.effects]
        self._doubted = [effect for effect in self._effects if effect.predicate in doubted]
        self._is_pointless = _pointless_check(schema, slots)
        self._is_steady = _is_steady(text, world)
        self._commands: dict[Row, str | None] = {}

    def options(self, state: State) -> list[tuple[str, Row]]:
        """Each command that this rule allows now, with the values of the parameters."""
        if not self._is_steady:
            self._commands.clear()
        known, options = self._commands, []
        for row in self._query.rows(state):
            if row not in known:
                known[row] = self._command(row, state)
            command = known[row]
            if command is not None:
                options.append((command, row))
        return options

    def apply(self, row: Row, state: State, watched: Container[str]) -> None:
        """Change the state: all conditions are judged before, and what is made true wins over what is made false."""
        firing = [effect for effect in self._effects if effect.fires(state, row)]
        for effect in sorted(firing, key=lambda effect: effect.adds):
            fact, predicate = effect.fact(row), effect.predicate
            (state[predicate].add if effect.adds else state[predicate].discard)(fact)
            if predicate in watched and effect not in self._doubted:
                (state[NEGATED + predicate].discard if effect.adds else state[NEGATED + predicate].add)(fact)
        if self._doubted:
            self._tell_of_effects(row, state, watched)

    def _tell_of_effects(self, row: Row, state: State, watched: Container[str]) -> None:
        """Note every effect on what is told, conditions or not: first what becomes true, then what becomes false."""
        certain = {
            (effect.predicate, effect.fact(row)) for effect in self._doubted if effect.adds and effect.is_certain
        }
        for effect in sorted(self._doubted, key=lambda effect: not effect.adds):
            fact, predicate = effect.fact(row), effect.predicate
            if effect.is_certain and not effect.adds and (predicate, fact) in certain:
                continue
            relation = state[told(predicate)]
            (relation.add if effect.adds else relation.discard)(fact)
            if predicate in watched:
                (state[NEGATED + predicate].discard if effect.adds else state[NEGATED + predicate].add)(fact)

    def feedback(self, row: Row, state: State) -> str:
        """What the game says after the action."""
        return self._narrator.tell(self._text.feedback, state, self._narrator.scope(self._schema.parameters, row))

    def _command(self, row: Row, state: State) -> str | None:
        """What the player types for this action; None where it is pointless."""
        if self._is_pointless is not None and self._is_pointless(row):
            return None
        return self._narrator.tell(self._text.template, state, self._narrator.scope(self._schema.parameters, row))


class Episode:
    """One live playthrough of a game."""

    def __init__(self, game: Game) -> None:
        self._game = game
        self.state = game.new_state()
        self._options = self._find_options()

    def first_turn(self) -> Turn:
        """The turn before any command."""
        return self._turn(self._game.intro)

    def act(self, command: str) -> Turn:
        """Execute a command; one that is not admissible changes nothing."""
        option = self._options.get(command.strip())
        if option is None:
            return self._turn(NOTHING_HAPPENS, valid=False)
        rule, row = option
        rule.apply(row, self.state, self._game.watched)
        self._options = self._find_options()
        return self._turn(rule.feedback(row, self.state))

    def _turn(self, text: str, *, valid: bool = True) -> Turn:
        won = self._game.goal.holds(self.state)
        return Turn(text=text, admissible=tuple(self._options), won=won, valid=valid)

    def _find_options(self) -> dict[str, tuple[Rule, Row]]:
        found: dict[str, tuple[Rule, Row]] = {}
        for rule in self._game.rules:
            for command, row in rule.options(self.state):
                if command not in found or (found[command][0] is rule and row < found[command][1]):
                    found[command] = (rule, row)
        return {command: found[command] for command in sorted(found)}


class _CompiledEffect:
    """An effect with its arguments found in the row of an action."""

    def __init__(self, effect: Effect, slots: Mapping[str, int], world: World, parameters: Mapping[str, str]) -> None:
        self.adds = effect.adds
        self.predicate = effect.atom.predicate
        self._args = [(slots.get(arg, -1), arg) for arg in effect.atom.args]
        self._condition = None
        if effect.condition is not None:
            self._condition = Query(world, effect.condition, parameters, tuple(parameters))

    def fact(self, row: Row) -> Row:
        return tuple([row[slot] if slot >= 0 else arg for slot, arg in self._args])

    @property
    def is_certain(self) -> bool:
        return self._condition is None

    def fires(self, state: State, row: Row) -> bool:
        return self._condition is None or self._condition.holds(state, row)


def told(predicate: str) -> str:
    """The name of the relation that holds what ALFWorld tells of a predicate where that may differ from its rules."""
    return f"told {predicate}"


def _first_state(domain: Domain, problem: Problem, conditions: Iterable[Condition], doubted: Iterable[str]) -> State:
    """The facts of the problem, with an empty relation for every predicate that is only asked for."""
    rows: dict[str, set[Row]] = {name: set() for name in domain.arity}
    rows |= {condition.predicate: set() for condition in conditions if condition.predicate not in rows}
    for fact in problem.init:
        rows[fact.predicate].add(fact.args)
    rows |= {told(predicate): rows[predicate] for predicate in doubted}
    return {name: Relation(found) for name, found in rows.items()}


def _check_conditions(conditions: Iterable[Condition], domain: Domain) -> None:
    """Raise where the grammar asks for a type, or for a number of arguments, that the domain does not have."""
    types = domain.types
    for condition in conditions:
        expected = domain.arity.get(condition.predicate.removeprefix(NEGATED))
        if expected is not None and expected != len(condition.args):
            raise GrammarError(
                f"{condition.predicate!r} is asked with {len(condition.args)} arguments; the domain gives it {expected}"
            )
        for placeholder in condition.args:
            if placeholder.type not in types:
                raise GrammarError(f"{placeholder.name!r} has the type {placeholder.type!r}, unknown to the domain")


def _is_steady(text: ActionText, world: World) -> bool:
    """Whether an action's command depends on nothing that can change, so that it can be kept."""
    return not any(
        isinstance(part, Symbol)
        or (
            isinstance(part, Each)
            and (isinstance(part.item, Symbol) or any(asked.predicate in world.changing for asked in part.query))
        )
        for part in text.template
    )


def _pointless_check(schema: ActionSchema, slots: Mapping[str, int]) -> Callable[[Row], bool] | None:
    """A test for rows whose effects the precondition already grants; None where there can be no such row.

    The planner inside ALFWorld drops such actions, so its games do not offer them.
    """
    if any(effect.condition is not None for effect in schema.effects):
        return None
    granted, denied = _literals(schema.precondition)
    added = [effect.atom for effect in schema.effects if effect.adds]
    removed = [effect.atom for effect in schema.effects if not effect.adds]
    may_be_granted = {atom.predicate for atom in added} <= {atom.predicate for atom in granted}
    may_be_denied = {atom.predicate for atom in removed} <= {atom.predicate for atom in (*denied, *added)}
    if not (may_be_granted and may_be_denied):
        return None

    def facts(atoms: Sequence[Atom], row: Row) -> set[tuple[str, Row]]:
        return {
            (atom.predicate, tuple(row[slots[arg]] if arg in slots else arg for arg in atom.args)) for atom in atoms
        }

    def is_pointless(row: Row) -> bool:
        true_after = facts(added, row)
        return true_after <= facts(granted, row) and facts(removed, row) <= facts(denied, row) | true_after

    return is_pointless


def _literals(formula: Formula) -> tuple[list[Atom], list[Atom]]:
    """The atoms that must be true, and those that must be false, for a conjunction to hold."""
    match formula:
        case Atom():
            return [formula], []
        case Not(part=Atom() as atom):
            return [], [atom]
        case And(parts=parts):
            pairs = [_literals(part) for part in parts]
            return [atom for granted, _ in pairs for atom in granted], [atom for _, denied in pairs for atom in denied]
    return [], []
