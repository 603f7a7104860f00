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
    ("override", "message"),
    [
        ("training.learnin_rate=1", "Did you mean 'training.learning_rate'"),
        ("trainig.epochs=1", "Did you mean 'training'"),
        ("training.lora.rnk=1", "Did you mean 'training.lora.rank'"),
        ("training.epochs", "not of the form"),
        ("experiment.x=1", "is a value, not a section"),
        ("training.epochs=-1", "training.epochs"),
        ("training.epochs=many", "came: 'many'"),
        ("correction.level=33", "correction.level"),
        ("environment.num_train=5", "raise environment.num_train"),
        ("experiment=Not A Name", "experiment"),
    ],
)
def test_bad_overrides_are_refused_with_advice(override, message):
    with pytest.raises(ConfigError) as raised:
        load_config(find_preset("demo"), [override])
    assert message in str(raised.value)


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


def test_a_section_cannot_be_a_value():
    with pytest.raises(ConfigError, match="training"):
        parse_config({"training": 3})


def test_unknown_preset_suggests():
    with pytest.raises(UnknownNameError, match="Did you mean 'demo'"):
        find_preset("dem")


def test_broken_or_missing_file(tmp_path):
    path = tmp_path / "broken.toml"
    with pytest.raises(ConfigError, match="Cannot read"):
        load_config(path)
    path.write_text("# to be written\n")
    with pytest.raises(ConfigError, match="sets nothing"):
        load_config(path, ["seed=3"])
    path.write_text("seed = = 3")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_config(path)


@pytest.mark.parametrize(
    ("endpoint", "told"),
    [
        ({"base_url": "https://user:password@host/v1"}, "plain address"),
        ({"base_url": "https://host/v1?key=1"}, "plain address"),
        ({"base_url": "localhost:8000"}, "http://"),
        ({"query": {"subscription-key": "1"}}, "must not hold a secret"),
        ({"api_key_env": "sk-proj-12345"}, "never the key itself"),
        ({"api_key": "sk-1"}, "execution.teacher.api_key"),
    ],
)
def test_a_secret_in_the_configuration_is_refused(endpoint, told):
    with pytest.raises(ConfigError, match=told) as caught:
        parse_config({"execution": {"teacher": endpoint}})
    assert "password@" not in str(caught.value)
    assert "sk-1" not in str(caught.value)
