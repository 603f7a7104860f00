"""Claims as relations: what a reason says of places is held against those that were looked into, and against truth."""

import pytest

from leap_core.envs.sight import Sight, Spot, SpotKind
from leap_core.gate.kinds import LeakKind
from leap_core.gate.relations import ClaimCheck

HELD = {"cabinet 1": {"plate"}, "cabinet 2": set(), "cabinet 3": {"mug"}, "drawer 1": set(), "fridge 1": {"potato"}}
PLACE, EXCLUSION, RANK = LeakKind.PLACE, LeakKind.EXCLUSION, LeakKind.RANK


def kinds(reason, opened=(), command="look", seen=None):
    """The kinds of leaks in a reason of one who looks for a mug, and has looked into some places."""
    spots = tuple(
        Spot(
            names=(name,),
            kind=SpotKind.PLACE,
            group=name.split()[0],
            number=int(name.split()[1]),
            opened=name in opened,
            visited=name in opened,
            holds=frozenset(held),
            is_closed=True,
        )
        for name, held in HELD.items()
    )
    sight = Sight(
        spots=spots,
        groups={"cabinet": "cabinet", "drawer": "drawer", "fridge": "fridge", "refrigerator": "fridge"},
        things={"mug": "mug", "plate": "plate", "potato": "potato"},
        wanted=frozenset({"mug"}),
        totals={"mug": 1, "plate": 1, "potato": 1},
        seen=seen or {},
    )
    return [kind for kind, _ in ClaimCheck(sight).leaks(reason, command)]


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("The mug is in cabinet 3.", PLACE),
        ("Cabinet 3 is the one. It contains the mug.", RANK),
        ("The only mug in this room is in one of the cabinets, specifically the third one.", PLACE),
        ("I go to the third cabinet, where the mug is.", PLACE),
        ("There are three cabinets. The last one holds the mug.", PLACE),
        ("The potato is being kept cold in the refrigerator, so I open the fridge.", PLACE),
        ("I can skip cabinets 1 and 2 because they do not contain a mug.", EXCLUSION),
        ("None of the drawers holds a mug.", EXCLUSION),
        ("Cabinets 1 through 2 are empty of mugs, as is the drawer.", EXCLUSION),
        ("The right cabinet is number 3.", RANK),
        ("The drawer is locked.", LeakKind.STATE),
        ("There is one mug in the kitchen.", LeakKind.COUNT),
        ("The mug might be in cabinet 3, not in cabinet 1.", LeakKind.HEDGE),
    ],
)
def test_what_was_not_seen_is_a_leak_if_it_is_asserted_and_true(reason, kind):
    assert kind in kinds(reason)


@pytest.mark.parametrize(
    "reason",
    [
        "The mug may be in cabinet 3.",
        "A mug is often in a cabinet, so I look into cabinet 3.",
        "Is the mug in cabinet 3?",
        "If the mug is in cabinet 3, I take it.",
        "I look for the mug in cabinet 3.",
        "I will put the mug in cabinet 3.",
        "I do not know where the mug is.",
        "A mug is hardly ever in a fridge, so I skip the fridge.",
        "The mug is in cabinet 2.",
        "There are three cabinets and one drawer.",
    ],
)
def test_guesses_plans_questions_and_errors_are_none(reason):
    assert kinds(reason) == []


@pytest.mark.parametrize("reason", ["The mug is in cabinet 3.", "Cabinet 3 has the mug.", "It is the third cabinet."])
def test_what_was_looked_into_may_be_told(reason):
    assert kinds(reason, opened=["cabinet 3"]) == []


def test_what_a_pronoun_means_at_first_is_what_the_command_acts_on():
    assert kinds("The mug is in there.", command="go to cabinet 3") == [PLACE]
    assert kinds("The mug is in there.", command="go to cabinet 2") == []


def test_where_the_last_place_is_left_it_may_be_concluded():
    opened = [name for name in HELD if name != "cabinet 3"]
    assert kinds("Everything else was searched, so the mug is in cabinet 3.", opened=opened) == []


def test_once_it_was_found_other_places_may_be_passed_over():
    reason = "I can skip cabinet 2."
    assert kinds(reason) == [EXCLUSION]
    assert kinds(reason, seen={"mug": 1}) == []
