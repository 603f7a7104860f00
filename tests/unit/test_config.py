"""Configuration: presets, overrides, and errors that say what to do."""

import pytest

from flows.presets import PRESETS, find_preset
from leap_core.config import load_config, parse_config
from leap_core.errors import ConfigError, UnknownNameError


@pytest.mark.parametrize("preset", sorted(path.stem for path in PRESETS.glob("*.toml")))
def test_every_preset_is_valid(preset):
    assert load_config(find_preset(preset)).experiment == preset


def test_overrides_are_json_or_text():
    overrides = ["training.epochs=2.5", "student.model=/models/a b", 'dataset.corrections=["x"]', "seed=7"]
    config = load_config(find_preset("demo"), overrides)
    assert config.training.epochs == 2.5
    assert config.student.model == "/models/a b"
    assert config.dataset.corrections == ("x",)
    assert config.seed == 7


@pytest.mark.parametrize(
    ("override", "item"),
    [
        ("training.epochs", "training.epochs"),
        ("experiment.x=1", "experiment.x"),
        ("training.epochs=-1", "training.epochs"),
        ("training.epochs=many", "training.epochs"),
        ("correction.level=33", "correction.level"),
        ("experiment=Not A Name", "experiment"),
    ],
)
def test_a_bad_override_is_refused_by_name(override, item):
    with pytest.raises(ConfigError) as raised:
        load_config(find_preset("demo"), [override])
    assert raised.value.item == item
    assert item in str(raised.value)


def test_the_defaults_of_an_environment_lie_below_the_preset(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('environment = { name = "intercode_bash" }\ncorrection = { check_leaks = false }')
    config = load_config(path)
    assert (config.environment.max_steps, config.correction.threshold, config.correction.check_leaks) == (
        10,
        0.7,
        False,
    )
    path.write_text('environment = { name = "intercode_bash", max_steps = 4 }\ncorrection = { threshold = 0.2 }')
    config = load_config(path, ["correction.threshold=0.3"])
    assert (config.environment.max_steps, config.correction.threshold, config.correction.level) == (4, 0.3, 100)


def test_an_override_of_the_environment_brings_its_defaults(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('environment = { name = "intercode_bash" }')
    assert load_config(path, ["environment.name=webshop"]).environment.max_steps == 15
    assert load_config(path, ["environment.name=nowhere"]).environment.max_steps == 20


@pytest.mark.parametrize(
    ("override", "item", "meant"),
    [
        ("training.learnin_rate=1", "training.learnin_rate", "training.learning_rate"),
        ("trainig.epochs=1", "trainig", "training"),
        ("training.lora.rnk=1", "training.lora.rnk", "training.lora.rank"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest(override, item, meant):
    with pytest.raises(UnknownNameError) as raised:
        load_config(find_preset("demo"), [override])
    assert raised.value.item == item
    assert f"{meant!r}" in str(raised.value)


def test_settings_that_do_not_fit_together_are_all_named():
    with pytest.raises(ConfigError) as raised:
        load_config(find_preset("demo"), ["environment.num_train=5"])
    assert "environment.num_train" in str(raised.value)
    assert "demonstrations" in str(raised.value)


def test_a_section_cannot_be_a_value():
    with pytest.raises(ConfigError) as raised:
        parse_config({"training": 3})
    assert raised.value.item == "training"


def test_unknown_preset_suggests():
    with pytest.raises(UnknownNameError, match="'demo'") as raised:
        find_preset("dem")
    assert raised.value.item == "dem"


@pytest.mark.parametrize("content", [None, "# to be written\n", "seed = = 3"])
def test_a_broken_empty_or_missing_file_is_named(tmp_path, content):
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError) as raised:
        load_config(path, ["seed=3"])
    assert raised.value.item == str(path)


@pytest.mark.parametrize(
    ("endpoint", "named"),
    [
        ({"base_url": "https://user:password@host/v1"}, "base_url"),
        ({"base_url": "https://host/v1?key=1"}, "base_url"),
        ({"base_url": "localhost:8000"}, "base_url"),
        ({"query": {"subscription-key": "1"}}, "'subscription-key'"),
        ({"api_key_env": "sk-proj-12345"}, "api_key_env"),
        ({"api_key": "sk-1"}, "execution.teacher.api_key"),
    ],
)
def test_a_secret_in_the_configuration_is_refused(endpoint, named):
    with pytest.raises(ConfigError, match=named) as caught:
        parse_config({"execution": {"teacher": endpoint}})
    assert caught.value.item.startswith("execution.teacher")
    assert "password@" not in str(caught.value)
    assert "sk-1" not in str(caught.value)
