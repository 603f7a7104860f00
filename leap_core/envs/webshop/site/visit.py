"""One shopper's way through the store: which page they are on, and what a search or a click does there."""

from dataclasses import dataclass, field

from leap_core.envs.webshop.shop.goals import Goal
from leap_core.envs.webshop.shop.products import Product
from leap_core.envs.webshop.shop.shop import Shop
from leap_core.envs.webshop.site.nouns import Nouns
from leap_core.envs.webshop.site.pages import (
    BACK_TO_SEARCH,
    BUY,
    NEXT,
    PREVIOUS,
    SUB_PAGES,
    Page,
    done_page,
    item_page,
    results_page,
    search_page,
    sub_page,
)
from leap_core.envs.webshop.site.pages import SEARCH as SEARCH_BUTTON
from leap_core.envs.webshop.site.reward import Reward, score

RESULTS_A_PAGE = 10
SEARCH, RESULTS, ITEM, DONE = "search", "results", "item", "done"
_SUB_PAGES = {name.lower(): name for name in SUB_PAGES}


@dataclass(kw_only=True)
class Visit:
    """A visit to the store, to buy what `goal` asks for.

    Args:
        place: the page: "search", "results", "item", "done", or the name of a sub-page of an item.
        query: what was searched for last; `results` are the asins of what was found, `number` is the page of them.
        listed: the items on that page, while it is open.
        item: the open item; `options` maps names of its options to the values chosen.
        opened: asins of the items opened since the last return to the first page.
        reward: of the purchase, once there was one.
    """

    shop: Shop
    goal: Goal
    nouns: Nouns
    place: str = SEARCH
    query: str = ""
    number: int = 1
    results: list[str] = field(default_factory=list)
    listed: list[Product] = field(default_factory=list)
    item: Product | None = None
    options: dict[str, str] = field(default_factory=dict)
    opened: set[str] = field(default_factory=set)
    reward: Reward | None = None

    def page(self) -> Page:
        """What is seen now."""
        instruction = self.goal.instruction
        if self.reward is not None:
            return done_page(self.reward)
        if self.place == SEARCH:
            return search_page(instruction)
        if self.item is None:
            return results_page(instruction, self.listed, self.number, len(self.results), self.opened)
        if self.place == ITEM:
            return item_page(instruction, self.item, self.query, self.options)
        return sub_page(instruction, self.item, self.place)

    def search(self, query: str) -> None:
        """Search, which can be done from every page."""
        self.query, self.results = query, self.shop.search(query)
        self._list(1)

    def click(self, name: str) -> bool:
        """Click on what has this name, in lower case; False where the page has no such thing."""
        if self.place == SEARCH or self.place == DONE:
            return False
        if name == BACK_TO_SEARCH.lower():
            self.place, self.listed, self.item, self.options, self.opened = SEARCH, [], None, {}, set()
            return True
        if self.place == RESULTS:
            return self._click_on_results(name)
        if self.place == ITEM:
            return self._click_on_item(name)
        if name != PREVIOUS.lower():
            return False
        self.place = ITEM
        return True

    def _list(self, number: int) -> None:
        first = (number - 1) * RESULTS_A_PAGE
        self.listed = [self.shop.product(asin) for asin in self.results[first : first + RESULTS_A_PAGE]]
        self.place, self.number, self.item, self.options = RESULTS, number, None, {}

    def _click_on_results(self, name: str) -> bool:
        if name == NEXT.lower():
            self._list(self.number + 1)
        elif name == PREVIOUS.lower() and self.number > 1:
            self._list(self.number - 1)
        else:
            self.item = next((product for product in self.listed if product.asin.lower() == name), None)
            if self.item is None:
                return False
            self.place, self.listed = ITEM, []
            self.opened.add(self.item.asin)
        return True

    def _click_on_item(self, name: str) -> bool:
        assert self.item is not None
        if name == PREVIOUS.lower():
            self._list(self.number)
        elif name in _SUB_PAGES:
            self.place = _SUB_PAGES[name]
        elif name == BUY.lower():
            self.reward, self.place = score(self.item, self.options.values(), self.goal, self.nouns), DONE
        else:
            option = option_clicked(self.item, name)
            if option is None or name == SEARCH_BUTTON.lower():
                return False
            self.options[option] = name
        return True


def option_clicked(product: Product, value: str) -> str | None:
    """The option that a click on a value chooses: of several that have it, the last one, as in the original."""
    return next((name for name, values in reversed(product.options.items()) if value in values), None)
