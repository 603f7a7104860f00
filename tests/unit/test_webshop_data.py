"""Reading the original's files: what its loader makes of a product, and what becomes of bad data."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from webshop_files import HUMAN, row, write_data

from leap_core.envs.folders import find_folder
from leap_core.envs.webshop.shop.building import build_shop
from leap_core.envs.webshop.shop.data_files import HOW_TO_GET, find_files, read_rows
from leap_core.envs.webshop.shop.products import NO_ATTRIBUTES, search_text
from leap_core.envs.webshop.shop.shop import SHOP_FOLDER, Shop, ShopSettings, provide_shop
from leap_core.errors import LeapError, UnknownNameError


@pytest.fixture(autouse=True)
def _cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def shop_of(tmp_path):
    """Build and open a shop with these rows and 50 whole products more, so that a few bad ones are no catastrophe."""

    def build(*rows, **files):
        others = [row(number) for number in range(100, 150)]
        data = write_data(tmp_path / "data", [*rows, *others], **files)
        return provide_shop(tmp_path, ShopSettings(data=data, seed=0))

    return build


def product_of(shop_of, **changes):
    return shop_of(row(**changes)).product("B000000001")


def test_a_product_as_the_original_leaves_it(shop_of):
    product = product_of(shop_of)
    assert (product.title, product.query, product.category) == ("Red Cotton Shirt", "shirts", "fashion")
    assert product.options == {"color": ("red | blue", "green")}
    assert (product.price, product.price_tag, product.attributes) == (12.5, "$12.5", ("cotton",))
    assert search_text(product) == "red cotton shirt a shirt. soft color: red | blue, green"


@pytest.mark.parametrize(
    ("pricing", "tag"),
    [
        (None, "$100.0"),
        ("", "$100.0"),
        ("$1,299.00", "$1299.0"),
        ("$5.00$8.25", "$5.0 to $8.25"),
        ("$5.00$8.25$9.00", "$5.0 to $8.25"),
        ("$5.00 - $8.25", "$5.0 to $8.25"),
    ],
)
def test_prices(shop_of, pricing, tag):
    product = product_of(shop_of, pricing=pricing)
    assert product.price_tag == tag
    low, *high = (float(text) for text in tag.replace("$", "").split(" to "))
    assert low <= product.price <= (high or [low])[0]


def test_texts_that_may_be_missing_are_empty(shop_of):
    product = product_of(shop_of, full_description=None, small_description=None)
    assert (product.description, product.bullet_points) == ("", ("",))


def test_texts_that_are_empty_are_fine(shop_of):
    texts = dict.fromkeys(("full_description", "query", "category", "product_category"), "")
    product = product_of(shop_of, **texts)
    assert (product.description, product.query, product.category, product.product_category) == ("", "", "", "")


def test_one_bullet_point_that_is_no_list(shop_of):
    assert product_of(shop_of, small_description="soft").bullet_points == ("soft",)


def test_html_is_text(shop_of):
    shop = shop_of(row(name="<b>Red</b> &amp; shirt", full_description="<p>fine</p>"))
    assert shop.product("B000000001").title == "<b>Red</b> &amp; shirt"
    assert shop.search("amp") == ["B000000001"]


def test_null_options_are_no_options_and_a_null_value_is_counted(shop_of):
    shop = shop_of(row(1, customization_options={"Size": None, "Color": [{"value": None}, {"value": "Red"}]}))
    assert shop.product("B000000001").options == {"color": ("red",)}
    assert shop.report.left_out == {"options without a value": 1}


@pytest.mark.parametrize("options", [None, "", {}])
def test_a_product_without_options(shop_of, options):
    assert product_of(shop_of, customization_options=options).options == {}


def test_a_product_that_nothing_is_said_of(shop_of):
    assert shop_of(row(), annotations={"B000000100": {"attributes": ["warm"]}}).product("B000000001").attributes == (
        NO_ATTRIBUTES
    )


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (row(asin="nan"), "asin too long, or nan"),
        (row(asin="B" * 300), "asin too long, or nan"),
        (row(asin=None), "damaged: no asin"),
        (row(100), None),
        (row(name=None), "damaged: no name"),
        (row(query=3), "damaged: no query"),
        (row(category=None), "damaged: no category"),
        (row(full_description=["a"]), "damaged: full_description is not a text"),
        (row(small_description=[{}]), "damaged: small_description is not a text"),
        (row(pricing="$free"), "damaged: pricing cannot be read"),
        (row(pricing="12"), "damaged: pricing cannot be read"),
        (row(pricing=12), "damaged: pricing is not a text"),
        (row(customization_options=["red"]), "damaged: customization_options is not an object"),
        (row(customization_options={"color": "red"}), "damaged: an option is not a list"),
        (row(category="half a sign \ud83d"), "damaged: not Unicode"),
        ("not an object", "damaged: not an object"),
    ],
)
def test_what_is_left_out_is_counted_by_the_reason(shop_of, bad, why):
    shop = shop_of(bad, annotations={}, human={"B000000149": [HUMAN]})
    assert shop.report.num_products == 50
    assert shop.report.left_out == {why or "asin seen before": 1}


HALF = "half a sign \ud83d"


@pytest.mark.parametrize(
    ("files", "left_out"),
    [
        ({"annotations": {"B000000001": {"attributes": [HALF]}, "B0": {"attributes": []}}}, "annotations damaged"),
        ({"annotations": {"B000000001": 3, "B0": {"attributes": []}}}, "annotations damaged"),
        ({"human": {"B000000001": [{**HUMAN, "instruction": HALF}]}}, "instructions damaged"),
        ({"human": {"B000000001": [{**HUMAN, "instruction_options": [HALF]}]}}, "instructions damaged"),
    ],
)
def test_what_is_said_in_no_writable_text_is_counted(shop_of, files, left_out):
    assert shop_of(row(), **files).report.left_out == {left_out: 1}


def test_of_two_products_of_one_asin_the_first_is_sold(shop_of):
    assert shop_of(row(name="First"), row(name="Second")).product("B000000001").title == "First"


def test_damage_beyond_the_limit_is_an_error(tmp_path):
    data = write_data(tmp_path, [row(number, name=None if number < 3 else "Shirt") for number in range(20)])
    with pytest.raises(LeapError, match=r"3 damaged: no name.*max_damaged_share = 0.05"):
        build_shop(find_files(data), tmp_path / "shop")
    build_shop(find_files(data), tmp_path / "shop", max_damaged_share=0.2)


@pytest.mark.parametrize("name", ["items_shuffle_1000.json", "items_ins_v2_1000.json"])
def test_a_missing_file_is_named_with_the_way_to_get_it(tmp_path, name):
    data = write_data(tmp_path, [row()])
    (data / name).unlink()
    with pytest.raises(LeapError, match=rf"{name}.*setup.sh"):
        find_files(data)


def test_a_directory_that_is_not_there(tmp_path):
    with pytest.raises(LeapError, match=r"there is no directory .*none\. Get the data"):
        find_folder(str(tmp_path / "none"), HOW_TO_GET)


def test_a_directory_named_by_a_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("WEBSHOP_DATA", str(tmp_path))
    assert find_folder("$WEBSHOP_DATA", HOW_TO_GET) == tmp_path
    for value in ("", "$WEBSHOP_DATA"):
        monkeypatch.setenv("WEBSHOP_DATA", value)
        with pytest.raises(LeapError, match="that variable is not set"):
            find_folder("$WEBSHOP_DATA", HOW_TO_GET)


def test_an_unknown_set(tmp_path):
    with pytest.raises(UnknownNameError, match=r"environment.params.size '100'"):
        find_files(tmp_path, "100")


def test_two_sets_need_a_choice(tmp_path):
    write_data(tmp_path, [row()])
    write_data(tmp_path, [row()], suffix="")
    with pytest.raises(LeapError, match=r"Set environment.params.size to one of: all, 1000"):
        find_files(tmp_path)
    assert find_files(tmp_path, "1000").products.name == "items_shuffle_1000.json"


def test_an_older_version_of_the_attributes_is_named(tmp_path):
    data = write_data(tmp_path, [row()])
    (data / "items_ins_v2_1000.json").rename(data / "items_ins_1000.json")
    with pytest.raises(LeapError, match=r"items_ins_1000\.json is of another version"):
        find_files(data)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"annotations": ["a"]}, "items_ins_v2_1000.json is of another version: it is not an object"),
        ({"annotations": {"B000000001": {"x": 1}}}, "items_ins_v2_1000.json is of another version: no product"),
        ({"human": {"B000000001": {"instruction": "x"}}}, "items_human_ins.json is of another version"),
    ],
)
def test_files_of_another_version(shop_of, files, message):
    with pytest.raises(LeapError, match=message):
        shop_of(row(), **files)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<html>quota exceeded", "It is a web page"),
        ("{}", "not a JSON list"),
        ('[{"asin": "B1"}', "not whole"),
        ('[{"asin": "B1"', "not whole"),
        ("[1, 2", "not whole"),
        ("[tru]", "not whole, or not JSON"),
        ("", "not a JSON list"),
        (b"[\xff]", "Cannot read"),
    ],
)
def test_products_that_are_no_json_list(tmp_path, content, message):
    path = tmp_path / "items_shuffle.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(LeapError, match=message):
        list(read_rows(path))


@pytest.mark.parametrize("name", ["items_ins_v2_1000.json", "items_human_ins.json"])
def test_a_download_that_was_refused_or_cut_off(tmp_path, name):
    data = write_data(tmp_path, [row()])
    for content, message in (("<!DOCTYPE html>", "web page"), ('{"B000000001": [', "not whole")):
        (data / name).write_text(content, encoding="utf-8")
        with pytest.raises(LeapError, match=message):
            build_shop(find_files(data), tmp_path / "shop")


def test_a_file_of_products_is_read_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("leap_core.envs.webshop.shop.data_files._BUFFER", 7)
    values = [{"a": [1, {"b": "]"}]}, 12345678901, "x" * 50, None, "\u203a \U0001f600", -1.5e-7]
    for separators in ((",", ":"), (" ,\n ", " : ")):
        path = tmp_path / "rows.json"
        path.write_text(f"\n{json.dumps(values, separators=separators, ensure_ascii=False)}\n", encoding="utf-8")
        assert list(read_rows(path)) == values


def test_data_without_human_instructions_has_synthetic_goals(tmp_path):
    annotations = {"B000000001": {"attributes": [], "instruction": "Find me", "instruction_attributes": ["cotton"]}}
    data = write_data(tmp_path / "data", [row()], annotations=annotations)
    (data / "items_human_ins.json").unlink()
    with provide_shop(tmp_path, ShopSettings(data=data, seed=0)) as shop:
        assert shop.report.num_goals == {"human": 0, "synthetic": 2}


def test_a_shop_of_downloaded_data_is_built_once_and_not_copied(tmp_path):
    data = write_data(tmp_path / "data", [row(number) for number in range(3)])
    for name in ("one", "two"):
        provide_shop(tmp_path / name, ShopSettings(data=data, seed=0)).close()
    built = [path for path in (tmp_path / "cache" / "leap-agents").iterdir() if path.is_dir()]
    assert len(built) == 1
    for path in built[0].iterdir():
        assert all(path.samefile(tmp_path / name / SHOP_FOLDER / path.name) for name in ("one", "two"))


def test_two_that_want_the_same_shop_at_once_build_it_once(tmp_path):
    data = write_data(tmp_path / "data", [row(number) for number in range(300)])
    roots = [tmp_path / name for name in ("one", "two", "three")]
    with ThreadPoolExecutor(3) as pool:
        for shop in pool.map(lambda root: provide_shop(root, ShopSettings(data=data, seed=0)), roots):
            shop.close()
    assert len({(root / SHOP_FOLDER / "shop.sqlite").stat().st_ino for root in roots}) == 1


def test_the_same_files_make_the_same_shop(tmp_path):
    data = write_data(tmp_path / "data", [row(number, pricing="$1.00$9.00") for number in range(30)])
    for name in ("one", "two"):
        build_shop(find_files(data), tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    data = write_data(tmp_path / "data", [row()])
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(LeapError, match="set XDG_CACHE_HOME"):
        provide_shop(tmp_path / "root", ShopSettings(data=data, seed=0))


def test_changed_data_makes_another_shop(tmp_path):
    data = write_data(tmp_path / "data", [row()])
    provide_shop(tmp_path / "one", ShopSettings(data=data, seed=0)).close()
    write_data(tmp_path / "data", [row(), row(2)])
    os.utime(data / "items_shuffle_1000.json", ns=(1, 1))
    with provide_shop(tmp_path / "two", ShopSettings(data=data, seed=0)) as shop:
        assert shop.report.num_products == 2


def test_a_shop_is_used_from_any_thread(shop_of):
    shop = shop_of(row())
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: (shop.search("shirt"), shop.product("B000000001").title), range(50)))
    assert found == [(shop.search("shirt"), "Red Cotton Shirt")] * 50


@pytest.mark.parametrize("name", ["documents.npy", "scores.npy", "ranks.npy", "shop.sqlite"])
def test_a_shop_of_which_a_file_is_lost_or_torn(tmp_path, name):
    root = tmp_path / "root"
    provide_shop(root, ShopSettings(data=None, seed=0, num_products=5, num_goals=5)).close()
    path = root / SHOP_FOLDER / name
    if name.endswith(".npy"):
        path.write_bytes(path.read_bytes()[:-8])
        with pytest.raises(LeapError, match="is damaged"):
            Shop(root / SHOP_FOLDER)
    path.unlink()
    with pytest.raises(LeapError, match="repare the specs again"):
        Shop(root / SHOP_FOLDER)


def test_a_shop_that_is_missing_or_of_another_version(tmp_path):
    with pytest.raises(LeapError, match=r"No shop in .* Prepare the specs again"):
        Shop(tmp_path)
    (tmp_path / "report.json").write_text('{"version": 0}', encoding="utf-8")
    with pytest.raises(LeapError, match="another version of this program"):
        Shop(tmp_path)
