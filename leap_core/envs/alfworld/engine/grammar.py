"""Reads the grammar of a game: the wording of its commands and of everything it says.

A grammar has rules by name, each a list of alternatives of which the first whose condition holds is used, and for each
action a command template and a feedback text. In such texts `#rule#` stands for a rule's expansion, `{o.name}` for a
value, `{... | query}` for one copy for each answer of the query, and `[{... | query}]` for these copies as a list.
"""

import ast
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple


class GrammarError(ValueError):
    """The text is not a grammar, or uses a part of the format that the engine does not know."""


@dataclass(frozen=True, slots=True)
class Entity:
    """A thing of the game as the grammar may speak of it. `name` is what the player reads."""

    id: str
    type: str
    name: str
    definite: str = "the"
    indefinite: str = "a"


class Placeholder(NamedTuple):
    """A typed variable of a query; one with the same name and another type is another variable."""

    name: str
    type: str


class Condition(NamedTuple):
    """One conjunct of a query."""

    predicate: str
    args: tuple[Placeholder, ...]


Conditions = tuple[Condition, ...]
Expression = Callable[[Mapping[str, Entity]], str | None]


@dataclass(frozen=True, slots=True)
class Text:
    """Plain words."""

    text: str


@dataclass(frozen=True, slots=True)
class Symbol:
    """The expansion of a rule."""

    rule: str


@dataclass(frozen=True, slots=True)
class Value:
    """An expression over the entities that are bound."""

    evaluate: Expression


@dataclass(frozen=True, slots=True)
class Each:
    """`item` once for each answer of `query`; with separators where it `is_list`."""

    item: Symbol | Value
    query: Conditions
    is_list: bool


Part = Text | Symbol | Value | Each


@dataclass(frozen=True, slots=True)
class Alternative:
    """One way to expand a rule."""

    condition: Conditions
    parts: tuple[Part, ...]


class ActionText(NamedTuple):
    """What the player types for an action, and what the game answers."""

    template: tuple[Part, ...]
    feedback: tuple[Part, ...]


class Grammar:
    """Rules, and template and feedback of actions by lower-case name. Both are read when first used."""

    def __init__(self, rules: Mapping[str, object], actions: Mapping[str, tuple[str, str]]) -> None:
        self._actions = actions
        self._sources = rules
        self._rules: dict[str, tuple[Alternative, ...]] = {}

    def rule(self, name: str) -> tuple[Alternative, ...]:
        """The alternatives of a rule, in order.

        Raises:
            GrammarError: there is no such rule, or it cannot be read.
        """
        if name not in self._rules:
            if name not in self._sources:
                raise GrammarError(f"rule {name!r} is used but not defined")
            self._rules[name] = tuple(_alternatives(name, self._sources[name]))
        return self._rules[name]

    def wording(self, action: str) -> ActionText:
        """The template and the feedback of an action.

        Raises:
            GrammarError: it has none, or one that cannot be read.
        """
        if action not in self._actions:
            raise GrammarError(f"action {action!r} of the domain has no template")
        template, feedback = self._actions[action]
        return ActionText(parse_parts(template), parse_parts(feedback))

    def conditions(self, actions: Iterable[str]) -> list[Condition]:
        """Read all that the intro and the wording of these actions can lead to; return every conjunct asked for.

        Raises:
            GrammarError: an action has no wording, or a rule is missing or cannot be read.
        """
        waiting: list[Part] = [
            Symbol(rule) for rule in ("intro", "list_empty", "list_separator", "list_last_separator")
        ]
        for name in actions:
            text = self.wording(name)
            waiting += [*text.template, *text.feedback]
        found: list[Condition] = []
        seen: set[str] = set()
        while waiting:
            part = waiting.pop()
            if isinstance(part, Each):
                found += part.query
                part = part.item
            if isinstance(part, Symbol) and part.rule not in seen:
                seen.add(part.rule)
                for alternative in self.rule(part.rule):
                    found += alternative.condition
                    waiting += alternative.parts
        return found


_TOKEN = re.compile(r'#[^\n]*|"""(?P<block>.*?)"""|"(?P<string>[^"]*)"|(?P<word>[\w/-]+)|(?P<mark>::|[{};])', re.DOTALL)
_PART = re.compile(
    r"""(?P<list>\[)?\{(?:\#(?P<rule>[^#\n]+)\#|(?P<value>[^|\[\]{}\n<>#]+))(?:\s*\|\s*(?P<query>[^;|{}\n\[\]#]+))?\}(?(list)\])
      | \#(?P<symbol>[\w()/!<>\-\s,.]+)\#
      | "(?P<quoted>[^;|"<>\[\]#{}]*)"
      | (?P<text>[^;|"<>\[\]#{}]+)""",
    re.VERBOSE,
)
_CONJUNCT = re.compile(r"\s*([\w/-]+)\(([^()]*)\)\s*")
_ATTRIBUTES = ("id", "type", "name", "definite", "indefinite")
_UNSET_ATTRIBUTES = ("noun", "adj", "desc", "room_type", "synonyms")


@lru_cache(maxsize=64)
def parse_grammar(text: str) -> Grammar:
    """Read a grammar. The last few are kept: games with the same task sentence share one.

    Raises:
        GrammarError: says what was expected where.
    """
    rules: dict[str, object] = {}
    actions: dict[str, tuple[str, str]] = {}
    tokens = _Tokens(text)
    while tokens.left:
        word = tokens.take("word")
        if word == "grammar":
            tokens.expect("::")
            rules.update(_rules(tokens.take("block")))
            tokens.expect(";")
        elif word == "action":
            name, texts, own_rules = _action(tokens)
            actions[name.lower()] = texts
            rules.update(own_rules)
        else:
            raise GrammarError(f"expected 'grammar' or 'action', found {word!r}")
    return Grammar(rules, actions)


@lru_cache(maxsize=1024)
def parse_parts(text: str) -> tuple[Part, ...]:
    """Read a text with `#rules#`, `{values}` and `[{lists | query}]`. Space at its very beginning does not count."""
    text, parts, position = text.lstrip(), list[Part](), 0
    while position < len(text):
        match = _PART.match(text, position)
        if match is None:
            raise GrammarError(f"cannot read the text from {text[position : position + 30]!r} on")
        parts.append(_part(match))
        position = match.end()
    return tuple(parts)


def parse_query(text: str) -> Conditions:
    """Read `predicate(a:type, b:type) & ...`; empty for an empty text."""
    if not text.strip():
        return ()
    return tuple(_conjunct(part) for part in text.split("&"))


class _Tokens:
    """The words, strings and marks of a grammar, one after the other."""

    def __init__(self, text: str) -> None:
        rest = _TOKEN.sub("", text)
        if rest.strip():
            raise GrammarError(f"cannot read {rest.split()[0]!r}")
        found = (match for match in _TOKEN.finditer(text) if match.lastgroup is not None)
        self.left = deque((str(match.lastgroup), match[str(match.lastgroup)]) for match in found)

    def take(self, kind: str) -> str:
        """The next token, which must be of this kind."""
        if not self.left:
            raise GrammarError(f"expected a {kind}, but the grammar ends")
        found, text = self.left.popleft()
        if found != kind:
            raise GrammarError(f"expected a {kind}, found {text[:40]!r}")
        return text

    def expect(self, mark: str) -> None:
        """The next token must be this mark."""
        found = self.take("mark")
        if found != mark:
            raise GrammarError(f"expected {mark!r}, found {found!r}")

    def skip(self, mark: str) -> bool:
        """Whether the next token is this mark; if so, go past it."""
        is_next = bool(self.left) and self.left[0] == ("mark", mark)
        if is_next:
            self.left.popleft()
        return is_next


def _action(tokens: _Tokens) -> tuple[str, tuple[str, str], dict[str, object]]:
    """Read `name { template :: "..."; feedback :: "..."; grammar :: ...; }`: the last are rules it brings along."""
    name = tokens.take("word")
    texts: dict[str, str] = {}
    rules: dict[str, object] = {}
    tokens.expect("{")
    while not tokens.skip("}"):
        key = tokens.take("word")
        tokens.expect("::")
        if key in ("template", "feedback"):
            texts[key] = tokens.take("string")
        elif key == "grammar":
            rules.update(_rules(tokens.take("block")))
        else:
            raise GrammarError(f"action {name!r} has a part {key!r}, which the engine does not play")
        tokens.expect(";")
    if missing := sorted({"template", "feedback"} - texts.keys()):
        raise GrammarError(f"action {name!r} has no {missing[0]}")
    return name, (texts["template"], texts["feedback"]), rules


def _rules(block: str) -> dict[str, object]:
    """The JSON object in a block; lines that start with # are comments."""
    lines = (line for line in block.split("\n") if not line.lstrip().startswith("#"))
    try:
        rules = json.loads("\n".join(lines))
    except json.JSONDecodeError as error:
        raise GrammarError(f"a block of rules is not JSON: {error}") from error
    if not isinstance(rules, dict):
        raise GrammarError("a block of rules is not a JSON object")
    return rules


def _alternatives(name: str, source: object) -> Iterator[Alternative]:
    """Read the alternatives of one rule. A weight is allowed and has no effect: the first that fits is used."""
    if not isinstance(source, list) or not source:
        raise GrammarError(f"rule {name!r} is not a list of alternatives")
    for entry in source:
        if not isinstance(entry, dict) or not isinstance(entry.get("rhs"), str):
            raise GrammarError(f"rule {name!r} has an alternative without a text 'rhs'")
        if unknown := sorted(entry.keys() - {"rhs", "condition", "weight"}):
            raise GrammarError(f"rule {name!r} has an alternative with {unknown[0]!r}, which the engine does not know")
        try:
            yield Alternative(parse_query(entry.get("condition", "")), parse_parts(entry["rhs"]))
        except GrammarError as error:
            raise GrammarError(f"rule {name!r}: {error}") from error


def _part(match: re.Match[str]) -> Part:
    if match["symbol"] is not None:
        return Symbol(match["symbol"])
    if match["rule"] is None and match["value"] is None:
        return Text(match["text"] if match["quoted"] is None else match["quoted"])
    item = Symbol(match["rule"]) if match["rule"] is not None else Value(_expression(match["value"]))
    if match["query"] is None and match["list"] is None:
        return item
    return Each(item, parse_query(match["query"] or ""), is_list=match["list"] is not None)


def _conjunct(text: str) -> Condition:
    match = _CONJUNCT.fullmatch(text)
    if match is None:
        raise GrammarError(f"cannot read the condition {text.strip()!r}")
    args = [arg.strip().partition(":") for arg in match[2].split(",")] if match[2].strip() else []
    return Condition(match[1], tuple(Placeholder(name.strip(), kind.strip() or name.strip()) for name, _, kind in args))


def _expression(source: str) -> Expression:
    """Compile an expression: variables, their attributes, quoted words, `+` and `or`; nothing else."""
    try:
        tree = ast.parse(source.strip(), mode="eval").body
    except SyntaxError as error:
        raise GrammarError(f"cannot read the expression {source.strip()!r}") from error
    return _compiled(tree, source)


def _compiled(tree: ast.expr, source: str) -> Expression:
    match tree:
        case ast.Constant(value=str(words)):
            return lambda entities: words
        case ast.Name(id=name):
            return lambda entities: _entity(entities, name).name
        case ast.Attribute(value=ast.Name(id=name), attr=attribute) if attribute in _ATTRIBUTES:
            return lambda entities: str(getattr(_entity(entities, name), attribute))
        case ast.Attribute(value=ast.Name(), attr=attribute) if attribute in _UNSET_ATTRIBUTES:
            return lambda entities: None
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            first, second = _compiled(left, source), _compiled(right, source)
            return lambda entities: f"{first(entities)}{second(entities)}"
        case ast.BoolOp(op=ast.Or(), values=values):
            choices = [_compiled(value, source) for value in values]
            return lambda entities: next((found for choice in choices if (found := choice(entities))), None)
    raise GrammarError(f"the expression {source.strip()!r} uses more than names, quoted words, '+' and 'or'")


def _entity(entities: Mapping[str, Entity], name: str) -> Entity:
    if name not in entities:
        raise GrammarError(f"{name!r} is not bound where the grammar speaks of it; bound are {sorted(entities)}")
    return entities[name]
