"""Another hidden state of a goal that agrees with its instruction and with all pages shown so far.

The instruction may have been written about another product: one that the shop finds by the same words, that no page has
shown yet, and that meets about as much of what is asked for. What must be met stays as it is.
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from leap_core.envs.webshop.privileged import HiddenGoal, RightItem, choose_values, describe, unsayable
from leap_core.envs.webshop.shop.goals import Goal
from leap_core.envs.webshop.shop.products import Product
from leap_core.envs.webshop.shop.shop import Shop
from leap_core.envs.webshop.site.reward import share_met
from leap_core.envs.webshop.site.visit import RESULTS_A_PAGE
from leap_core.envs.webshop.site.wording import queries
from leap_core.types import PrivilegedState, Spec, Step

SOURCE = "counterfactual"
_MOST_ALIKE = 5
"""Products that meet most of the goal, of which one is drawn."""


def imagine(
    spec: Spec, goal: Goal, shop: Shop, privileged: PrivilegedState, steps: Sequence[Step], rng: Random
) -> PrivilegedState:
    """Describe the goal as one about another product, in the words of the true state; that one where there is none."""
    alike = _alike(goal, shop, "\n".join(step.observation.text for step in steps))
    if not alike:
        return privileged
    product = rng.choice(alike[:_MOST_ALIKE])
    other, known = replace(goal, asin=product.asin, title=product.title), HiddenGoal.of(privileged)
    found = shop.search(known.search) if known.search else []
    is_found = product.asin in found
    values = tuple(choose_values(product, goal).values())
    item = RightItem(asin=product.asin, name=product.title, price_tag=product.price_tag, values=values)
    hidden = known.with_(
        asin=product.asin,
        name=product.title,
        price=product.price,
        search=known.search if is_found else "",
        page=found.index(product.asin) // RESULTS_A_PAGE + 1 if is_found else 0,
        right_items=(item,),
        free_commands=None
        if known.free_commands is None
        else known.free_commands.with_(unsayable=tuple(unsayable(other))),
        demonstration=(),
    )
    facts = hidden.model_dump(mode="json")
    return PrivilegedState(spec_id=spec.id, text=describe(other), facts=facts, source=SOURCE)


def _alike(goal: Goal, shop: Shop, shown: str) -> list[Product]:
    """Products that the instruction's words find and no page has shown; first those that meet most of the goal."""
    found = dict.fromkeys(asin for query in queries(goal.instruction) for asin in shop.search(query))
    products = [shop.product(asin) for asin in found if asin not in (goal.asin, *shown.split())]
    unseen = [product for product in products if product.title != goal.title and product.title not in shown]
    return sorted(unseen, key=lambda product: -share_met(product, choose_values(product, goal).values(), goal))
