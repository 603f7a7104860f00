"""Products as the original's `load_products` leaves them, from the rows of its `items_shuffle*.json`."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

NO_ATTRIBUTES = ("DUMMY_ATTR",)
"""What the original gives a product of which the attribute file says nothing."""
NO_PRICE = 100.0
"""What a product without a price costs."""
MAX_ASIN_LENGTH = 10
_TEXTS = ("asin", "name", "category", "query", "product_category")


@dataclass(frozen=True, kw_only=True, slots=True)
class Product:
    """One product.

    `description` and `title` are as in the file; where they hold HTML, the original shows it as text. `options` maps a
    name in lower case to its values. `price` is what buying costs, in dollars, and `price_tag` what the pages say,
    which is a range for some products. Ratings and reviews are not part of the data that the original publishes.
    """

    asin: str
    title: str
    category: str
    query: str
    product_category: str
    description: str
    bullet_points: tuple[str, ...]
    options: dict[str, tuple[str, ...]]
    attributes: tuple[str, ...]
    price: float
    price_tag: str


class DamagedProductError(ValueError):
    """A row is not a product that can be sold."""


def normalised(
    rows: Iterable[Any], attributes: Mapping[str, tuple[str, ...]], left_out: Counter[str]
) -> Iterator[tuple[Product, tuple[float, ...]]]:
    """The products of `rows` with their prices, one or the two ends of a range, in order.

    What is left out, and why, is counted in `left_out`.

    As the original, this passes over asins that are too long or "nan", and over a second product of the same asin.
    Where the original would crash (a text or a price that cannot be read), the product is left out.
    """
    seen: set[str] = set()
    for row in rows:
        asin = row.get("asin") if isinstance(row, dict) else None
        if isinstance(asin, str) and (asin == "nan" or len(asin) > MAX_ASIN_LENGTH):
            left_out["asin too long, or nan"] += 1
        elif asin in seen:
            left_out["asin seen before"] += 1
        else:
            try:
                yield _normalise(row, attributes, left_out)
                seen.add(str(asin))
            except DamagedProductError as error:
                left_out[f"damaged: {error}"] += 1


def search_text(product: Product) -> str:
    """What is searched of a product: title, description, the first bullet point, and options."""
    options = ", and ".join(f"{name}: {', '.join(values)}" for name, values in product.options.items())
    first = product.bullet_points[0] if product.bullet_points else ""
    return f"{product.title} {product.description} {first} {options}".lower()


def is_unicode(*texts: str) -> bool:
    """False where a text holds a lone surrogate, which JSON can express but UTF-8 cannot."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return True


def _normalise(
    row: Any, attributes: Mapping[str, tuple[str, ...]], left_out: Counter[str]
) -> tuple[Product, tuple[float, ...]]:
    if not isinstance(row, dict):
        raise DamagedProductError("not an object")
    for key in _TEXTS:
        if not isinstance(row.get(key), str):
            raise DamagedProductError(f"no {key}")
    prices, price_tag = _prices(row.get("pricing"))
    product = Product(
        asin=row["asin"],
        title=row["name"],
        category=row["category"],
        query=row["query"].lower().strip(),
        product_category=row["product_category"],
        description=_text(row.get("full_description"), "full_description"),
        bullet_points=_bullet_points(row.get("small_description")),
        options=_options(row.get("customization_options"), left_out),
        attributes=attributes.get(row["asin"], NO_ATTRIBUTES),
        price=prices[0],
        price_tag=price_tag,
    )
    if not is_unicode(search_text(product), *product.bullet_points, *(row[key] for key in _TEXTS)):
        raise DamagedProductError("not Unicode")
    return product, prices


def _text(value: Any, key: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DamagedProductError(f"{key} is not a text")
    return value


def _bullet_points(value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(_text(text, "small_description") for text in values)


def _prices(pricing: Any) -> tuple[tuple[float, ...], str]:
    """One price, or the first two of several, in dollars; and what the pages say."""
    if not pricing:
        return (NO_PRICE,), f"${NO_PRICE}"
    if not isinstance(pricing, str):
        raise DamagedProductError("pricing is not a text")
    try:
        prices = tuple(float(Decimal(re.sub(r"[^\d.]", "", price))) for price in pricing.split("$")[1:])[:2]
    except InvalidOperation as error:
        raise DamagedProductError("pricing cannot be read") from error
    if not prices:
        raise DamagedProductError("pricing cannot be read")
    return prices, " to ".join(f"${price}" for price in prices)


def _options(value: Any, left_out: Counter[str]) -> dict[str, tuple[str, ...]]:
    if not value:
        return {}
    if not isinstance(value, dict):
        raise DamagedProductError("customization_options is not an object")
    return {name.lower(): _values(contents, left_out) for name, contents in value.items() if contents is not None}


def _values(contents: Any, left_out: Counter[str]) -> tuple[str, ...]:
    """The values of one option. One without a value is left out and counted; it does not cost the product."""
    if not isinstance(contents, list):
        raise DamagedProductError("an option is not a list")
    values = [content.get("value") if isinstance(content, dict) else None for content in contents]
    left_out["options without a value"] += sum(not isinstance(value, str) for value in values)
    return tuple(value.strip().replace("/", " | ").lower() for value in values if isinstance(value, str))
