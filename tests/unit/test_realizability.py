"""The gate: what a student could not have known or done never trains it."""

import pytest
from pydantic import ValidationError

from leap_core.envs.alfworld.privileged import AlfworldFacts
from leap_core.envs.intercode_bash.privileged import IntercodeBashFacts
from leap_core.envs.webshop.privileged import HiddenGoal
from leap_core.gate.kinds import is_leak
from leap_core.gate.realizability import Gate, apply_gate
from leap_core.types import (
    Action,
    Correction,
    CorrectionStatus,
    HiddenFacts,
    Observation,
    PrivilegedState,
    Spec,
    Step,
    StepCorrection,
    StopReason,
    Trajectory,
)

HIDDEN_WORD = "zyzzyva"
FACTS = {
    "task_type": "pick_and_place_simple",
    "needs": "clean",
    "locations": {"mug 2": "cabinet 3", "plate 1": "shelf 1"},
    "walkthrough": ["go to cabinet 3", "open cabinet 3", "take mug 2 from cabinet 3"],
}
TEXT = "Essential is the mug, first to be found where crockery is kept behind doors. In cabinet 3, you see a mug 2."
PRIVILEGED = PrivilegedState(spec_id="s", text=TEXT, facts=FACTS, source="test")


def gate(reason, command="go to cabinet 3", step=0, **checks):
    """Pass one correction of step `step` through the gate, for a student who finds mug 2 at step 1."""
    texts = ["Room with cabinet 1, cabinet 3.", "In cabinet 3, you see a mug 2.", "Nothing."]
    steps = tuple(
        Step(
            index=n,
            observation=Observation(text=text, admissible=("look", "go to cabinet 3")),
            action=Action(reason="", command="look"),
        )
        for n, text in enumerate(texts)
    )
    trajectory = Trajectory(
        id="t", spec=Spec(id="s", env="alfworld", split="train", instruction="put a mug in shelf."), iteration=1,
        student="x", steps=steps, final_observation="", stop_reason=StopReason.STEP_LIMIT, score=0.0, success=False,
    )  # fmt: skip
    corrections = tuple(
        StepCorrection(
            step=n,
            reason=reason if n == step else "Fine.",
            command=command if n == step else "look",
            status=CorrectionStatus.CHANGED,
        )
        for n in range(3)
    )
    given = Correction(trajectory_id="t", spec_id="s", teacher="x", level=0, steps=corrections)
    checked = apply_gate(given, trajectory, PRIVILEGED, **checks)
    assert len(checked.steps) == 3
    assert all(one.status is CorrectionStatus.CHANGED for one in checked.steps if one.step != step)
    return checked.steps[step]


@pytest.mark.parametrize(
    "reason",
    [
        *("The mug 2 must be there.", "I should find MUG 2.", "look for the 'mug 2', then go", "mug  2"),
        *("I want **mug** 2.", "`mug_2` is it.", "Mug #2!", "mug number 2", "mug no. 2", "mug two", "Mugs 1 and 2."),
        *("the mug labelled number 2", "a mug marked no. 2"),
    ],
)
def test_naming_what_was_not_seen_is_a_leak(reason):
    rejected = gate(reason)
    assert rejected.status is CorrectionStatus.REJECTED
    assert rejected.why.startswith("leak")
    assert "mug 2" in rejected.why


@pytest.mark.parametrize(("words", "leaks"), [(7, False), (8, True), (14, True)])
def test_a_quotation_of_the_privileged_text_is_a_leak_though_it_names_nothing(words, leaks):
    checked = gate(f"I think: {' '.join(TEXT.split()[:words])}")
    assert (checked.status is CorrectionStatus.REJECTED) == leaks
    assert checked.why == (
        "leak (quote): the reason quotes 8 words of the privileged state, which the student had not seen" * leaks
    )


def test_what_the_student_was_shown_is_no_quotation():
    assert gate("So far: in cabinet 3, you see a mug 2.", step=2).status is CorrectionStatus.CHANGED


@pytest.mark.parametrize(
    "reason",
    ["A mug is often in a cabinet, so I check cabinet 3.", "I need a clean mug.", "Not mug 20.", "Cabinet 1 is near."],
)
def test_goal_general_knowledge_and_what_is_in_view_are_no_leak(reason):
    assert gate(reason).status is CorrectionStatus.CHANGED


@pytest.mark.parametrize(
    "reason",
    [
        "The mug is in cabinet 3.",
        "I take the mug from cabinet 3.",
        "Cabinet 3 contains a mug.",
        "I go to cabinet 3, where the mug is.",
        "The mug is not in cabinet 1 but in cabinet 3.",
    ],
)
def test_telling_where_a_thing_is_before_it_was_seen_is_a_leak(reason):
    assert gate(reason, step=0).why.startswith("leak (place): the reason tells that the mug is at 'cabinet 3'")
    assert gate(reason, step=1).status is CorrectionStatus.CHANGED


@pytest.mark.parametrize("reason", ["The walkthrough says so.", "I was told where to go.", "As the hidden facts show."])
def test_speaking_of_what_the_student_does_not_have_is_a_leak(reason):
    assert gate(reason).why.startswith("leak (told): the reason speaks of")


@pytest.mark.parametrize(
    "reason",
    [
        "I need a mug. One is often in a cabinet.",
        "The mug may be in cabinet 3.",
        "I check whether the mug is in cabinet 3.",
        "If a mug is in cabinet 3, I take it.",
        "I go to cabinet 3 and open cabinet 3.",
        "Plate or mug, 2 of 3 places are left.",
    ],
)
def test_supposing_and_planning_are_no_leak(reason):
    assert gate(reason).status is CorrectionStatus.CHANGED


def test_a_command_in_free_form_may_be_explained():
    """Where there is no list of commands, the reason may name what its own command names."""
    step = Step(index=0, observation=Observation(text="$"), action=Action(reason="", command="ls"))
    spec = Spec(id="s", env="intercode_bash", split="train", instruction="count the files")
    trajectory = Trajectory(
        id="t", spec=spec, iteration=1, student="x", steps=(step,), final_observation="",
        stop_reason=StopReason.STEP_LIMIT, score=0.0, success=False,
    )  # fmt: skip
    privileged = PrivilegedState(
        spec_id="s", text="", facts={"gold": "find /srv -type f | wc -l", "gold_output": "37\n"}, source="test"
    )
    check = Gate(trajectory, privileged)

    def why(reason, command="ls"):
        correction = StepCorrection(step=0, reason=reason, command=command, status=CorrectionStatus.CHANGED)
        return check.why_rejected(correction, 0)

    assert why("I run find /srv -type f | wc -l.").startswith("leak")
    assert why("I run find /srv -type f | wc -l.", "find /srv -type f | wc -l") == ""
    assert why("There are 37 of them.").startswith("leak")
    assert why("There are 3 ways, 7 of them slow.") == ""


SHOPPER = PrivilegedState(
    spec_id="s",
    text="",
    facts={
        "name": "Nordbrise Quilted Vest",
        "free_commands": {"form": r"search\[.+\]", "unsayable": ["Nordbrise", "V7"]},
    },
    source="test",
)


@pytest.mark.parametrize(
    ("command", "reason", "why"),
    [
        ("search[warm vest]", "I describe it.", ""),
        ("search[quilted vest]", "Quilted ones are warm.", ""),
        ("search[nordbrise vest]", "I describe it.", "leak (name): the command names 'nordbrise'"),
        ("search[vest v7]", "I describe it.", "leak (name): the command names 'v 7'"),
        ("search[warm vest]", "I look for Nordbrise.", "leak (name): the reason names 'nordbrise'"),
        ("search warm vest", "I describe it.", "inadmissible: the command has not the form"),
        ("click[buy now]", "I buy it.", "inadmissible: the command has not the form"),
    ],
)
def test_commands_in_free_form_have_a_form_and_words_that_they_must_not_hold(command, reason, why):
    page = Step(index=0, observation=Observation(text="Search"), action=Action(reason="", command="search[vest]"))
    trajectory = Trajectory(
        id="t", spec=Spec(id="s", env="webshop", split="train", instruction="i want a warm vest"), iteration=1,
        student="x", steps=(page,), final_observation="", stop_reason=StopReason.STEP_LIMIT, score=0.0, success=False,
    )  # fmt: skip
    correction = StepCorrection(step=0, reason=reason, command=command, status=CorrectionStatus.CHANGED)
    found = Gate(trajectory, SHOPPER).why_rejected(correction, 0)
    assert found.startswith(why) if why else not found


def test_where_leaks_are_not_checked_they_pass_marked_and_all_else_is_rejected():
    passed = gate("I see mug 2.", check_leaks=False)
    assert (passed.status, is_leak(passed.why)) == (CorrectionStatus.CHANGED, True)
    impossible = gate("I see mug 2.", command="open cabinet 99", check_leaks=False)
    assert (impossible.status, is_leak(impossible.why)) == (CorrectionStatus.REJECTED, False)
    assert gate("Fine.", check_leaks=False).why == ""


def test_what_was_seen_by_then_may_be_named_from_then_on():
    assert gate("I see mug 2.", step=0).status is CorrectionStatus.REJECTED
    assert gate("I see mug 2.", step=1).status is CorrectionStatus.CHANGED
    assert gate("I saw mug 2.", step=2).status is CorrectionStatus.CHANGED


def test_a_command_that_was_not_possible_is_rejected():
    rejected = gate("Fine.", command="open cabinet 3")
    assert rejected.status is CorrectionStatus.REJECTED
    assert rejected.why.startswith("inadmissible")


def test_an_empty_reason_is_rejected():
    assert gate("  ").why == "no reason"


def shopping(reason, seen="Search", instruction="i want a platform bed frame", command="search[bed]", **facts):
    """What the gate says of a reason on a page."""
    page = Step(index=0, observation=Observation(text=seen), action=Action(reason="", command=command))
    trajectory = Trajectory(
        id="t", spec=Spec(id="s", env="webshop", split="train", instruction=instruction), iteration=1,
        student="x", steps=(page,), final_observation="", stop_reason=StopReason.STEP_LIMIT, score=0.0, success=False,
    )  # fmt: skip
    privileged = PrivilegedState(spec_id="s", text="", facts=facts, source="test")
    correction = StepCorrection(step=0, reason=reason, command=command, status=CorrectionStatus.CHANGED)
    return Gate(trajectory, privileged).why_rejected(correction, 0)


@pytest.mark.parametrize("topic", ["bed frames", "Bed Frames", "framed pictures", "beds & mattresses", "frame stands"])
def test_a_topic_is_no_secret_where_one_of_its_words_was_seen(topic):
    assert shopping(f"I search for {topic}.", command="search[x]", topics=[topic]) == ""


def test_a_topic_is_a_secret_where_none_of_its_words_was_seen():
    said = {"instruction": "i want the thing for my room", "command": "search[x]", "topics": ["things for the night"]}
    assert shopping("I look for things for the night.", **said) == ""
    said |= {"topics": ["bed frames"]}
    assert shopping("I search for bed frames.", **said).startswith("leak (name): the reason names 'bed frames'")
    assert shopping("I search for bed frames.", **said | {"seen": "1 result: Framed picture"}) == ""
    assert shopping("I search for a frame.", **said) == ""


WRITTEN = ["$74", "74 dollars", "$74.00", "74.0", "74.00", "USD 74", "US$74", "74.00 dollars", "$ 74", "**$74**", "74"]


@pytest.mark.parametrize("said", WRITTEN)
def test_a_price_is_a_leak_however_it_is_written_and_none_once_it_was_seen(said):
    reason = f"The item costs {said}, below the limit."
    assert shopping(reason, price=74.0).startswith("leak (price): the reason names")
    assert shopping(reason, items=[{"price_tag": "$74.0 to $90.5"}]).startswith("leak")
    for seen in ("Price: $74.0", "74.00 dollars", "$74", "74 results"):
        assert shopping(reason, seen=seen, price=74.0) == ""


@pytest.mark.parametrize(
    ("price", "reason", "leaks"),
    [
        (74.5, "It is sold at $74.50.", True),
        (74.5, "It costs 74,50.", True),
        (74.5, "It costs 74 dollars and 50 cents.", True),
        (1234.0, "It costs $1,234.", True),
        (74.5, "It costs $74.", False),
        (74.0, "It costs $74.50.", False),
        (74.0, "Size 74 is what I need.", False),
        (74.0, "The price of AB-74 is not told.", False),
        (74.0, "The price of 174 and 7.4 and 740 is not it.", False),
        (74.0, "Sold out to 74%, 74.0 %.", False),
        (2.0, "The price is on the 2 items.", False),
        (2.0, "The price is $2.", True),
    ],
)
def test_what_is_taken_for_a_price(price, reason, leaks):
    assert bool(shopping(reason, price=price)) == leaks


def test_a_price_limit_may_be_said_in_any_form():
    for said in ("$40", "40.0", "$40.00", "40 dollars"):
        assert (
            shopping(f"I may pay {said}.", instruction="a bed, price lower than 40.00 dollars", price_limit=40.0) == ""
        )


def test_facts_are_what_they_were_once_they_were_read():
    free = {"form": "x", "unsayable": ["Nordbrise"]}
    for facts in ({"gold": "ls", "deep": [{"a 1": None}]}, {"topics": ["beds"], "free_commands": free, "price": 2.5}):
        state = PrivilegedState(spec_id="s", text="", facts=facts, source="test")
        assert HiddenFacts.of(state).model_dump(mode="json") == facts


@pytest.mark.parametrize(
    "facts", [{"topics": [HIDDEN_WORD]}, {"price": HIDDEN_WORD}, {"gold": "ls", "note": HIDDEN_WORD}]
)
def test_an_environment_refuses_facts_of_another_without_quoting_them(facts):
    state = PrivilegedState(spec_id="s", text="", facts=facts, source="test")
    for kind in (AlfworldFacts, HiddenGoal, IntercodeBashFacts):
        with pytest.raises(ValidationError) as caught:
            kind.of(state)
        assert HIDDEN_WORD not in str(caught.value)


def test_without_a_price_in_the_facts_a_number_is_what_it_was():
    assert shopping("The price is $74.", count=74, gold="ls", items=["a"]) == ""
