"""What a plan needs is looked for before any of it begins."""

import pytest

from flows.forecast.planning import foresee_evaluation
from leap_core.errors import ConfigError
from leap_core.store.artifacts import ArtifactStore

NOWHERE = "execution.device=cuda:999"


def judge(tmp_path, *settings):
    return foresee_evaluation(["base"], "dev", "smoke", settings, ArtifactStore(tmp_path, make=False))


def test_a_device_that_is_not_there_is_told_before_a_model_is_judged_on_it(tmp_path):
    with pytest.raises(ConfigError) as raised:
        judge(tmp_path, NOWHERE)
    assert raised.value.item == "execution.device"


def test_a_student_that_uses_no_device_needs_none(tmp_path):
    assert judge(
        tmp_path, NOWHERE, "student.kind=scripted", 'student.params={"replies": ["x"]}', "student.model=bundled"
    )
