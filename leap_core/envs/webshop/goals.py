"""What shoppers are asked to buy, in the original's order and words, with its price limits.

The original draws prices before it sets a seed, so that a goal has other limits in another process. Here the
generator of random numbers is seeded first and drawn from in the original's order: `random.seed(price_seed)` ahead of
its server gives the same goals there.
"""

import itertools
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeGuard, get_args

from leap_core.envs.webshop.products import Product
from leap_core.types import Split

GoalKind = Literal["human", "synthetic"]
GOAL_KINDS: tuple[GoalKind, ...] = get_args(GoalKind)
SHUFFLE_SEED = 233
NO_LIMIT = 1_000_000.0
"""The price limit of a goal that has none."""
_LIMITS = [10.0 * tens for tens in range(1, 100)]
_NUM_LIMITS = 4
"""A limit is one of so many round prices above the product's; the lowest of them is never it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GoalOption:
    """An option that the product must be bought with. Human goals have values alone, and `name` is empty."""

    name: str
    value: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """What to buy.

    Args:
        id: kind, asin, and which of the product's instructions or combinations of options this is.
        number: place in the original's order, which decides the split.
        title: name of the example product, the one that the instruction was written about.
        price_upper: in dollars; `NO_LIMIT` where there is no limit.
    """

    id: str
    number: int
    kind: GoalKind
    asin: str
    title: str
    category: str
    query: str
    product_category: str
    instruction: str
    attributes: tuple[str, ...]
    options: tuple[GoalOption, ...]
    price_upper: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitBounds:
    """Goals are for testing up to `test`, then for dev up to `dev`, then for training."""

    test: int
    dev: int

    def range(self, split: Split) -> tuple[int, int | None]:
        """First number of a split, and the one after its last."""
        return {"test": (0, self.test), "dev": (self.test, self.dev), "train": (self.dev, None)}[split]


PUBLISHED_BOUNDS = SplitBounds(test=500, dev=1500)
"""Of the published data."""
GENERATED_BOUNDS = SplitBounds(test=60, dev=120)
"""Of a generated shop, which has 300 goals."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PricedTogether:
    """Goals that share one price limit, which is still to be drawn; `price` is the example product's, in dollars."""

    price: float
    goals: tuple[Goal, ...]


def human_goals(product: Product, rows: Sequence[Any], left_out: Counter[str]) -> Iterator[PricedTogether]:
    """What people wrote about a product, each with a limit of its own; as the original, none without attributes."""
    for place, row in enumerate(rows):
        parts = _human_parts(row)
        if parts is None:
            left_out["instructions damaged"] += 1
        elif not parts[1]:
            left_out["instructions without attributes"] += 1
        else:
            goal = _goal(product, "human", place, parts[0].strip("."), parts[1], parts[2])
            yield PricedTogether(price=product.price, goals=(goal,))


def synthetic_goals(product: Product, instruction: str, attributes: tuple[str, ...]) -> PricedTogether:
    """One goal for each combination of options; none where an option has no value."""
    names, goals = sorted(product.options), []
    for place, values in enumerate(itertools.product(*(product.options[name] for name in names))):
        options = tuple(GoalOption(name=name, value=value) for name, value in zip(names, values, strict=True))
        wanted = ", and ".join(f"{option.name}: {option.value}" for option in options)
        text = f"{instruction} with {wanted}" if wanted else instruction
        goals.append(_goal(product, "synthetic", place, text, attributes, options))
    return PricedTogether(price=product.price, goals=tuple(goals))


def priced_and_shuffled(together: Iterable[PricedTogether], rng: random.Random) -> list[Goal]:
    """The goals with their price limits and numbers, in the original's order.

    Args:
        together: of one kind, in the order of the products.
        rng: as it is after the prices of all products were drawn.
    """
    goals: list[Goal] = []
    for group in together:
        limit = _limit(group.price, rng)
        goals += [_with_limit(goal, limit) for goal in group.goals]
    random.Random(SHUFFLE_SEED).shuffle(goals)
    return [replace(goal, number=number) for number, goal in enumerate(goals)]


def _limit(price: float, rng: random.Random) -> float:
    above = [limit for limit in _LIMITS if limit > price][:_NUM_LIMITS]
    return max(rng.sample(above, 2)) if len(above) >= 2 else NO_LIMIT


def _with_limit(goal: Goal, limit: float) -> Goal:
    text = "" if limit == NO_LIMIT else f", and price lower than {limit:.2f} dollars"
    return replace(goal, instruction=goal.instruction + text, price_upper=limit)


def _human_parts(row: Any) -> tuple[str, tuple[str, ...], tuple[GoalOption, ...]] | None:
    """Instruction, attributes and options of a row of the human file; None where it is damaged."""
    if not isinstance(row, dict) or not isinstance(row.get("instruction"), str):
        return None
    attributes, options = row.get("instruction_attributes"), row.get("instruction_options")
    if not is_list_of_texts(attributes):
        return None
    if isinstance(options, Mapping):
        if not all(isinstance(value, str) for value in options.values()):
            return None
        pairs = [(str(name), value) for name, value in options.items()]
    elif is_list_of_texts(options):
        pairs = [("", value) for value in options]
    else:
        return None
    return row["instruction"], tuple(attributes), tuple(GoalOption(name=name, value=value) for name, value in pairs)


def is_list_of_texts(value: Any) -> TypeGuard[list[str]]:
    """Whether `value` is a list of strings."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _goal(
    product: Product,
    kind: GoalKind,
    place: int,
    instruction: str,
    attributes: tuple[str, ...],
    options: tuple[GoalOption, ...],
) -> Goal:
    """A goal without a price limit or a number."""
    return Goal(
        id=f"{kind}-{product.asin}-{place}",
        number=-1,
        kind=kind,
        asin=product.asin,
        title=product.title,
        category=product.category,
        query=product.query,
        product_category=product.product_category,
        instruction=instruction,
        attributes=attributes,
        options=options,
        price_upper=NO_LIMIT,
    )
