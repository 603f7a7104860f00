"""What decides a student's replies is part of what its episodes are known by."""

import pytest

from leap_core.config import StudentConfig
from tasks.identity import PlayedStudent


@pytest.mark.parametrize(
    "change",
    [{"params": {"replies": ["ACTION: look"]}}, {"prompt": "default"}, {"constrain": False}, {"max_new_tokens": 7}],
)
def test_what_decides_replies_is_told_apart(change):
    config = StudentConfig(prompt="compact", constrain=True)
    assert PlayedStudent.of(config, None) != PlayedStudent.of(config.model_copy(update=change), None)


def test_a_temperature_given_for_the_stage_stands_for_the_students():
    config = StudentConfig(temperature=0.5)
    assert PlayedStudent.of(config, 0.0).temperature == 0.0
    assert PlayedStudent.of(config, None).temperature == 0.5
