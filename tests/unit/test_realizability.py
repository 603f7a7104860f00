"""The gate: what a student could not have known or done never trains it."""

import pytest

from leap_core.realizability import apply_gate
from leap_core.types import (
    Action,
    Correction,
    CorrectionStatus,
    Observation,
    PrivilegedState,
    Spec,
    Step,
    StepCorrection,
    StopReason,
    Trajectory,
)

FACTS = {
    "task_type": "pick_and_place_simple",
    "needs": "clean",
    "locations": {"mug 2": "cabinet 3", "plate 1": "shelf 1"},
    "walkthrough": ["go to cabinet 3", "open cabinet 3", "take mug 2 from cabinet 3"],
}
PRIVILEGED = PrivilegedState(spec_id="s", text="", facts=FACTS, source="test")


def gate(reason, command="go to cabinet 3", step=0):
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
    checked = apply_gate(given, trajectory, PRIVILEGED)
    assert len(checked.steps) == 3
    assert all(one.status is CorrectionStatus.CHANGED for one in checked.steps if one.step != step)
    return checked.steps[step]


@pytest.mark.parametrize(
    "reason", ["The mug 2 must be there.", "I should find MUG 2.", "look for the 'mug 2', then go", "mug  2"]
)
def test_naming_what_was_not_seen_is_a_leak(reason):
    rejected = gate(reason)
    assert rejected.status is CorrectionStatus.REJECTED
    assert rejected.why.startswith("leak")
    assert "mug 2" in rejected.why


@pytest.mark.parametrize(
    "reason",
    ["A mug is often in a cabinet, so I check cabinet 3.", "I need a clean mug.", "Not mug 20.", "Cabinet 1 is near."],
)
def test_goal_general_knowledge_and_what_is_in_view_are_no_leak(reason):
    assert gate(reason).status is CorrectionStatus.CHANGED


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
