"""What shoppers are asked to buy, in the original's order and words, with its price limits.

The original draws prices before it sets a seed, so that a goal has other limits in another process. Here the
generator of random numbers is seeded first and drawn from in the original's order: `random.seed(price_seed)` ahead of
its server gives the same goals there, if nothing else draws in between (`rich` does when it prints for the first time).
"""

import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard, get_args

from leap_core.envs.webshop.shop.products import Product, is_unicode
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
class Instruction:
    """What is asked for of one product, without a price limit. Many goals may come of it, which share a limit.

    Args:
        place: of those of its kind about its product, which this is; with `kind` and the product's asin it is unique.
        options: of human ones. Synthetic ones ask for any combination of options that the product has.
    """

    kind: GoalKind
    place: int
    text: str
    attributes: tuple[str, ...]
    options: tuple[GoalOption, ...]

    def num_goals(self, product: Product) -> int:
        """The number of combinations of options; 0 where an option has no value."""
        return 1 if self.kind == "human" else math.prod(len(values) for values in product.options.values())


def human_instructions(rows: Sequence[Any], left_out: Counter[str]) -> Iterator[Instruction]:
    """The instructions that people wrote about a product; like the original, none without attributes."""
    for place, row in enumerate(rows):
        parts = _human_parts(row)
        if parts is None:
            left_out["instructions damaged"] += 1
        elif not parts[1]:
            left_out["instructions without attributes"] += 1
        else:
            text, attributes, options = parts
            yield Instruction(kind="human", place=place, text=text.strip("."), attributes=attributes, options=options)


def make_goal(product: Product, instruction: Instruction, combination: int, number: int, limit: float) -> Goal:
    """One goal of an instruction; `combination` is which, in the original's order."""
    options = instruction.options if instruction.kind == "human" else _combination(product, combination)
    wanted = ", and ".join(f"{option.name}: {option.value}" for option in options if option.name)
    text = f"{instruction.text} with {wanted}" if instruction.kind == "synthetic" and wanted else instruction.text
    below = "" if limit == NO_LIMIT else f", and price lower than {limit:.2f} dollars"
    return Goal(
        # A product has at most one synthetic instruction, at place 0, so no other has this sum.
        id=f"{instruction.kind}-{product.asin}-{instruction.place + combination}",
        number=number,
        kind=instruction.kind,
        asin=product.asin,
        title=product.title,
        category=product.category,
        query=product.query,
        product_category=product.product_category,
        instruction=text + below,
        attributes=instruction.attributes,
        options=options,
        price_upper=limit,
    )


def shuffled(num: int) -> list[int]:
    """The goals' order: the place before the shuffle of each number."""
    order = list(range(num))
    random.Random(SHUFFLE_SEED).shuffle(order)
    return order


def draw_limit(price: float, rng: random.Random) -> float:
    """A price limit, in dollars, for an instruction about a product of this price."""
    above = [limit for limit in _LIMITS if limit > price][:_NUM_LIMITS]
    return max(rng.sample(above, 2)) if len(above) >= 2 else NO_LIMIT


def is_list_of_texts(value: Any) -> TypeGuard[list[str]]:
    """Whether `value` is a list of strings."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _combination(product: Product, which: int) -> tuple[GoalOption, ...]:
    """One value for each option, names in alphabetical order; the last name's value changes first."""
    chosen: list[GoalOption] = []
    for name in sorted(product.options, reverse=True):
        which, place = divmod(which, len(product.options[name]))
        chosen.append(GoalOption(name=name, value=product.options[name][place]))
    return tuple(reversed(chosen))


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
    if not is_unicode(row["instruction"], *attributes, *(text for pair in pairs for text in pair)):
        return None
    return row["instruction"], tuple(attributes), tuple(GoalOption(name=name, value=value) for name, value in pairs)
