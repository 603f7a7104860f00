"""What a shopper has seen by each step: which results were listed, which items were opened, and what these offer."""

import re
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from leap_core.envs.sight import Sight, Spot, SpotKind
from leap_core.envs.webshop.expert.reading import ItemPage, Listing, ResultsPage, SubPage, read_page
from leap_core.types import PrivilegedState, Trajectory

_MODEL = re.compile(r"\b[A-Z]{2}-\d{2,}\b")
_RESULT_WORDS = ("result", "item", "product", "hit", "listing", "entry", "searchresult", "option")
_MOST_RESULTS = 10
"""Of one page."""
_STOCK = {"instock": "stock", "outofstock": "stock", "soldout": "stock", "onsale": "stock"}
_LATER = ("later", "further", "next", "following", "other", "remaining", "second", "third")
_LITTLE = frozenset(
    [
        "and",
        "the",
        "for",
        "with",
        "one",
        "two",
        "size",
        "color",
        "colour",
        "price",
        "style",
        "in",
        "of",
        "to",
        "on",
        "a",
    ]
)


def see(trajectory: Trajectory, privileged: PrivilegedState) -> list[Sight]:
    """What was seen by each step of an episode, and what the right items offer."""
    hidden = _Hidden(privileged.facts)
    listed, pages = dict[str, Listing](), dict[str, str]()
    rank: Sequence[Listing] = ()
    sights, last, instruction = [], "", trajectory.spec.instruction
    for step in trajectory.steps:
        page = read_page(step.observation.text)
        if isinstance(page, ResultsPage):
            rank = page.listings
            listed |= {one.asin: one for one in page.listings}
        elif isinstance(page, ItemPage):
            last = page.title
            pages[last] = f"{pages.get(last, '')} {_without(instruction, step.observation.text)}"
        elif isinstance(page, SubPage) and last:
            pages[last] = f"{pages.get(last, '')} {_without(instruction, step.observation.text)}"
        elif not isinstance(page, SubPage):
            rank = ()
        sights.append(hidden.sight(listed, pages, rank))
    return sights


class _Hidden:
    """What the facts tell of the right items."""

    def __init__(self, told: Mapping[str, JsonValue]) -> None:
        attributes, options = _texts(told.get("attributes")), _texts(told.get("options"))
        rows = told.get("right_items")
        right = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        self.offers = {
            str(row["asin"]): frozenset((*attributes, *_texts(row.get("values")), *options))
            for row in right
            if "asin" in row
        }
        values = {value for held in self.offers.values() for value in held} | {*attributes, *options}
        self.things = {spelling: value for value in sorted(values) for spelling in _spellings(value)} | _STOCK
        self.wanted = frozenset((*attributes, *options))

    def sight(self, listed: Mapping[str, Listing], pages: Mapping[str, str], rank: Sequence[Listing]) -> Sight:
        numbers = {one.asin: number for number, one in enumerate(rank, start=1)}
        items = [self._item(one, pages.get(one.title), numbers.get(one.asin)) for one in listed.values()]
        if not rank:
            items += [
                Spot(names=(f"result {number}",), kind=SpotKind.RESULT, group="result", number=number)
                for number in range(1, _MOST_RESULTS + 1)
            ]
        items.append(Spot(names=("page 1", "page one", "first page"), kind=SpotKind.RESULT, opened=bool(listed)))
        items.append(Spot(names=tuple(f"{which} page{s}" for which in _LATER for s in ("", "s")), kind=SpotKind.RESULT))
        text = " ".join((*pages.values(), *(one.title for one in listed.values()))).lower()
        shown = frozenset(thing for thing in self.things.values() if thing in text) if listed else frozenset()
        groups = dict.fromkeys(_RESULT_WORDS, "result")
        return Sight(spots=tuple(items), groups=groups, things=self.things, wanted=self.wanted, shown=shown)

    def _item(self, one: Listing, page: str | None, number: int | None) -> Spot:
        brand = one.title.split()[0].lower()
        return Spot(
            names=tuple(
                dict.fromkeys(
                    (
                        one.title.split(",")[0].lower(),
                        one.asin.lower(),
                        *map(str.lower, _MODEL.findall(one.title)),
                        brand,
                    )
                )
            ),
            kind=SpotKind.ITEM,
            group="result" if number else "",
            number=number,
            opened=page is not None,
            holds=self.offers.get(one.asin),
            shown=f"{one.title} {one.price_tag}".lower(),
        )


def _texts(value: JsonValue) -> list[str]:
    return [str(one).lower() for one in value] if isinstance(value, list) else []


def _spellings(value: str) -> list[str]:
    """The ways to write a value or an attribute: "easy install" is also "easy to install"."""
    words = re.findall(r"[a-z]+|\d+(?:\.\d+)?", value)
    if len(words) == 1 and (words[0].isdigit() or words[0] in _LITTLE or "." in words[0]):
        return [f"size{words[0]}"]
    found = ["".join(words), "".join(words).removesuffix("s")]
    if len(words) == 2:
        found += [f"{words[0]}to{words[1]}", f"{words[0]}{words[1]}ed", f"{words[0]}for{words[1]}"]
        if words[1].startswith("resist"):
            found += [f"{words[0]}resistance", f"resists{words[0]}", f"resist{words[0]}"]
    if len(words) == 3 and words[0] in ("no", "non"):
        found += ["".join((words[2], words[1])), "".join(words[1:])]
    return found


def _without(instruction: str, text: str) -> str:
    """A page without the task, which stands on each."""
    return text.replace(instruction, "")
