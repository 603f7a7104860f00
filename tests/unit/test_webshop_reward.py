"""What a purchase is worth, part by part, and which words of a title are nouns."""

import pytest

from leap_core.envs.webshop.shop.goals import Goal, GoalOption
from leap_core.envs.webshop.shop.products import Product
from leap_core.envs.webshop.site.nouns import load_nouns, resolve_noun_step, rule_nouns
from leap_core.envs.webshop.site.reward import matches, score
from leap_core.errors import MissingPackageError

NOUNS = load_nouns("rules")


def product(**changes):
    fields = {
        "asin": "B000000001",
        "title": "Red Cotton Shirt",
        "category": "fashion",
        "query": "shirts",
        "product_category": "Clothing › Men › Shirts",
        "description": "Easy to wash.",
        "bullet_points": ("Long Lasting", "soft"),
        "options": {},
        "attributes": ("cotton",),
        "price": 20.0,
        "price_tag": "$20.0",
    }
    return Product(**{**fields, **changes})


def goal(**changes):
    fields = {
        "id": "human-B000000001-0",
        "number": 0,
        "kind": "human",
        "asin": "B000000001",
        "title": "Red Cotton Shirt",
        "category": "fashion",
        "query": "shirts",
        "product_category": "Clothing › Men › Shirts",
        "instruction": "i want a shirt",
        "attributes": ("cotton",),
        "options": (),
        "price_upper": 30.0,
    }
    return Goal(**{**fields, **changes})


def options(*values, name=""):
    return tuple(GoalOption(name=name, value=value) for value in values)


def test_all_that_was_asked_for():
    reward = score(product(), ["blue"], goal(options=options("blue")), NOUNS)
    assert (reward.total, reward.success) == (1.0, True)
    assert (reward.type, reward.attributes, reward.options, reward.price) == (1.0, 1.0, 1.0, 1.0)


def test_each_part_counts_alike():
    wanted = goal(attributes=("cotton", "waterproof"), options=options("blue", "xx-large"), price_upper=10.0)
    reward = score(product(), ["blue"], wanted, NOUNS)
    assert (reward.attributes, reward.options, reward.price) == (0.5, 0.5, 0.0)
    assert reward.total == pytest.approx(2 / 5)
    assert not reward.success

    assert reward.parts == {"type": 1.0, "attributes": 0.5, "options": 0.5, "price": 0.0}


def test_no_options_asked_for():
    assert score(product(), ["blue"], goal(), NOUNS).parts == {"type": 1.0, "attributes": 1.0, "price": 1.0}


def test_a_price_at_the_limit_is_within_it():
    below, above = (score(product(price=price), [], goal(), NOUNS) for price in (30.0, 30.01))
    assert (below.price, below.total) == (1.0, 1.0)
    assert (above.price, above.total) == (0.0, 0.5)


@pytest.mark.parametrize(
    ("attribute", "has"),
    [
        ("cottons", True),  # its list, nearly
        ("red cotton", True),  # the title
        ("long lasting", True),  # a bullet point
        ("to wash", True),  # the description
        ("Long Lasting", False),  # texts are in small letters by then, as in the original
        ("waterproof", False),
    ],
)
def test_where_an_attribute_is_looked_for(attribute, has):
    assert score(product(attributes=("cotton",)), [], goal(attributes=(attribute,)), NOUNS).attributes == has


@pytest.mark.parametrize(
    ("value", "wanted", "name", "same"),
    [
        ("dark red", "red wine", "", False),  # colours go by the first in the list that occurs: dark, red
        ("wine red", "bright red", "", True),
        ("tailored", "red", "", True),
        ("x-large", "x large", "", True),
        ("x-large", "large x", "", True),
        ("x-large", "large", "", True),  # all words of one are in the other
        ("large", "small", "", False),
        ("naïve", "nave", "", True),  # letters beyond ASCII are dropped
        ("10 inch", "color: 10 inch", "", True),
        ("large", "large", "size", True),
        ("red", "red", "color", True),
        ("wine red", "dark red", "color", True),  # "red" is among the words of the pair
        ("dark red", "red", "color", False),  # "dark" is not the pair's colour, which is a part of it alone
        ("", "", "", False),
        ("a" * 20 + "bbb", "a" * 20 + "cccc", "", False),  # 85.1 of 100, which is rounded to 85
        ("a" * 20 + "bbb", "a" * 20 + "ccc", "", True),  # 87.0
    ],
)
def test_options_that_count_as_the_same(value, wanted, name, same):
    assert matches(value, GoalOption(name=name, value=wanted)) is same


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 1.0),
        ({"title": "Blue Cotton Trousers"}, 1.0),  # a third of the nouns
        ({"title": "Shirt", "query": "x", "product_category": "x"}, 1.0),
        ({"title": "Garden Chair"}, 0.0),  # nothing in common, whatever its category
    ],
)
def test_kinds_of_product(changes, expected):
    assert score(product(**changes), [], goal(), NOUNS).type == expected


@pytest.mark.parametrize(
    ("title", "changes", "expected"),
    [
        ("A1 B C D E Shirt", {"query": "x", "product_category": "x"}, 0.5),  # a fifth: not above 0.2
        ("A1 B C D E Shirt", {"query": "x"}, 1.0),  # but two levels of the category
        ("A1 B C D E Shirt", {"query": "x", "product_category": "Shirts › Other"}, 0.5),
        ("A1 B C D E F G H I J K L N O Shirt", {}, 0.1),  # less than a tenth, whatever its query
        ("10 000", {"query": "x", "product_category": "x"}, 0.5),  # no noun at all is taken for 0.2
    ],
)
def test_kinds_of_product_by_the_share_of_nouns_in_common(title, changes, expected):
    assert score(product(title="Shirt", **changes), [], goal(title=title), NOUNS).type == expected


def test_a_noun_that_stands_twice_in_the_wanted_title_counts_twice_below():
    wanted = goal(title="Shirt Shirt Shirt Shirt Shirt Shirt Shirt Shirt Shirt Shirt Shirt")
    assert score(product(title="Shirt"), [], wanted, NOUNS).type == 0.1


def test_nouns_by_rules():
    title = "Women's Long-Sleeve Dress for Parties, 2 Pack, 10cm, machine washable & soft, XX-Large"
    assert rule_nouns(title) == (
        "women", "long", "sleeve", "dress", "parties", "pack", "cm", "machine", "soft", "xx", "large",
    )  # fmt: skip


def test_which_noun_step_is_taken():
    assert resolve_noun_step("rules") == "rules"
    assert resolve_noun_step("auto") in ("spacy", "rules")


def test_without_spacy_the_error_says_what_to_do():
    if resolve_noun_step("auto") == "spacy":
        pytest.skip("spaCy and its model are installed here")
    with pytest.raises(MissingPackageError, match=r"pip install spacy.*en_core_web_sm.*nouns = 'rules'"):
        load_nouns("spacy")
