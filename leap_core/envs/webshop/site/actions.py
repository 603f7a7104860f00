"""Commands as the student writes them, and which of them a page offers: the paper's wrapper of the original.

A search is in free form, so the first page offers no list. On other pages the list holds a click for each thing on the
page, with items by their names. A list of more than twenty is cut as there: six stay, ten of the rest are drawn.
"""

import hashlib
import re
from collections.abc import Sequence
from random import Random

from leap_core.envs.webshop.shop.products import Product
from leap_core.envs.webshop.site.pages import SEARCH, Page
from leap_core.envs.webshop.site.visit import Visit

_COMMAND = re.compile(r"(?P<verb>.+)\[(?P<argument>.+)\]")
_ITEM = "click[item - "
_LONGEST = 20
_NUM_KEPT, _NUM_DRAWN = 6, 10


def execute(visit: Visit, command: str) -> bool:
    """Do what a command says; False where it cannot be done here."""
    if visit.reward is not None:
        return False
    item = _named_item(command, visit.listed)
    if item is not None:
        return visit.click(item.asin.lower())
    match = _COMMAND.match(command)  # what follows the last bracket is ignored, as in the original
    if match is None:
        return False
    verb, argument = match["verb"], match["argument"].lower()
    if verb == "search":
        visit.search(argument)
    return visit.click(argument) if verb == "click" else verb == "search"


def offered(page: Page, listed: Sequence[Product], draw: Random | None) -> tuple[str, ...]:
    """The commands that are listed for a page. Without `draw`, all of them.

    The original offers two items of one name by that name, and opens one of them or none; here the name opens the
    first, and further ones are offered by their asins.
    """
    first: dict[str, str] = {}
    for product in listed:
        first.setdefault(product.title.lower(), product.asin.lower())
    title_of = {asin: title for title, asin in first.items()}
    commands: list[str] = []
    for name in page.clickables:
        if name == SEARCH.lower():  # a value of that name cannot be clicked
            continue
        commands.append(f"{_ITEM}{title_of[name]}]" if name in title_of else f"click[{name}]")
        if draw is not None and len(commands) > _LONGEST:
            commands = commands[:_NUM_KEPT] + draw.sample(commands[_NUM_KEPT:], _NUM_DRAWN)
    return tuple(commands)


def draw_for(spec_id: str, num_steps: int) -> Random:
    """What decides which commands are left out at one step of an episode: the same in every run, anew at every step."""
    digest = hashlib.sha256(f"{spec_id}:{num_steps}".encode()).digest()
    return Random(int.from_bytes(digest[:8], "big"))


def _named_item(command: str, listed: Sequence[Product]) -> Product | None:
    """The item that a command `click[item - <name>]` means: the first on the page that has this name."""
    if not command.startswith(_ITEM):
        return None
    name = command[len(_ITEM) : -1]
    return next((product for product in listed if product.title.lower() == name), None)
