"""Records and sections refuse what they cannot hold, however they are made."""

import pytest
from pydantic import ValidationError

from leap_core.chat.messages import ReplySchema
from leap_core.config import EndpointConfig, LeapConfig
from leap_core.types import (
    Action,
    FreeCommands,
    HiddenFacts,
    Interval,
    Message,
    Observation,
    Spec,
    Step,
    StopReason,
    Trajectory,
    Usage,
)

SPEC = Spec(id="s", env="e", split="train", instruction="i")
STEPS = tuple(
    Step(index=index, observation=Observation(text="o"), action=Action(reason="r", command="c")) for index in range(3)
)
EPISODE = Trajectory(
    id="t",
    spec=SPEC,
    iteration=0,
    student="x",
    steps=STEPS,
    final_observation="",
    stop_reason=StopReason.STEP_LIMIT,
    score=0.0,
    success=False,
)
WRONG = [
    (Usage(), {"cost_usd": "free"}),
    (Usage(), {"cost_usd": "0.5"}),
    (Usage(), {"cost_usd": -0.5}),
    (Usage(), {"num_requests": -1}),
    (Usage(), {"prompt_tokens": "3"}),
    (Usage(), {"completion_tokens": True}),
    (Usage(), {"completion_tokens": 1.5}),
    (STEPS[0], {"index": -1}),
    (EPISODE, {"steps": "none"}),
    (EPISODE, {"stop_reason": "tired"}),
    (Message(role="user", content="c"), {"role": "nobody"}),
    (LeapConfig(), {"seed": "1"}),
    (LeapConfig(), {"seed": -1}),
    (LeapConfig().environment, {"max_steps": 0}),
    (EndpointConfig(), {"base_url": "https://user:password@host/v1"}),
]


@pytest.mark.parametrize(("record", "change"), WRONG, ids=lambda value: str(value)[:40])
def test_what_a_record_cannot_hold_is_refused_when_it_is_made_and_when_it_is_changed(record, change):
    ((name, value),) = change.items()
    with pytest.raises(ValidationError) as changed:
        record.with_(**change)
    with pytest.raises(ValidationError) as made:
        type(record)(**(dict(record) | {name: value}))
    assert changed.value.errors()[0]["loc"] == made.value.errors()[0]["loc"]


@pytest.mark.parametrize("record", [Usage(), EPISODE, LeapConfig(), EndpointConfig()])
def test_a_field_that_a_record_does_not_have_is_refused(record):
    with pytest.raises(ValidationError) as raised:
        record.with_(no_such_field=1)
    assert [(one["type"], one["loc"]) for one in raised.value.errors()] == [("extra_forbidden", ("no_such_field",))]


def test_a_check_of_several_fields_runs():
    with pytest.raises(ValidationError, match="num_train"):
        LeapConfig().with_(environment=LeapConfig().environment.with_(num_train=5))


def test_only_what_is_named_changes_and_records_inside_are_not_copied():
    changed = EPISODE.with_(id="u", steps=STEPS[:2])
    assert changed == Trajectory(**(dict(EPISODE) | {"id": "u", "steps": STEPS[:2]}))
    assert EPISODE.id == "t"
    assert changed.spec is SPEC
    assert all(one is other for one, other in zip(changed.steps, STEPS, strict=False))
    config = LeapConfig()
    assert config.with_(seed=3).student is config.student


def test_what_was_worked_out_from_the_old_fields_is_not_taken_over():
    schema = ReplySchema(name="n", definition={"type": "object"})
    assert schema.num_characters != schema.with_(definition={}).num_characters == 2


def test_text_that_no_file_can_hold_is_mended():
    assert EPISODE.with_(final_observation="a\ud800").final_observation == "a\ufffd"


def test_usage_is_read_from_json():
    assert Usage.model_validate_json('{"num_requests": 2, "cost_usd": 1}') == Usage(num_requests=2, cost_usd=1.0)
    assert Usage.model_validate_json('{"cost_usd": null}').cost_usd is None
    for text in ('{"cost_usd": "free"}', '{"num_requests": "2"}', '{"prompt_tokens": -1}'):
        with pytest.raises(ValidationError):
            Usage.model_validate_json(text)


def test_an_interval_of_a_difference_may_be_below_zero():
    assert Interval(low=-0.5, high=0.1).with_(low=-1.0).low == -1.0


def test_a_change_keeps_the_facts_that_the_base_does_not_know():
    facts = HiddenFacts.model_validate({"locations": {"mug 2": "cabinet 3"}})
    assert facts.with_(topics=("things to drink from",)).model_dump()["locations"] == {"mug 2": "cabinet 3"}


def test_a_form_of_commands_that_is_no_pattern_is_refused_where_it_is_declared():
    with pytest.raises(ValidationError, match="regular expression"):
        FreeCommands(form="search[", unsayable=())
