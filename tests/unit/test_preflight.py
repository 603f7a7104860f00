"""What a plan needs is looked for before any of it begins."""

import pytest

from flows.forecast.planning import foresee_evaluation
from flows.leap_iteration import walk_up_to
from leap_core.config import MOST_ITERATIONS, EnvironmentConfig
from leap_core.errors import ConfigError
from leap_core.loading import load_suite
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


@pytest.mark.parametrize("number", [-1, MOST_ITERATIONS + 1])
def test_an_iteration_that_no_experiment_has_is_refused_before_any_is_planned(number):
    with pytest.raises(ConfigError, match=rf"iteration {number}\b"):
        walk_up_to(None, number)


def test_toy_refuses_data_that_it_would_not_read():
    with pytest.raises(ConfigError) as raised:
        load_suite(EnvironmentConfig(name="toy", data="/nowhere"))
    assert raised.value.item == "environment.data"
