"""What a purchase is worth: the original's score, and the four parts that the paper reports beside it.

Score = type x (attributes matched + options matched + price within the limit) / (attributes + options + 1).
"""

from collections.abc import Collection, Container, Iterable
from dataclasses import dataclass
from functools import lru_cache

from rapidfuzz.fuzz import token_set_ratio
from rapidfuzz.utils import default_process

from leap_core.envs.webshop.shop.goals import Goal, GoalOption
from leap_core.envs.webshop.shop.products import Product
from leap_core.envs.webshop.site.nouns import Nouns

_ALIKE_ABOVE = 85
"""Two texts are taken for the same above this ratio, in percent."""
_TYPE_OF_NO_NOUNS = 0.2
"""Share of common nouns where the wanted title has none."""
_COLORS_TEXT = """
alabaster apricot aqua ash asphalt azure banana beige black blue blush bordeaux bronze brown burgundy camel camo
caramel champagne charcoal cheetah chestnut chocolate christmas coffee cognac copper coral cranberry cream crystal
dark denim eggplant elephant espresso fuchsia gold granite grape graphite grass gray green grey heather indigo ivory
ivy khaki lavender lemon leopard light lilac lime magenta maroon mauve merlot midnight mint mocha multicolor
mushroom mustard natural navy nude olive orange peach pewter pink plum purple rainbow red rose royal rust sand
sapphire seashell silver skull slate steel stone stonewash sunflower tan taupe teal tiger turquoise violet walnut
wheat white wine yellow
"""
_COLORS = tuple(_COLORS_TEXT.split())


@dataclass(frozen=True, kw_only=True, slots=True)
class Reward:
    """A purchase's score and its parts, each in [0, 1]. `options` is None where the goal has none."""

    total: float
    type: float
    attributes: float
    options: float | None
    price: float

    @property
    def parts(self) -> dict[str, float]:
        """The parts by their names, without that of options where the goal has none."""
        parts = {"type": self.type, "attributes": self.attributes, "options": self.options, "price": self.price}
        return {name: value for name, value in parts.items() if value is not None}

    @property
    def success(self) -> bool:
        """Whether the purchase has the full score."""
        return self.total == 1.0


def score(product: Product, chosen: Collection[str], goal: Goal, nouns: Nouns) -> Reward:
    """Judge the purchase of `product` with the values `chosen` of its options."""
    kind = _type(product, goal, nouns)
    within_limit = product.price <= goal.price_upper
    return Reward(
        total=share_met(product, chosen, goal) * kind,
        type=kind,
        attributes=_count_attributes(product, goal) / len(goal.attributes),
        options=count_options(chosen, goal.options) / len(goal.options) if goal.options else None,
        price=float(within_limit),
    )


def share_met(product: Product, chosen: Collection[str], goal: Goal) -> float:
    """The share of attributes, options and price limit that a purchase meets: its score if it is of the wanted kind."""
    met = _count_attributes(product, goal) + count_options(chosen, goal.options) + (product.price <= goal.price_upper)
    return met / (len(goal.attributes) + len(goal.options) + 1)


def count_options(chosen: Iterable[str], wanted: Iterable[GoalOption]) -> int:
    """How many of the wanted options some chosen value matches; colours only by the first plain one named in them."""
    return sum(any(matches(value, option) for value in chosen) for option in wanted)


def matches(value: str, option: GoalOption) -> bool:
    """Whether a chosen value is taken for the wanted one."""
    return _alike(_first_color(value) or value, _wanted_text(option))


def _first_color(text: Container[str]) -> str | None:
    """The first plain colour that `text` contains, even inside a word ("red" in "tailored"); None where it has none."""
    return next((color for color in _COLORS if color in text), None)


def _wanted_text(option: GoalOption) -> str:
    """What a value is compared with. The original writes out the pair where an option has a name."""
    if not option.name:
        return _first_color(option.value) or option.value
    pair = (option.name, option.value)
    return _first_color(pair) or str(pair)


def _count_attributes(product: Product, goal: Goal) -> int:
    return sum(_has(product, attribute) for attribute in goal.attributes)


def _has(product: Product, attribute: str) -> bool:
    """Whether a product has an attribute, by its list of them or by its words."""
    if any(_alike(own, attribute) for own in product.attributes):
        return True
    texts = (product.title, " ".join(product.bullet_points), product.description)
    return any(attribute in text.lower() for text in texts)


def _type(product: Product, goal: Goal, nouns: Nouns) -> float:
    """How well a product is of the wanted kind: 1, 0.5, 0.1 or 0."""
    wanted = nouns(goal.title)
    common = len({*nouns(product.title)} & {*wanted}) / len(wanted) if wanted else _TYPE_OF_NO_NOUNS
    if common == 0.0:
        return 0.0
    if common < 0.1:
        return 0.1
    same_levels = len(_levels(product.product_category) & _levels(goal.product_category)) >= 2
    return 1.0 if product.query == goal.query or same_levels or common > 0.2 else 0.5


def _levels(product_category: str) -> set[str]:
    return {level.strip() for level in product_category.split("›")}


@lru_cache(maxsize=4096)
def _alike(one: str, other: str) -> bool:
    """Whether two texts are nearly the same set of words; compared as thefuzz does, which rounds to whole percents."""
    return round(token_set_ratio(_plain(one), _plain(other))) > _ALIKE_ABOVE


def _plain(text: str) -> str:
    return default_process(text.encode("ascii", "ignore").decode())
