"""The generated shop: the same bytes for a seed, and in it what makes shopping hard."""

import json
from collections import Counter, defaultdict
from hashlib import sha256

import pytest

from leap_core.envs.webshop.shop.generator import GENERATED_FILES, write_generated_files
from leap_core.envs.webshop.shop.shop import ShopSettings, provide_shop

SETTINGS = ShopSettings(data=None, seed=0)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """The rows of the three files."""
    folder = tmp_path_factory.mktemp("generated")
    write_generated_files(folder, 0)
    return read_all(folder)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    with provide_shop(tmp_path_factory.mktemp("shop"), SETTINGS) as opened:
        yield opened


def read_all(folder):
    return [json.loads((folder / name).read_text(encoding="utf-8")) for name in GENERATED_FILES]


def digests(folder, seed, **sizes):
    folder.mkdir()
    write_generated_files(folder, seed, **sizes)
    return [sha256((folder / name).read_bytes()).hexdigest() for name in GENERATED_FILES]


def test_the_same_seed_the_same_bytes(tmp_path):
    first, again, other = (digests(tmp_path / name, seed) for name, seed in (("a", 3), ("b", 3), ("c", 4)))
    assert first == again
    assert not set(first) & set(other)


def test_these_very_bytes(tmp_path):
    # Recorded play and published demos are of this shop: a change here makes them worthless.
    assert [digest[:8] for digest in digests(tmp_path / "a", 0)] == ["c74c7fca", "1d7abeed", "3d158ed0"]


@pytest.mark.parametrize(("num_products", "num_goals"), [(1, 1), (7, 3), (13, 13), (5, 0), (10, 25)])
def test_any_size(tmp_path, num_products, num_goals):
    write_generated_files(tmp_path, 0, num_products, num_goals)
    products, annotations, human = read_all(tmp_path)
    assert len({product["asin"] for product in products}) == len(annotations) == num_products
    assert sum(bool(row["instruction_attributes"]) for rows in human.values() for row in rows) == num_goals


def test_enough_of_everything(rows, shop):
    products, _, human = rows
    assert len(products) == 600
    assert min(Counter(product["category"] for product in products).values()) > 80
    assert shop.report.num_goals["human"] == 300
    assert [len(shop.goals("human", split, 999)) for split in ("test", "dev", "train")] == [60, 60, 180]
    assert shop.report.left_out == {"instructions without attributes": 8}
    assert sum(len(written) for written in human.values()) == 308


def test_products_that_differ_in_little(rows):
    kin = defaultdict(list)
    for product in rows[0]:
        kin[product["name"].partition(",")[0]].append(product)
    assert sum(len(family) > 1 for family in kin.values()) > 80
    assert sum(count > 1 for count in Counter(product["name"] for product in rows[0]).values()) > 50


def test_price_traps(shop):
    traps = 0
    for goal in shop.goals("human", "train", 180):
        found = [shop.product(asin) for asin in shop.search(goal.title)]
        traps += any(product.title == goal.title and product.price > goal.price_upper for product in found)
    assert traps > 20


def test_oddities_of_real_data(rows, shop):
    products = rows[0]
    assert any(product["pricing"] is None for product in products)
    assert any((product["pricing"] or "").count("$") == 2 for product in products)
    assert any("," in (product["pricing"] or "") for product in products)
    assert any(product["customization_options"] == "" for product in products)
    assert any(
        None in product["customization_options"].values() for product in products if product["customization_options"]
    )
    assert any("<" in product["full_description"] for product in products)
    assert any("[" in product["name"] for product in products)
    assert any("<" in product["name"] for product in products)
    sold = [shop.product(product["asin"]) for product in products]
    values = [value for product in sold for values in product.options.values() for value in values]
    assert any(" | " in value for value in values)
    assert any('"' in value for value in values)
    assert max(len(values) for product in sold for values in product.options.values()) > 25


def test_every_goal_can_be_fulfilled_by_its_product(shop):
    for goal in shop.goals("human", "train", 180) + shop.goals("human", "test", 60):
        product = shop.product(goal.asin)
        text = " ".join([*product.attributes, *product.bullet_points]).lower()
        assert all(attribute in text for attribute in goal.attributes)
        assert all(any(option.value in values for values in product.options.values()) for option in goal.options)
        assert product.price <= goal.price_upper
        assert goal.asin in shop.search(goal.instruction)
