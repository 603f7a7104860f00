"""WebShop against recorded play of the original: every page, what can be clicked there, every score and its parts."""

import pytest
from webshop_compare import KINDS, SHOPS, all_goals, differences, make_shop
from webshop_transcripts import read_recording

RECORDING = read_recording()


@pytest.fixture(scope="module", params=SHOPS)
def shop(request, tmp_path_factory):
    with make_shop(request.param, tmp_path_factory.mktemp(request.param), RECORDING.seed) as opened:
        yield request.param, opened


def test_every_turn_is_the_originals(shop):
    name, opened = shop
    played = [one for one in RECORDING.transcripts if one.shop == name]
    found = [differing for one in played for differing in differences(one, opened)]
    assert not found, f"{len(found)} of {len(played)} episodes differ: {found[:5]}"


@pytest.mark.parametrize("kind", KINDS)
def test_goals_are_the_originals_in_its_order(shop, kind):
    name, opened = shop
    goals = [
        {
            "asin": goal.asin,
            "name": goal.title,
            "query": goal.query,
            "product_category": goal.product_category,
            "instruction_text": goal.instruction,
            "attributes": list(goal.attributes),
            "price_upper": goal.price_upper,
            "options": [[option.name, option.value] if option.name else option.value for option in goal.options],
        }
        for goal in all_goals(opened, kind)
    ]
    assert goals == RECORDING.goals[f"{name}, {kind}"]


def test_the_recording_holds_enough():
    players = [one.player for one in RECORDING.transcripts]
    assert players.count("random") >= 200
    assert players.count("oracle") >= 100
    turns = [turn for one in RECORDING.transcripts for turn in one.turns]
    bought = [turn for turn in turns if turn.done]
    assert {turn.parts["type"] for turn in bought} >= {0.0, 0.1, 0.5, 1.0}
    for part in ("attributes", "options", "price"):
        assert len({turn.parts[part] for turn in bought}) >= 2
    assert sum(len(turn.clickables) > 20 for turn in turns) > 20
    shown = "".join(turn.text for turn in turns)
    for text in (
        "Page 2 (",
        "Page 6 (",
        "(Total results: 0)",
        "[clicked button] B0",
        "You have clicked ",
        "<b>bold</b>",
    ):
        assert text in shown, text
