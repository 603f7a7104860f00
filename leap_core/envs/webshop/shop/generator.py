"""A generated shop, in the original's file formats, so that nothing has to be downloaded.

Products come in families: a product, the same with one attribute less or another one, the same at a price that is too
high, the same without one value of an option. The same seed gives the same bytes.
"""

import json
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from leap_core.types import Record

GENERATED_FILES = PRODUCTS_FILE, ATTRIBUTES_FILE, HUMAN_FILE = (
    "items_shuffle.json",
    "items_ins_v2.json",
    "items_human_ins.json",
)
NO_ATTRIBUTES_EVERY = 40
"""After every so many goals comes an instruction without attributes; the original has such, and leaves them out."""

_MIXED = 6000
"""Products are mixed within stretches of this length, so that a family does not stand together."""
_SYNTHETIC_SHARE = 0.3
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NUM_ASINS = len(_DIGITS) ** 8
_ASIN_STEP = 1_234_567_890_133
"""Coprime to `_NUM_ASINS`, so that no two products get the same asin."""


class _Kind(Record):
    """A kind of product in the catalogue; prices are in dollars."""

    query: str
    noun: str
    path: str
    price: tuple[int, int]
    attributes: tuple[str, ...]
    options: dict[str, tuple[str, ...]]
    uses: tuple[str, ...]


class _Category(Record):
    name: str
    kinds: tuple[_Kind, ...]


class _Catalogue(Record):
    """The words that a shop is made of. `brands` are beginnings, middles and ends; `marks` some titles end with."""

    brands: tuple[tuple[str, ...], ...]
    praise: tuple[str, ...]
    about: tuple[str, ...]
    asking: tuple[str, ...]
    marks: tuple[str, ...]
    categories: tuple[_Category, ...]


@dataclass(frozen=True, kw_only=True)
class _Item:
    """A product before it is written down. `cents` are one price, the two ends of a range, or none."""

    category: str
    kind: _Kind
    brand: str
    model: str
    uses: tuple[str, ...]
    mark: str
    num_shown: int
    attributes: tuple[str, ...]
    options: dict[str, tuple[str, ...]]
    cents: tuple[int, ...]

    @property
    def title(self) -> str:
        """The name of the product; some differ in nothing that it tells."""
        shown = ", ".join(name.title() for name in self.attributes[: self.num_shown])
        return f"{self.brand} {self.kind.noun} {self.model}, {shown}, for {self.uses[0].title()} {self.mark}".strip()


def write_generated_files(folder: Path, seed: int, num_products: int = 600, num_goals: int = 300) -> None:
    """Write `GENERATED_FILES` into `folder`, which must exist; the same seed and numbers, the same bytes.

    `num_goals` instructions in the manner of people are goals; a few more have no attributes and are none.
    """
    rng = random.Random(f"webshop {seed}")
    asins = _asins(rng)
    with ExitStack() as stack:
        names = zip(GENERATED_FILES, "[{{", "]}}", strict=True)
        write_product, write_annotation, write_instructions = (
            stack.enter_context(_json_file(folder / name, opening, closing)) for name, opening, closing in names
        )
        for number, item in enumerate(_mixed_items(rng, num_products)):
            asin = next(asins)
            write_product(_dump(_product_row(item, asin, rng)))
            write_annotation(f'"{asin}": {_dump(_annotation_row(item, rng))}')
            goals = range(num_goals * number // num_products, num_goals * (number + 1) // num_products)
            if goals:
                rows = [row for goal in goals for row in _human_rows(item, asin, goal, rng)]
                write_instructions(f'"{asin}": {_dump(rows)}')


@contextmanager
def _json_file(path: Path, opening: str, closing: str) -> Iterator[Callable[[str], int]]:
    """A JSON list or object to be written, one element a line."""
    before = chain([opening], repeat(","))
    with path.open("w", encoding="utf-8", newline="\n") as file:
        yield lambda element: file.write(f"{next(before)}\n{element}")
        last = next(before)
        file.write(f"{last}{closing}\n" if last == opening else f"\n{closing}\n")


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


@cache
def _catalogue() -> _Catalogue:
    path = files("leap_core.envs.webshop.shop") / "data" / "catalogue.json"
    return _Catalogue.model_validate_json(path.read_bytes())


def _asins(rng: random.Random) -> Iterator[str]:
    number = rng.randrange(_NUM_ASINS)
    while True:
        number = (number + _ASIN_STEP) % _NUM_ASINS
        digits, rest = "", number
        for _ in range(8):
            rest, digit = divmod(rest, len(_DIGITS))
            digits = _DIGITS[digit] + digits
        yield f"B0{digits}"


def _mixed_items(rng: random.Random, num: int) -> Iterator[_Item]:
    while num > 0:
        stretch: list[_Item] = []
        while len(stretch) < min(num, _MIXED):
            stretch += _family(rng)
        stretch = stretch[: min(num, _MIXED)]
        num -= len(stretch)
        rng.shuffle(stretch)
        yield from stretch


def _family(rng: random.Random) -> list[_Item]:
    """A product and those that are nearly it."""
    base = _item(rng)
    missing = [name for name in base.kind.attributes if name not in base.attributes]
    other = (*base.attributes[:-1], rng.choice(missing))
    fewer = {name: tuple(rng.sample(values, len(values) - 1)) for name, values in base.options.items()}
    low, *_ = base.cents or (10_000,)
    kin = [
        replace(base, model=_model(rng), attributes=other),
        replace(base, cents=(low + rng.randrange(4_500, 12_000, 50) + low // 2,)),
        replace(base, brand=_brand(rng), options=fewer),
        replace(base, brand=_brand(rng), model=_model(rng), attributes=other, cents=(low + rng.randrange(-200, 900),)),
    ]
    return [base, *(item for item in kin if rng.random() < 0.6)]


def _item(rng: random.Random) -> _Item:
    category = rng.choice(_catalogue().categories)
    kind = rng.choice(category.kinds)
    return _Item(
        category=category.name,
        kind=kind,
        brand=_brand(rng),
        model=_model(rng),
        uses=tuple(rng.sample(kind.uses, 2)),
        mark=rng.choice(_catalogue().marks) if rng.random() < 0.1 else "",
        num_shown=rng.randint(1, 3),
        attributes=tuple(rng.sample(kind.attributes, rng.randint(3, 5))),
        options=_some_options(kind, rng),
        cents=_some_cents(kind, rng),
    )


def _some_options(kind: _Kind, rng: random.Random) -> dict[str, tuple[str, ...]]:
    if rng.random() < 0.1:
        return {}
    names = [name for name in kind.options if rng.random() < 0.8] or list(kind.options)[:1]
    return {name: _some(kind.options[name], rng) for name in names}


def _some(values: tuple[str, ...], rng: random.Random) -> tuple[str, ...]:
    """Some values of an option: as a rule a few, now and then all of many."""
    few = min(6, len(values)) if rng.random() < 0.7 else len(values)
    return tuple(rng.sample(values, rng.randint(2, few) if few <= 6 else few))


def _some_cents(kind: _Kind, rng: random.Random) -> tuple[int, ...]:
    low, high = kind.price
    cents = rng.randrange(low, high) * 100 + rng.choice((0, 49, 95, 99))
    chance = rng.random()
    return () if chance < 0.05 else (cents, cents + rng.randrange(200, 3_000)) if chance < 0.2 else (cents,)


def _brand(rng: random.Random) -> str:
    return "".join(rng.choice(part) for part in _catalogue().brands)


def _model(rng: random.Random) -> str:
    return f"{rng.choice(_DIGITS[10:])}{rng.choice(_DIGITS[10:])}-{rng.randint(100, 9999)}"


def _product_row(item: _Item, asin: str, rng: random.Random) -> dict[str, Any]:
    """A row of the file of products. Some descriptions hold HTML, and some options are null, as in the original's.

    Values of options are as they are before the original's normalisation.
    """
    noun, praise = item.kind.noun.lower(), _catalogue().praise
    uses = item.kind.uses
    about = rng.sample(_catalogue().about, rng.randint(1, 6))
    options: dict[str, Any] = {
        name.title(): [
            {"value": f" {value.title().replace(' | ', '/')}", "image": None, "price": None} for value in values
        ]
        for name, values in item.options.items()
    }
    if rng.random() < 0.1:
        options["Item Package Quantity"] = None
    description = (
        f"{item.attributes[0].capitalize()} and {item.attributes[1]} {noun} by {item.brand}. {rng.choice(praise)}. "
        f"Good for {item.uses[0]} and {item.uses[1]}. {'. '.join(about)}."
    )
    return {
        "asin": asin,
        "name": item.title,
        "brand": f"Visit the {item.brand} Store",
        "category": item.category,
        "query": item.kind.query.title() if rng.random() < 0.1 else item.kind.query,
        "product_category": item.kind.path,
        "full_description": f"<p>{description}</p>" if rng.random() < 0.05 else description,
        "small_description": [
            f"{name.upper()}: {rng.choice(praise)}. {_with_article([name, noun]).capitalize()} for {rng.choice(uses)}"
            for name in item.attributes
        ],
        "pricing": "".join(f"${cents / 100:,.2f}" for cents in item.cents) or None,
        "customization_options": options or "",
        "images": [f"images/{asin}.jpg"],
    }


def _annotation_row(item: _Item, rng: random.Random) -> dict[str, Any]:
    """The product's row in the file of attributes: now and then one attribute less than the texts mention."""
    known = item.attributes[:-1] if rng.random() < 0.2 else item.attributes
    row: dict[str, Any] = {"attributes": list(known)}
    if rng.random() < _SYNTHETIC_SHARE:
        wanted = rng.sample(item.attributes, rng.randint(1, 2))
        row["instruction"] = f"Find me {', '.join(wanted)} {item.kind.query}"
        row["instruction_attributes"] = wanted
    return row


def _human_rows(item: _Item, asin: str, number: int, rng: random.Random) -> list[dict[str, Any]]:
    """The instruction of a goal; after some of them, one without attributes."""
    wanted = rng.sample(item.attributes, rng.randint(1, 3))
    names = [name for name in item.options if rng.random() < 0.75]
    options = {name: rng.choice(item.options[name]) for name in names}
    rows = [_human_row(item, asin, wanted, options, rng)]
    if number % NO_ATTRIBUTES_EVERY == 0:
        rows.append(_human_row(item, asin, [], options, rng))
    return rows


def _human_row(
    item: _Item, asin: str, wanted: list[str], options: dict[str, str], rng: random.Random
) -> dict[str, Any]:
    words = [*wanted[:1], item.kind.noun]
    text = f"{rng.choice(_catalogue().asking)} {_with_article(words)}"
    if wanted[1:]:
        text += f", {' and '.join(wanted[1:])}"
    for name, value in options.items():
        text += f", in {value}" if name == "color" else f", {name} {value}"
    return {
        "asin": asin,
        "instruction": text.lower() + ".",
        "attributes": list(item.attributes),
        "options": [f"{name}: {value}" for name, values in item.options.items() for value in values],
        "instruction_attributes": wanted,
        "instruction_options": list(options.values()),
    }


def _with_article(words: list[str]) -> str:
    """A noun, the last word, with what comes before it, and with an article unless it is plural."""
    text = " ".join(words)
    if text.endswith("s"):
        return text
    return f"an {text}" if text[0].lower() in "aeiou" else f"a {text}"
