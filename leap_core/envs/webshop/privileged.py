"""The hidden state of a goal: what the score looks for, and which search and which items meet all of it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import ConfigDict

from leap_core.envs.webshop.shop.goals import NO_LIMIT, Goal
from leap_core.envs.webshop.shop.products import Product
from leap_core.envs.webshop.shop.shop import Shop
from leap_core.envs.webshop.site.nouns import Nouns
from leap_core.envs.webshop.site.reward import matches, score, share_met
from leap_core.envs.webshop.site.visit import RESULTS_A_PAGE, option_clicked
from leap_core.envs.webshop.site.wording import queries
from leap_core.types import FreeCommands, HiddenFacts, PrivilegedState, Record, Spec

SOURCE = "goal"
_SEARCH_FORM = r"search\[.+\]"
_MODEL = re.compile(r"(?=.*\d)(?=.*[A-Za-z]).{4,}")
_MOST_ITEMS = 12
"""So many right items are kept; there can be hundreds of alike ones."""


class RightItem(Record):
    """An item that is worth the full score, and the values of its options to be chosen for that."""

    asin: str
    name: str
    price_tag: str
    values: tuple[str, ...]


class HiddenGoal(HiddenFacts):
    """The facts of a privileged state.

    `topics` is the category of the example product. As a rule it says less than the instruction does.
    `search` is made of the instruction's own words; `page` is the first page of its results, from 1, with a right item.
    Where no such search finds one, `search` is empty and `right_items` hold the example product alone, if anything.
    `demonstration` is what a person did, where that was recorded.
    """

    model_config = ConfigDict(extra="forbid")

    asin: str
    name: str
    price: float
    product_category: str
    attributes: tuple[str, ...]
    options: tuple[str, ...]
    price_limit: float | None
    search: str
    page: int
    right_items: tuple[RightItem, ...]
    demonstration: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Plan:
    search: str
    page: int
    items: tuple[RightItem, ...]


def reveal(spec: Spec, goal: Goal, shop: Shop, nouns: Nouns, demonstration: tuple[str, ...] = ()) -> PrivilegedState:
    """Describe a goal, with a search and items that lead to the full score, and with what a person did about it."""
    plan = _plan(goal, shop, nouns)
    example = shop.product(goal.asin)
    hidden = HiddenGoal(
        asin=goal.asin,
        name=goal.title,
        price=example.price,
        topics=(goal.query,),
        product_category=goal.product_category,
        attributes=goal.attributes,
        options=tuple(option.value for option in goal.options),
        price_limit=None if goal.price_upper == NO_LIMIT else goal.price_upper,
        search=plan.search,
        page=plan.page,
        right_items=plan.items,
        free_commands=FreeCommands(form=_SEARCH_FORM, unsayable=tuple(unsayable(goal))),
        demonstration=demonstration,
    )
    return PrivilegedState(spec_id=spec.id, text=describe(goal), facts=hidden.model_dump(mode="json"), source=SOURCE)


def unsayable(goal: Goal) -> Iterator[str]:
    """What would give the example product away: its number, name, model, and brand, which as a rule is the first word.

    That is none where it is a word of the instruction or of the kind of product, such as "Women's".
    """
    first, *others = goal.title.split()
    general = " ".join((goal.instruction, goal.query, goal.product_category, *goal.attributes)).lower()
    yield from (goal.asin, goal.title)
    yield from (word for word in others if _MODEL.search(word))
    if first.lower().removesuffix("'s") not in general:
        yield first


def describe(goal: Goal) -> str:
    """A goal in words, for teachers."""
    options = [f"{option.name}: {option.value}" if option.name else option.value for option in goal.options]
    limit = f"The highest price allowed: ${goal.price_upper:.2f}."
    lines = [
        f"Instruction: {goal.instruction}",
        f"The product must have these attributes: {'; '.join(goal.attributes)}.",
        f"Options to be chosen: {'; '.join(options) or 'none'}.",
        "There is no price limit." if goal.price_upper == NO_LIMIT else limit,
        f"An example of a product that meets all of this, one of perhaps several: {goal.title}",
    ]
    return "\n".join(lines)


def _plan(goal: Goal, shop: Shop, nouns: Nouns) -> _Plan:
    """The search that has a right item earliest; of equal ones, the first."""
    found = [plan for query in queries(goal.instruction) if (plan := _plan_for(query, goal, shop, nouns))]
    if found:
        return min(found, key=lambda plan: plan.page)
    item = _right_item(shop.product(goal.asin), goal, nouns)
    return _Plan(search="", page=0, items=(item,) if item else ())


def _plan_for(query: str, goal: Goal, shop: Shop, nouns: Nouns) -> _Plan | None:
    right = [
        (place, item)
        for place, asin in enumerate(shop.search(query))
        if (item := _right_item(shop.product(asin), goal, nouns))
    ]
    if not right:
        return None
    return _Plan(
        search=query, page=right[0][0] // RESULTS_A_PAGE + 1, items=tuple(item for _, item in right[:_MOST_ITEMS])
    )


def _right_item(product: Product, goal: Goal, nouns: Nouns) -> RightItem | None:
    chosen = choose_values(product, goal)
    # Nouns come last: to find them takes longest.
    if share_met(product, chosen.values(), goal) < 1 or not score(product, chosen.values(), goal, nouns).success:
        return None
    values = tuple(chosen.values())
    return RightItem(asin=product.asin, name=product.title, price_tag=product.price_tag, values=values)


def choose_values(product: Product, goal: Goal) -> dict[str, str]:
    """The values of a product's options, by option, that the goal asks for, as far as there are any.

    A value that several options have in common can only be chosen for the one that a click on it means.
    """
    chosen: dict[str, str] = {}
    for wanted in goal.options:
        fitting = [
            (value != wanted.value, name != wanted.name, name, value)
            for name, values in product.options.items()
            for value in values
            if name not in chosen and option_clicked(product, value) == name and matches(value, wanted)
        ]
        if fitting:
            _, _, name, value = min(fitting)
            chosen[name] = value
    return chosen
