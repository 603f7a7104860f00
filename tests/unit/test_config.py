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
    ("override", "named"),
    [
        ("training.learnin_rate=1", "'training.learning_rate'"),
        ("trainig.epochs=1", "'training'"),
        ("training.lora.rnk=1", "'training.lora.rank'"),
        ("training.epochs", "'training.epochs'"),
        ("experiment.x=1", "experiment"),
        ("training.epochs=-1", "training.epochs"),
        ("training.epochs=many", "'many'"),
        ("correction.level=33", "correction.level"),
        ("environment.num_train=5", "environment.num_train"),
        ("experiment=Not A Name", "experiment"),
    ],
)
def test_bad_overrides_are_refused_with_advice(override, named):
    with pytest.raises(ConfigError) as raised:
        load_config(find_preset("demo"), [override])
    assert named in str(raised.value)


def test_a_section_cannot_be_a_value():
    with pytest.raises(ConfigError, match="training"):
        parse_config({"training": 3})


def test_unknown_preset_suggests():
    with pytest.raises(UnknownNameError, match=r"'dem'.*'demo'"):
        find_preset("dem")


def test_broken_or_missing_file(tmp_path):
    path = tmp_path / "broken.toml"
    with pytest.raises(ConfigError, match=str(path)):
        load_config(path)
    path.write_text("# to be written\n")
    with pytest.raises(ConfigError, match=str(path)):
        load_config(path, ["seed=3"])
    path.write_text("seed = = 3")
    with pytest.raises(ConfigError, match="TOML"):
        load_config(path)


@pytest.mark.parametrize(
    ("endpoint", "named"),
    [
        ({"base_url": "https://user:password@host/v1"}, "base_url"),
        ({"base_url": "https://host/v1?key=1"}, "base_url"),
        ({"base_url": "localhost:8000"}, "base_url"),
        ({"query": {"subscription-key": "1"}}, "subscription-key"),
        ({"api_key_env": "sk-proj-12345"}, "api_key_env"),
        ({"api_key": "sk-1"}, "execution.teacher.api_key"),
    ],
)
def test_a_secret_in_the_configuration_is_refused(endpoint, named):
    with pytest.raises(ConfigError, match=named) as caught:
        parse_config({"execution": {"teacher": endpoint}})
    assert "password@" not in str(caught.value)
    assert "sk-1" not in str(caught.value)
