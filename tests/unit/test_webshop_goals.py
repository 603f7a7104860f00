"""Goals: the original's order, words, price limits and splits; the same in any process."""

import random

import pytest
from webshop_files import HUMAN, row, write_data

from leap_core.envs.webshop.shop import store
from leap_core.envs.webshop.shop.building import build_shop
from leap_core.envs.webshop.shop.data_files import find_files
from leap_core.envs.webshop.shop.goals import NO_LIMIT, GoalOption, draw_limit
from leap_core.envs.webshop.shop.shop import ShopSettings, provide_shop
from leap_core.errors import LeapError

ALL = 10**6


@pytest.fixture(autouse=True)
def _cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def shop_of(tmp_path):
    """Build and open a shop of these rows."""

    def build(rows, *, name="root", price_seed=233, **files):
        data = write_data(tmp_path / f"data-{name}", rows, **files)
        return provide_shop(tmp_path / name, ShopSettings(data=data, seed=0, price_seed=price_seed))

    return build


def goals_of(shop, kind="human"):
    return [goal for split in ("test", "dev", "train") for goal in shop.goals(kind, split, ALL)]


def test_limits_are_one_of_the_next_round_prices_but_the_first():
    limits = {draw_limit(12.5, random.Random(seed)) for seed in range(100)}
    assert limits == {30.0, 40.0, 50.0}


@pytest.mark.parametrize(("price", "limits"), [(969.0, {980.0, 990.0}), (979.0, {990.0}), (980.0, {NO_LIMIT})])
def test_dear_products_have_few_limits_or_none(price, limits):
    assert {draw_limit(price, random.Random(seed)) for seed in range(100)} == limits


def test_an_instruction_with_and_without_a_limit(shop_of):
    cheap, dear = sorted(goals_of(shop_of([row(1), row(2, pricing="$1,000.00")])), key=lambda goal: goal.asin)
    assert cheap.instruction == f"i want a cotton shirt, and price lower than {cheap.price_upper:.2f} dollars"
    assert (dear.instruction, dear.price_upper) == ("i want a cotton shirt", NO_LIMIT)


def test_human_goals_without_attributes_are_counted_and_do_not_change_the_others_names(shop_of):
    human = {"B000000001": [{**HUMAN, "instruction_attributes": []}, HUMAN, {"instruction": 3}]}
    shop = shop_of([row()], human=human)
    assert [goal.id for goal in goals_of(shop)] == ["human-B000000001-1"]
    assert shop.report.left_out == {"instructions damaged": 1, "instructions without attributes": 1}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["red", "8"], (GoalOption(name="", value="red"), GoalOption(name="", value="8"))),
        ({"color": "red"}, (GoalOption(name="color", value="red"),)),
        ([], ()),
    ],
)
def test_options_of_human_goals(shop_of, options, expected):
    (goal,) = goals_of(shop_of([row()], human={"B000000001": [{**HUMAN, "instruction_options": options}]}))
    assert goal.options == expected


@pytest.mark.parametrize("options", [None, ["red", 3], {"color": None}])
def test_human_goals_with_damaged_options_are_counted(shop_of, options):
    shop = shop_of([row()], human={"B000000001": [{**HUMAN, "instruction_options": options}]})
    assert (goals_of(shop), shop.report.left_out) == ([], {"instructions damaged": 1})


def test_a_synthetic_goal_for_each_combination_of_options_all_with_one_limit(shop_of):
    options = {"Size": [{"value": "8"}, {"value": "9"}], "Color": [{"value": "red"}, {"value": "blue"}]}
    said = {"attributes": ["cotton"], "instruction": "Find me shirts", "instruction_attributes": ["cotton"]}
    shop = shop_of([row(customization_options=options)], annotations={"B000000001": said})
    goals = sorted(goals_of(shop, "synthetic"), key=lambda goal: goal.id)
    pairs = [("blue", "8"), ("blue", "9"), ("red", "8"), ("red", "9")]
    named = [("red", "8"), ("red", "9"), ("blue", "8"), ("blue", "9")]  # as the file has them; names are sorted
    assert [tuple(option.value for option in goal.options) for goal in goals] == named
    assert sorted(pairs) == sorted(named)
    assert goals[0].instruction.startswith("Find me shirts with color: red, and size: 8, and price lower than ")
    assert len({goal.price_upper for goal in goals}) == 1


def test_no_synthetic_goal_where_an_option_has_no_value(shop_of):
    said = {"attributes": ["cotton"], "instruction": "Find me shirts", "instruction_attributes": ["cotton"]}
    shop = shop_of([row(customization_options={"Size": []})], annotations={"B000000001": said})
    assert goals_of(shop, "synthetic") == []


def test_a_synthetic_instruction_without_attributes_is_counted(shop_of):
    shop = shop_of([row()], annotations={"B000000001": {"attributes": ["a"], "instruction": "Find me shirts"}})
    assert shop.report.left_out == {"synthetic instructions without attributes": 1}


def test_splits_are_by_number_and_do_not_depend_on_how_many_are_asked_for(shop_of):
    human = {f"B{number:09d}": [HUMAN] * 100 for number in range(16)}
    shop = shop_of([row(number) for number in range(16)], human=human)
    for split, first, last in (("test", 0, 499), ("dev", 500, 1499), ("train", 1500, 1599)):
        numbers = [goal.number for goal in shop.goals("human", split, ALL)]
        assert numbers == list(range(first, last + 1))
        assert [goal.number for goal in shop.goals("human", split, 7)] == numbers[:7]


def test_the_order_is_the_shuffle_of_the_original(shop_of):
    rows = [row(number) for number in range(40)]
    order = list(range(40))
    random.seed(233)
    random.shuffle(order)
    assert [goal.asin for goal in goals_of(shop_of(rows))] == [rows[number]["asin"] for number in order]


def test_prices_and_limits_depend_on_the_price_seed_alone(shop_of):
    rows = [row(number, pricing=f"${number}.00${number + 9}.00") for number in range(30)]
    random.seed(1)
    first = shop_of(rows, name="one")
    random.seed(2)
    again, other = shop_of(rows, name="two"), shop_of(rows, name="three", price_seed=7)
    assert goals_of(first) == goals_of(again) != goals_of(other)
    prices = [[shop.product(product["asin"]).price for product in rows] for shop in (first, again, other)]
    assert prices[0] == prices[1] != prices[2]
    assert [goal.asin for goal in goals_of(first)] == [goal.asin for goal in goals_of(other)]


def test_goals_of_one_kind_do_not_depend_on_those_of_the_other(shop_of):
    rows = [row(number, pricing="$1.00$9.00") for number in range(20)]
    said = {"attributes": ["cotton"], "instruction": "Find me shirts", "instruction_attributes": ["cotton"]}
    annotations = {product["asin"]: said for product in rows}
    with_human = shop_of(rows, name="one", annotations=annotations)
    without = shop_of(rows, name="two", annotations=annotations, human={})
    assert goals_of(with_human, "synthetic") == goals_of(without, "synthetic")
    assert goals_of(with_human) == goals_of(shop_of(rows, name="three"))


def test_a_goal_is_found_without_reading_the_others(tmp_path):
    def work_of_finding_one(num_products):
        data = write_data(tmp_path / f"data-{num_products}", [row(number) for number in range(num_products)])
        build_shop(find_files(data), tmp_path / f"shop-{num_products}")
        database, steps = store.open_database(tmp_path / f"shop-{num_products}" / store.DATABASE_FILE), []
        database.set_progress_handler(lambda: steps.append(1), 1)
        assert store.read_goal(database, "human-B000000007-0").asin == "B000000007"
        return len(steps)

    assert work_of_finding_one(1000) < 2 * work_of_finding_one(10)


def test_a_goal_by_its_name(shop_of):
    rows = [row(number) for number in range(5)]
    said = {"attributes": ["cotton"], "instruction": "Find me shirts", "instruction_attributes": ["cotton"]}
    files = {"human": {"B000000001": [HUMAN] * 3}, "annotations": {product["asin"]: said for product in rows}}
    shop = shop_of(rows, **files)
    goals = [*goals_of(shop), *goals_of(shop, "synthetic")]
    assert len({goal.id for goal in goals}) == len(goals) == 3 + 10
    assert all(shop.goal(goal.id) == goal for goal in goals)
    for id in ("human-B000000001-3", "synthetic-B000000001-2", "human-B000000001", "x", "human-B000000001-\u00b2"):
        with pytest.raises(LeapError, match="No goal"):
            shop.goal(id)
    with pytest.raises(LeapError, match="No product 'B1'"):
        shop.product("B1")
