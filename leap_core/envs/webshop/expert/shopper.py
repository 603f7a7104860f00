"""What a sensible shopper does on a page, and why: the decisions behind WebShop's expert."""

from collections.abc import Sequence
from dataclasses import dataclass

from leap_core.envs.webshop.expert.reading import (
    ItemPage,
    Listing,
    ReadPage,
    ResultsPage,
    SearchPage,
    lowest_price,
    read_page,
)
from leap_core.envs.webshop.privileged import HiddenGoal, RightItem
from leap_core.envs.webshop.shop.goals import GoalOption
from leap_core.envs.webshop.site.reward import matches
from leap_core.envs.webshop.site.wording import fit, price_limit, queries, telling_words, without_price
from leap_core.types import Action, Level, Observation, Spec, Step

_FITS = 0.5
"""From this share of the wanted words in its title on, an item is worth a look."""
_MOST_PAGES = 3
"""Of one search; then the best that was seen is taken."""
_LATE = 10
"""After so many steps what is open is bought: an item that fits in part is worth more than none."""
_BACK, _PREVIOUS, _NEXT, _BUY, _LOOK = (
    f"click[{name}]" for name in ("back to search", "< prev", "next >", "buy now", "description")
)
_WHY = {
    _BACK: "These results do not fit what the task asks for. Other words may find what does.",
    _PREVIOUS: "I have seen enough here, so I go back.",
    _NEXT: "I want to compare with more items, so I look at the next page.",
}
"""Reasons for commands that need none of what is on the page."""


@dataclass(frozen=True, kw_only=True)
class Shopper:
    """What may guide one decision.

    Args:
        words: what is wanted, word by word.
        options: wanted values, where the level reveals them.
        plan: a search that finds a right item on the page `plan_page`; "" where that is not revealed or not known.
        right_items: by asin, where they are revealed and can be found.
        offered: the commands that are listed now.
    """

    wanted: str
    words: list[str]
    limit: float | None
    options: tuple[str, ...] | None
    plan: str
    plan_page: int
    right_items: dict[str, RightItem]
    history: Sequence[Step]
    offered: frozenset[str]

    @classmethod
    def of(
        cls, spec: Spec, history: Sequence[Step], observation: Observation, hidden: HiddenGoal, level: Level
    ) -> "Shopper":
        """Put together what a level of privilege allows to be known here."""
        wanted = without_price(spec.instruction)
        words = telling_words(wanted)
        if level >= 25:
            told = telling_words(" ".join(hidden.attributes))
            words += [word for word in told if word not in words]
        return cls(
            wanted=wanted,
            words=words,
            limit=price_limit(spec.instruction),
            options=hidden.options if level >= 50 else None,
            plan=hidden.search if level >= 75 else "",
            plan_page=hidden.page,
            right_items={item.asin: item for item in hidden.right_items} if level == 100 and hidden.search else {},
            history=history,
            offered=frozenset(observation.admissible or ()),
        )

    def decide(self, page: ReadPage) -> Action:
        """What to do on a page."""
        if isinstance(page, SearchPage):
            return self._search()
        if isinstance(page, ResultsPage):
            return self._go_to_right_item(page) if self.right_items else self._look_through(page)
        if isinstance(page, ItemPage):
            return self._choose_and_buy(page)
        return Action(reason="I have read this page, so I go back to the item.", command=_PREVIOUS)

    def why(self, command: str, page: ReadPage) -> str:
        """A reason for a command that somebody else decided on."""
        if isinstance(page, ResultsPage):
            opened = next((listing for listing in page.listings if _command(listing, page) == command), None)
            if opened is not None:
                return self._why_open(opened)
        if isinstance(page, ItemPage):
            if command == _BUY:
                return self._why_buy(page, bool(self._clicked_here()))
            if command[len("click[") : -1] in (value for values in page.options.values() for value in values):
                return self._why_choose(command[len("click[") : -1], page)
        if command.startswith("search["):
            return self._why_search()
        return _WHY.get(command, "I want to know more before I decide.")

    def _search(self) -> Action:
        """Search with the next words that were not tried yet."""
        tried = self._searches()
        candidates = [*([self.plan] if self.plan else []), *queries(self.wanted)]
        fresh = [query for query in candidates if f"search[{query}]" not in tried]
        query = candidates[0] if self.right_items or not fresh else fresh[0]
        return Action(reason=self._why_search(), command=f"search[{query}]")

    def _why_search(self) -> str:
        failed = "My last search did not lead there, so I try other words"
        why = failed if self._searches() else "I describe it in a few words"
        limit = "" if self.limit is None else " A price cannot be searched for, so I leave it out."
        return f"I have to find this: {self.wanted}. {why}.{limit}"

    def _go_to_right_item(self, page: ResultsPage) -> Action:
        """Open a right item, or go to where one is listed."""
        right = next((listing for listing in page.listings if listing.asin in self.right_items), None)
        if right is not None:
            return self._open(right, page)
        if self._searches()[-1:] != [f"search[{self.plan}]"]:
            return Action(reason=_WHY[_BACK], command=_BACK)
        if page.number < self.plan_page:
            return Action(reason=_turn("None of the items on this page"), command=_NEXT)
        return Action(reason="I have gone too far; an earlier page had better results.", command=_PREVIOUS)

    def _look_through(self, page: ResultsPage) -> Action:
        """Open the item that fits best by its title and price, unless another page may have a better one."""
        opened = {step.action.command for step in self.history}
        known = [listing for listing in page.listings if _command(listing, page) not in opened]
        affordable = [listing for listing in known if self._affordable(listing.price_tag)]
        best = max(affordable, key=lambda listing: fit(self.words, listing.title), default=None)
        is_last = page.number >= _MOST_PAGES or page.number * len(page.listings) >= page.num_results
        if best is not None and (is_last or fit(self.words, best.title) >= _FITS):
            return self._open(best, page)
        if is_last:
            return Action(reason="Nothing here is worth a look, so I search with other words.", command=_BACK)
        return Action(reason=_turn("No item on this page"), command=_NEXT)

    def _choose_and_buy(self, page: ItemPage) -> Action:
        """Choose what is wanted and not chosen yet, then buy; go back from an item that cannot be right."""
        right = self._right(page)
        if right is None and self._should_leave(page):
            affordable = self._affordable(page.price_tag)
            why = "is not what is asked for" if affordable else "costs more than the task allows"
            return Action(reason=f"{_short(page.title)} {why}, so I go back to the results.", command=_PREVIOUS)
        fitting = right.values if right is not None else map(self._fitting_value, page.options.values())
        values = [value for value in fitting if value is not None]
        chosen = self._clicked_here()
        for value in values:
            if value not in chosen:
                return self._choose(value, page)
        return Action(reason=self._why_buy(page, bool(values)), command=_BUY)

    def _open(self, listing: Listing, page: ResultsPage) -> Action:
        return Action(reason=self._why_open(listing), command=_command(listing, page))

    def _why_open(self, listing: Listing) -> str:
        named = [word for word in self.words if fit([word], listing.title) > 0]
        why = f"mentions {', '.join(named[:6])}" if named else "may be what the task asks for"
        return f"{_short(listing.title)} {why}. It costs {listing.price_tag}{self._within()}. I open it."

    def _choose(self, value: str, page: ItemPage) -> Action:
        if f"click[{value}]" in self.offered:
            return Action(reason=self._why_choose(value, page), command=f"click[{value}]")
        name = _option_of(value, page)
        return Action(reason=f"The {name} that I need is not offered now. I read on and come back.", command=_LOOK)

    def _why_choose(self, value: str, page: ItemPage) -> str:
        asked = " as the task asks for" if fit(telling_words(value), self.wanted) == 1 else ", the closest to the task"
        return f"This item comes in several kinds of {_option_of(value, page)}. I choose {value}{asked}."

    def _why_buy(self, page: ItemPage, has_chosen: bool) -> str:
        chosen = "I have chosen what the task asks for" if has_chosen else "There is nothing to choose"
        return f"{_short(page.title)} fits the task. {chosen}, and it costs {page.price_tag}{self._within()}. I buy it."

    def _should_leave(self, page: ItemPage) -> bool:
        return len(self.history) < _LATE and (bool(self.right_items) or not self._affordable(page.price_tag))

    def _right(self, page: ItemPage) -> RightItem | None:
        """The right item that this page shows. Two of one name and one price are told apart by nothing."""
        items = self.right_items.values()
        return next((item for item in items if (item.name, item.price_tag) == (page.title, page.price_tag)), None)

    def _fitting_value(self, values: Sequence[str]) -> str | None:
        """The value of an option that is wanted, if there is one."""
        if self.options is not None:
            wanted = [GoalOption(name="", value=option) for option in self.options]
            return next((value for option in wanted for value in values if matches(value, option)), None)
        named = [value for value in values if telling_words(value) and fit(telling_words(value), self.wanted) == 1]
        return max(named, key=len, default=None)

    def _clicked_here(self) -> set[str]:
        """What was clicked since the open item was opened."""
        clicked = set[str]()
        for step in reversed(self.history):
            if isinstance(read_page(step.observation.text), (ResultsPage, SearchPage)):
                break
            clicked.add(step.action.command.removeprefix("click[").removesuffix("]"))
        return clicked

    def _searches(self) -> list[str]:
        return [step.action.command for step in self.history if step.action.command.startswith("search[")]

    def _affordable(self, price_tag: str) -> bool:
        return self.limit is None or lowest_price(price_tag) <= self.limit

    def _within(self) -> str:
        return "" if self.limit is None else f", and the limit is {self.limit:.2f} dollars"


def _command(listing: Listing, page: ResultsPage) -> str:
    """The command that opens an item: by its name, or by its asin where another one of that name comes first."""
    first = next(other for other in page.listings if other.title.lower() == listing.title.lower())
    return f"click[item - {listing.title.lower()}]" if first is listing else f"click[{listing.asin.lower()}]"


def _option_of(value: str, page: ItemPage) -> str:
    return next((name for name, values in page.options.items() if value in values), "option")


def _turn(which: str) -> str:
    return f"{which} fits what the task asks for well enough. I look at the next page."


def _short(title: str) -> str:
    """A title shortened as people would: up to the first comma or bracket, at most ten words."""
    head = title.split(",")[0].split("(")[0].split("|")[0].strip() or title
    return " ".join(head.split()[:10])
