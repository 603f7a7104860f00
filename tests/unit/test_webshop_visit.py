"""Pages, clicks and commands. Whether they are the original's, letter by letter, is tested in tests/parity."""

import pytest
from webshop_files import row, write_data

from leap_core.envs.webshop.environment import WebshopEnvironment
from leap_core.envs.webshop.expert.reading import ItemPage, ResultsPage, SearchPage, SubPage, read_page
from leap_core.envs.webshop.shop.products import Product
from leap_core.envs.webshop.shop.shop import ShopSettings, provide_shop
from leap_core.envs.webshop.site.actions import draw_for, execute, offered
from leap_core.envs.webshop.site.nouns import load_nouns
from leap_core.envs.webshop.site.pages import sub_page
from leap_core.envs.webshop.site.visit import Visit
from leap_core.errors import EnvironmentCrashError, LeapError, WrongSpecError
from leap_core.types import Spec

SIZES = [{"value": f"size {number}"} for number in range(40)]
ROWS = [
    row(1),
    row(2, name="Same Name Shirt", pricing="$30.00"),
    row(3, name="Same Name Shirt"),
    row(4, name="Shirt [2 Pack]", customization_options={"Size": [{"value": "large"}], "Color": [{"value": "large"}]}),
    row(5, customization_options={"Size": SIZES}, name="Sized Shirt"),
    row(6, customization_options={"Size": [{"value": '6"'}, {"value": "six"}]}, name="Quoted Shirt"),
    *(row(number, name=f"Other Shirt {number}") for number in range(10, 20)),
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("webshop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        with provide_shop(folder, ShopSettings(data=write_data(folder / "data", ROWS), seed=0)) as opened:
            yield opened


@pytest.fixture
def visit(shop):
    return Visit(shop=shop, goal=shop.goal("human-B000000001-0"), nouns=load_nouns("rules"))


def go(visit, *commands):
    for command in commands:
        assert execute(visit, command), command
    return visit.page()


def offer(visit):
    return offered(visit.page(), visit.listed, None)


def test_the_way_to_a_purchase(visit):
    assert isinstance(read_page(visit.page().text), SearchPage)
    results = read_page(go(visit, "search[red cotton shirt]").text)
    assert isinstance(results, ResultsPage)
    assert (results.number, results.num_results, len(results.listings)) == (1, len(ROWS), 10)
    assert results.listings[0].title == "Red Cotton Shirt"
    item = read_page(go(visit, "click[item - red cotton shirt]").text)
    assert item == ItemPage(title="Red Cotton Shirt", price_tag="$12.5", options={"color": ("red | blue", "green")})
    assert "[clicked button] red | blue [clicked button_]" in go(visit, "click[Red | Blue]").text
    assert visit.options == {"color": "red | blue"}
    done = go(visit, "click[buy now]")
    assert visit.reward.total == 1.0
    assert visit.reward.parts == {"type": 1.0, "attributes": 1.0, "options": 1.0, "price": 1.0}
    ending = "Your score (min 0.0, max 1.0): 1\nParts of the score: type 1, attributes 1, options 1, price 1\n"
    assert done.text.endswith(ending)


def test_turning_pages(visit):
    first = go(visit, "search[shirt]")
    assert "< prev" not in first.clickables
    second = go(visit, "click[next >]")
    assert second.clickables[:3] == ("back to search", "< prev", "next >")
    assert len(visit.listed) == len(ROWS) - 10
    assert go(visit, "click[next >]").clickables == ("back to search", "< prev", "next >")
    assert go(visit, "click[< prev]") == second
    assert go(visit, "click[< prev]") == first
    assert not execute(visit, "click[< prev]")


def test_going_back_from_an_item_forgets_its_options_and_keeps_the_place(visit):
    go(visit, "search[red cotton shirt]", "click[b000000001]", "click[green]")
    page = go(visit, "click[< prev]")
    assert "[clicked button] B000000001 [clicked button_]" in page.text
    assert visit.options == {}
    go(visit, "click[back to search]", "search[red cotton shirt]")
    assert "[clicked button]" not in visit.page().text


def test_sub_pages_keep_the_options(visit):
    item = go(visit, "search[red cotton shirt]", "click[b000000001]", "click[green]")
    for name, shown in (("description", "\nA shirt.\n"), ("features", "\n soft\n warm\n"), ("reviews", "< Prev [")):
        page = go(visit, f"click[{name}]")
        assert isinstance(read_page(page.text), SubPage)
        assert shown in page.text
        assert page.clickables == ("back to search", "< prev")
        assert go(visit, "click[< prev]") == item


@pytest.mark.parametrize(
    ("points", "shown"),
    [(["a\nb ", ""], [" a", "b ", " "]), (["\n"], []), ([" \t"], [" "]), ([], [])],
)
def test_blank_texts_are_one_blank_or_nothing(points, shown):
    product = Product(
        asin="B1", title="x", category="x", query="x", product_category="x", description="", options={},
        bullet_points=tuple(points), attributes=(), price=1.0, price_tag="$1.0",
    )  # fmt: skip
    head = sub_page("buy", product, "Reviews").text
    assert sub_page("buy", product, "Description").text == head
    assert sub_page("buy", product, "Features").text == head + "".join(f"{line}\n" for line in shown)


def test_a_search_can_be_made_from_every_page(visit):
    go(visit, "search[red cotton shirt]", "click[b000000001]", "click[green]", "click[description]")
    assert isinstance(read_page(go(visit, "search[quoted]").text), ResultsPage)
    assert (visit.item, visit.options) == (None, {})


def test_a_value_that_two_options_share_is_one_of_the_last(visit):
    go(visit, "search[pack]", "click[item - shirt [2 pack]]", "click[large]")
    assert visit.options == {"color": "large"}


def test_a_value_with_a_quotation_mark_is_chosen_though_not_marked(visit):
    page = go(visit, "search[quoted]", "click[item - quoted shirt]", 'click[6"]')
    assert visit.options == {"size": '6"'}
    assert "[clicked button]" not in page.text


def test_two_items_of_one_name(visit):
    go(visit, "search[same name]")
    named = [command for command in offer(visit) if "same name" in command or "b00000000" in command]
    assert named == ["click[item - same name shirt]", "click[b000000003]"]
    go(visit, named[0])
    assert visit.item.asin == "B000000002"
    go(visit, "click[< prev]", named[1])
    assert visit.item.asin == "B000000003"


@pytest.mark.parametrize(
    "command",
    ["", "click", "look", "click[]", "search[]", "CLICK[next >]", "click [next >]", "click[search]", "buy[b000000001]",
     "click[item - Red Cotton Shirt]", "click[item - no such]", "click[buy now]", "click[b000000099]"],
)  # fmt: skip
def test_what_has_no_place_on_a_page_changes_nothing(visit, command):
    before = go(visit, "search[red cotton shirt]")
    assert not execute(visit, command)
    assert visit.page() == before


def test_what_follows_the_bracket_is_ignored_as_in_the_original(visit):
    go(visit, "search[red cotton shirt] please", "click[Next >] now")
    assert visit.number == 2


def test_long_lists_are_cut_to_twenty_at_most_and_keep_the_first_six(visit):
    page = go(visit, "search[sized]", "click[item - sized shirt]")
    assert len(page.clickables) == 46
    cut = offered(page, [], draw_for("a", 3))
    assert 16 <= len(cut) <= 20
    assert cut[:6] == tuple(f"click[{name}]" for name in page.clickables[:6])
    assert set(cut) < set(offered(page, [], None))
    assert cut == offered(page, [], draw_for("a", 3))
    assert len({offered(page, [], draw_for("a", step)) for step in range(5)}) == 5
    assert cut != offered(page, [], draw_for("b", 3))


def spec(**params):
    return Spec(id="test/x", env="webshop", split="test", instruction="i want a shirt", params=params)


def test_an_environment_plays_its_own_specs_alone(shop):
    environment = WebshopEnvironment(shop, reduce_commands=True)
    with pytest.raises(EnvironmentCrashError, match="reset"):
        environment.step("search[shirt]")
    with pytest.raises(WrongSpecError, match="webshop"):
        environment.reset(spec(game="x"))
    with pytest.raises(LeapError, match="human-B0-0"):
        environment.reset(spec(goal="human-B0-0", nouns="rules"))


def test_what_is_left_out_of_a_list_can_still_be_clicked(shop):
    goal = spec(goal="human-B000000005-0", nouns="rules")
    short, whole = (WebshopEnvironment(shop, reduce_commands=reduce) for reduce in (True, False))
    for environment in (short, whole):
        environment.reset(goal)
        environment.step("search[sized]")
    listed = short.step("click[item - sized shirt]").observation.admissible
    left_out = set(whole.step("click[item - sized shirt]").observation.admissible) - set(listed)
    result = short.step(sorted(left_out)[0])
    assert result.valid
    assert "You have clicked size" in result.observation.text


def test_after_a_purchase_nothing_more_happens(shop):
    environment = WebshopEnvironment(shop, reduce_commands=True)
    environment.reset(spec(goal="human-B000000001-0", nouns="rules"))
    for command in ("search[quoted]", "click[item - quoted shirt]", "click[buy now]"):
        result = environment.step(command)
    assert (result.terminated, result.success, result.observation.admissible) == (True, False, None)
    assert result.score == pytest.approx(2 / 3)  # the attribute and the price, but not the option
    again = environment.step("search[red]")
    assert (again.valid, again.score, again.observation) == (False, result.score, result.observation)
