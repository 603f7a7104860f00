"""Players that both WebShops are held against each other with, and the shop of oddities they play in."""

import json
import random
from pathlib import Path

ODD_FILES = ("items_shuffle.json", "items_ins_v2.json", "items_human_ins.json")
"""The original's names."""


def write_odd_files(folder: Path) -> None:
    """Products with everything that real data has and a generated shop has little of."""
    products = [_product(number, **odd) for number, odd in enumerate(_ODDITIES)]
    annotations = {
        product["asin"]: {
            "attributes": ["long lasting", "easy clean", f"mark {number}"],
            "instruction": "Find me a long lasting thing",
            "instruction_attributes": ["long lasting"],
        }
        if number % 4 != 3
        else {}
        for number, product in enumerate(products)
    }
    human = {
        product["asin"]: [
            {
                "instruction": f"i want a long lasting {product['name'].lower()}.",
                "instruction_attributes": ["long lasting", "easy clean"][: 1 + number % 2],
                "instruction_options": [content["value"] for values in _options(product) for content in values[-1:]],
            }
        ]
        for number, product in enumerate(products)
    }
    for name, content in zip(ODD_FILES, (products, annotations, human), strict=True):
        (folder / name).write_text(json.dumps(content), encoding="utf-8")


def _options(product):
    return [values for values in (product["customization_options"] or {}).values() if values]


def _product(number, **odd):
    return {
        "asin": f"B0ODD{number:05d}",
        "name": f"Odd Lamp {number}",
        "category": "garden",
        "query": " Table Lamps ",
        "product_category": "Home & Kitchen › Lighting › Lamps",
        "full_description": "A lamp that is easy clean.",
        "small_description": ["Long lasting lamp ", "For the table"],
        "pricing": "$20.00",
        "customization_options": None,
        "images": ["https://example.org/1.jpg"],
    } | odd


def _values(*values):
    return [{"value": value, "price": None, "image": None} for value in values]


_ODDITIES = [
    {"name": "Same Name Lamp", "pricing": "$10.00"},
    {"name": "Same Name Lamp", "pricing": "$15.00"},
    {"name": "same name LAMP", "pricing": "$99.00$120.00"},
    {"name": "Lamp [2 Pack] (Large)", "customization_options": {"Size": _values("Large", "Small")}},
    {"name": "Lamp <b>bold</b> & <script>alert(1)</script> &amp; more"},
    {"customization_options": {"Size": _values("large", "small"), "Color": _values("red", "large")}},
    {"customization_options": {"Size": _values('6"', '12"', "size"), "color": _values("color", "Dark/Red")}},
    {"customization_options": {"Größe": _values("groß", "klein"), "Style": None, "Empty": []}},
    {"customization_options": {"Number": _values(*(f"number {n}" for n in range(60))), "Color": _values("blue")}},
    {"customization_options": {"Page": _values("buy now", "description", "< prev", "next >", "reviews")}},
    {"customization_options": {"Twice": _values("one", "ONE", " one "), "Back": _values("back to search")}},
    {"customization_options": {"Search": _values("search", "searched")}},
    {"full_description": "", "small_description": [], "pricing": ""},
    {"full_description": "line one\nline two\n\n   line four ", "small_description": "not a list"},
    {"full_description": "  \n ", "small_description": ["", "  ", "\n", "after blanks"]},
    {"full_description": "tabs\tand  spaces   ", "small_description": [" lead", "trail "]},
    {"name": "  Lamp with blanks around  ", "pricing": "$1,234.56"},
    {"name": "Lampe für die Küche – ★ 日本", "pricing": "$5.00$7.50$9.00"},
    {"name": "42 100", "query": "other", "product_category": "One › Two › Three"},
    {"name": "with and for", "query": "other", "product_category": "Home & Kitchen › Lighting › Shades"},
    {"name": "Chair", "query": "chairs", "product_category": "Furniture", "pricing": "$0.99"},
    {
        "name": "Chair Lamp Table Shelf Stool Bench Sofa Desk Bed Rug Box Cup",
        "query": "sets",
        "product_category": "Sets",
    },
    {"name": "Easy Clean Cup", "query": "cups", "product_category": "Kitchen › Cups", "pricing": "$1000.00"},
    {
        "name": "It's \"quoted\" lamp's {{ 7 * 7 }} {% raw %}",
        "customization_options": {"Color": _values("it's", "a\\b")},
    },
]


class RandomShopper:
    """Searches and clicks at random, and now and then says something that has no place."""

    def __init__(self, seed: str, words: list[str]) -> None:
        self._rng = random.Random(seed)
        self._words = words

    def act(self, clickables, offered) -> str:
        """The next command, by what can be clicked and by what is offered."""
        rng = self._rng
        if clickables == ("search",):
            return self._strange(clickables) if rng.random() < 0.1 else self._search()
        kind = rng.random()
        if kind < 0.08:
            return self._strange(clickables)
        if kind < 0.16:
            return self._search()
        if kind < 0.24 and "buy now" in clickables:
            return "click[Buy Now]"
        if kind < 0.55:
            return f"click[{rng.choice(clickables)}]"
        if kind < 0.62:
            return f"click[{rng.choice(clickables).upper()}]"
        return rng.choice(offered)

    def _search(self) -> str:
        return f"search[{' '.join(self._rng.choices(self._words, k=self._rng.randint(1, 5)))}]"

    def _strange(self, clickables) -> str:
        nonsense = ["", "click", "click[]", "search[]", "search[ ]", "look around", "click[search]", "click[next page]"]
        nonsense += ["buy now", "click [buy now]", "CLICK[< prev]", "search[zzzzqqq]", "click[item - no such thing]"]
        nonsense += [f"click[{clickables[0]}] please", f"click[{clickables[0]}", 'search["red" lamp]', "search[a[b]c]"]
        return self._rng.choice(nonsense)
