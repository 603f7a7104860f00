"""The pages of the store, as text and as what can be clicked: the original's `text_rich` observations, to the letter.

The original writes HTML and reads it back. What that does to a text (nothing is shown of one that is empty, and of one
that is blank only a space) is done here directly.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from leap_core.envs.webshop.shop.products import Product
from leap_core.envs.webshop.site.reward import Reward

SEARCH, BACK_TO_SEARCH, PREVIOUS, NEXT, BUY = "Search", "Back to Search", "< Prev", "Next >", "Buy Now"
DESCRIPTION, FEATURES, REVIEWS = "Description", "Features", "Reviews"
SUB_PAGES = (DESCRIPTION, FEATURES, REVIEWS)
_BLANKS = " \n\t\f\r"


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """What a shopper sees.

    `clickables` are in the original's order: buttons, then items or values of options, all in lower case, each once.
    Words can be searched for on every page, though only the first has a field for them, whose button does nothing.
    """

    text: str
    clickables: tuple[str, ...]


def search_page(instruction: str) -> Page:
    """The first page, with nothing but the search."""
    return _page([*_shown("WebShop"), "Instruction: ", *_shown(instruction), _button(SEARCH)], [SEARCH])


def results_page(
    instruction: str, products: Sequence[Product], number: int, num_results: int, opened: Iterable[str]
) -> Page:
    """One page of a list of results. There always is a next page; past the last, it is empty."""
    lines = [*_head(instruction), f"Page {number} (Total results: {num_results})"]
    buttons = [BACK_TO_SEARCH, *([PREVIOUS] if number > 1 else []), NEXT]
    lines += [_button(name) for name in buttons[1:]]
    seen = set(opened)
    for product in products:
        lines.append("\n" + (_clicked(product.asin) if product.asin in seen else _button(product.asin)))
        lines += [*_shown(product.title), product.price_tag]
    return _page(lines, [*buttons, *(product.asin for product in products)])


def item_page(instruction: str, product: Product, query: str, chosen: dict[str, str]) -> Page:
    """The page of an item, with its options, of which `chosen` maps names to values.

    The original tells that a value was clicked by finding it in quotes in the page's address, which holds the search
    and the chosen options as JSON. So a value is never marked that JSON writes otherwise, such as 6", and one that is
    also the name of a chosen option, or stands in quotes in the search, always is. Those marked are told at the top.
    """
    address = f"{query.replace(' ', '+')}/{json.dumps(chosen)}"
    lines, marked = _head(instruction), list[str]()
    lines.append(_button(PREVIOUS))
    for name, values in product.options.items():
        lines += _shown(name)
        for value in filter(None, values):
            if f'"{value}"' in address:
                marked.insert(0, f"You have clicked {value}.")
                lines.append(f"  {_clicked(value)}")
            else:
                lines.append(f"  {_button(value)}")
    lines += [*_shown(product.title), f"Price: {product.price_tag}", "Rating: N.A."]
    lines += [_button(name) for name in (*SUB_PAGES, BUY)]
    on_offer = [value for values in product.options.values() for value in values if value]
    return _page([*marked, *lines], [BACK_TO_SEARCH, PREVIOUS, *SUB_PAGES, BUY, *on_offer])


def sub_page(instruction: str, product: Product, name: str) -> Page:
    """Description, features or reviews of an item. There never are reviews: the original publishes none."""
    lines = [*_head(instruction), _button(PREVIOUS)]
    if name == DESCRIPTION:
        lines += _shown(product.description)
    elif name == FEATURES:
        lines += [line for point in product.bullet_points for line in _shown(f" {point}")]
    return _page(lines, [BACK_TO_SEARCH, PREVIOUS])


def done_page(reward: Reward) -> Page:
    """The last page, with the score and its parts. The original's has the score among fields for its own study."""
    parts = ", ".join(f"{name} {value:.4f}".rstrip("0").rstrip(".") for name, value in reward.parts.items())
    score = f"Your score (min 0.0, max 1.0): {reward.total:.4g}"
    return _page(["Thank you for shopping with us!", score, f"Parts of the score: {parts}"], [])


def _page(lines: Iterable[str], clickables: Iterable[str]) -> Page:
    text = "".join(f"{line}\n" for line in lines)
    return Page(text=text, clickables=tuple(dict.fromkeys(name.lower() for name in clickables)))


def _head(instruction: str) -> list[str]:
    return ["Instruction:", *_shown(instruction), _button(BACK_TO_SEARCH)]


def _shown(text: str) -> list[str]:
    """A text as the original shows it: at most one line of its own, which may hold line breaks."""
    if text.strip(_BLANKS):
        return [text]
    return [" "] if text and "\n" not in text else []


def _button(name: str) -> str:
    return f"[button] {name} [button_]"


def _clicked(name: str) -> str:
    return f"[clicked button] {name} [clicked button_]"
