"""Pages read back from their text, as one who only sees the observation must."""

import re
from dataclasses import dataclass

from leap_core.envs.webshop.site.pages import BUY

_RESULTS = re.compile(r"^Page (\d+) \(Total results: (\d+)\)$", re.MULTILINE)
_LISTING = re.compile(r"\n\[(?:clicked )?button\] (\S+) \[(?:clicked )?button_\]\n(.*)\n(\$.*)(?=\n)")
_VALUE = re.compile(r"  \[(?:clicked )?button\] (.*) \[(?:clicked )?button_\]$")
_AMOUNT = re.compile(r"\$(\d+(?:\.\d+)?)")


@dataclass(frozen=True, kw_only=True)
class Listing:
    """An item in a list of results. `price_tag` is what the page says, "$5.0" or "$5.0 to $8.0"."""

    asin: str
    title: str
    price_tag: str


@dataclass(frozen=True, kw_only=True)
class ResultsPage:
    """One page of a list of results."""

    number: int
    num_results: int
    listings: tuple[Listing, ...]


@dataclass(frozen=True, kw_only=True)
class ItemPage:
    """An item's own page. `options` maps their names to the values on offer."""

    title: str
    price_tag: str
    options: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class SearchPage:
    """The first page."""


@dataclass(frozen=True)
class SubPage:
    """Description, features or reviews of an item."""


ReadPage = SearchPage | ResultsPage | ItemPage | SubPage


def read_page(text: str) -> ReadPage:
    """Say which page this is, and what is on it."""
    found = _RESULTS.search(text)
    if text.startswith("WebShop\n"):
        return SearchPage()
    if found:
        listings = (Listing(asin=m[1], title=m[2], price_tag=m[3]) for m in _LISTING.finditer(text))
        return ResultsPage(number=int(found[1]), num_results=int(found[2]), listings=tuple(listings))
    return _read_item(text) if f"\n[button] {BUY} [button_]\n" in text else SubPage()


def lowest_price(price_tag: str) -> float:
    """The price, or the lower end of a range of prices, in dollars."""
    return min(map(float, _AMOUNT.findall(price_tag)), default=0.0)


def _read_item(text: str) -> ItemPage:
    above, _, below = text.rpartition("\nPrice: ")
    _, _, shown = above.partition("[button] < Prev [button_]\n")
    *lines, title = shown.split("\n")
    options: dict[str, tuple[str, ...]] = {}
    name = ""
    for line in lines:
        value = _VALUE.match(line)
        if value:
            options[name] = (*options.get(name, ()), value[1])
        else:
            name = line
    return ItemPage(title=title, price_tag=below.partition("\n")[0], options=options)
