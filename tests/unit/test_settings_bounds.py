"""Every setting of every section: numbers have bounds and a reason, texts say something, and nothing is converted."""

import importlib
import math
import pkgutil
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

import pytest

import leap_core
from leap_core.config import LeapConfig, Section, load_config, parse_config, read_params
from leap_core.disk.canonical import canonical_json
from leap_core.errors import ConfigError
from leap_core.settings.bounds import Within

NEVER_NUMBERS = [math.nan, math.inf, -math.inf, True, False, "3", "3", "٣", "", None, [], {}]


def kinds():
    """All sections of leap_core: those of the configuration, and the params of environments, students, teachers."""
    for module in pkgutil.walk_packages(leap_core.__path__, "leap_core."):
        if any(part in module.name for part in (".envs.", ".students.", ".teachers.", ".trainers.", ".config")):
            importlib.import_module(module.name)
    found, waiting = set(), [Section]
    while waiting:
        subclasses = waiting.pop().__subclasses__()
        waiting += subclasses
        found |= {kind for kind in subclasses if kind.__module__.startswith("leap_core.")}
    return sorted(found, key=lambda kind: kind.__name__)


def leaves(annotation, metadata=()):
    """The types that a value may have, each with what annotates it."""
    if get_origin(annotation) is Annotated:
        inner, *own = get_args(annotation)
        return leaves(inner, (*metadata, *own))
    if get_origin(annotation) in (Union, UnionType):
        return [leaf for inner in get_args(annotation) for leaf in leaves(inner, metadata)]
    return [(annotation, metadata)]


SETTINGS = [
    pytest.param(kind, name, leaf, metadata, id=f"{kind.__name__}.{name}")
    for kind in kinds()
    for name, field in kind.model_fields.items()
    for leaf, metadata in leaves(field.annotation, tuple(field.metadata))
]
NUMBERS = [one for one in SETTINGS if one.values[2] in (int, float)]
TEXTS = [one for one in SETTINGS if one.values[2] is str]
SWITCHES = [one for one in SETTINGS if one.values[2] is bool]
OTHERS = [one for one in SETTINGS if one not in [*NUMBERS, *TEXTS, *SWITCHES]]


def read(kind, name, value):
    """Validate one setting as the command does; what else is required is given."""
    needed = {key: "x" for key, field in kind.model_fields.items() if field.is_required()}
    return read_params({**needed, name: value}, kind, "some.section")


def refused(kind, name, value):
    with pytest.raises(ConfigError) as raised:
        read(kind, name, value)
    assert f"some.section.{name}" in str(raised.value)
    return str(raised.value)


def test_the_walk_finds_the_settings():
    names = {kind.__name__ for kind in kinds()}
    assert {"LeapConfig", "LoraSection", "EndpointConfig", "TinyParams", "OpenAITeacherParams"} <= names
    assert {"SelfTeacherParams", "WebshopParams", "IntercodeBashParams", "AlfworldParams"} <= names
    assert len(NUMBERS) > 50
    assert len(TEXTS) > 20


@pytest.mark.parametrize(("kind", "name", "leaf", "metadata"), NUMBERS)
def test_a_number_has_bounds_and_a_reason(kind, name, leaf, metadata):
    bounds = [one for one in metadata if isinstance(one, Within)]
    assert len(bounds) == 1, f"{kind.__name__}.{name}: write Annotated[{leaf.__name__}, Within(least, most, why)]"
    least, most, why = bounds[0].least, bounds[0].most, bounds[0].why
    assert math.isfinite(least)
    assert math.isfinite(most)
    assert 0 <= least < most
    for number in {least, most} - ({least} if kind is LeapConfig else set()):
        read(kind, name, leaf(number))
    below = -1 if bounds[0].or_zero or least == 0 else least - 1 if leaf is int else least / 2
    beyond = most + 1 if leaf is int else most * 1.001
    for number in (below, beyond, -1, 2**62, *([1e-308, -1e308, 1e308] if leaf is float else [])):
        assert why in refused(kind, name, leaf(number))
    refused(kind, name, 999999999999999999999)


@pytest.mark.parametrize(("kind", "name", "leaf", "metadata"), NUMBERS)
def test_nothing_else_is_taken_for_a_number(kind, name, leaf, metadata):
    for value in [*NEVER_NUMBERS, *([1.0, 3.5] if leaf is int else [])]:
        if value is None and NoneType in get_args(kind.model_fields[name].annotation):
            continue
        refused(kind, name, value)


@pytest.mark.parametrize(("kind", "name", "leaf", "metadata"), TEXTS)
def test_a_text_says_something_in_printable_characters(kind, name, leaf, metadata):
    for value in ("", " ", "\t\n", "a\0b", "a\nb", "a\r\nb", "a\x1b[31mb", "a\u202eb", "a\ud800b", "x" * 5000, 3, True):
        assert "\n" not in refused(kind, name, value)


@pytest.mark.parametrize(("kind", "name", "leaf", "metadata"), SWITCHES)
def test_a_switch_is_true_or_false(kind, name, leaf, metadata):
    for value in (0, 1, 1.0, "true", "yes", ""):
        refused(kind, name, value)


@pytest.mark.parametrize(("kind", "name", "leaf", "metadata"), OTHERS)
def test_what_is_one_of_a_few_or_a_table_is_nothing_else(kind, name, leaf, metadata):
    if leaf is NoneType:
        return
    for value in (False, 0.0, 3.5, "no such"):
        if get_origin(leaf) is tuple and isinstance(value, str) and "Pattern" not in str(metadata):
            continue  # a name in place of a list of them
        refused(kind, name, value)


@pytest.mark.parametrize("level", [0, 25, 50, 75, 100])
def test_levels_are_whole_numbers(level):
    assert parse_config({"correction": {"level": level}}).correction.level == level
    for wrong in (float(level), level + 1, str(level), bool(level)):
        with pytest.raises(ConfigError, match=r"correction\.level"):
            parse_config({"correction": {"level": wrong}})


def test_what_is_taken_is_written_as_before():
    values = {"training": {"learning_rate": 1, "epochs": 2, "weight_decay": -0.0}, "student": {"temperature": -0.0}}
    config = parse_config(values)
    text = canonical_json(config)
    assert '"learning_rate":1.0' in text
    assert '"epochs":2.0' in text
    assert '"weight_decay":0.0' in text
    assert config.student.temperature == 0
    assert math.copysign(1, config.student.temperature) == 1
    assert canonical_json(parse_config({"training": {"learning_rate": 3e-5}})).count("3e-05") == 1


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("execution.device=meta", "execution.device"),
        ("execution.device=cuda:x", "execution.device"),
        ("training.lora.target_modules=[]", "training.lora.target_modules"),
        ('training.lora.target_modules=[""]', "training.lora.target_modules.0"),
        ("training.lora.target_modules=(", "training.lora.target_modules"),
        ('dataset.corrections=[" "]', "dataset.corrections.0"),
        ("execution.teacher.base_url=http://host:99999/v1", "base_url"),
        ("execution.teacher.base_url=http://host:0/v1", "base_url"),
        ("execution.teacher.base_url=http://a host/v1", "base_url"),
        ("execution.teacher.base_url=http://[/v1", "base_url"),
        ('execution.teacher.key_header="a: b"', "key_header"),
        ('execution.teacher.key_header="a\\r\\nb"', "key_header"),
        ('execution.teacher.query={"a": "b\\r\\nc: d"}', "execution.teacher.query"),
        ("environment.num_train=1e21", "environment.num_train"),
        ("experiment=" + "x" * 101, "experiment"),
        ("student.params={" + '"a":{' * 30 + "}" * 31, "student.params"),
        ("student.params=" + "[" * 100_000, "student.params"),
        ("seed=" + "9" * 5000, "digits"),
        ('student.params={"a": 1, "a": 2}', "'a'"),
        ("training.epochs=NaN", "NaN"),
        ("training.epochs=-Infinity", "Infinity"),
        ("training.epochs=1e999", "training.epochs"),
        ('student.params={"a": [1e999]}', "student.params.a.0"),
        ('student.params={"a": "\\ud800"}', "student.params.a"),
        ("__proto__.polluted=1", "'__proto__'"),
        ("training..epochs=1", "training..epochs"),
        (".=1", "'.=1'"),
        ("seed.x=1", "seed"),
        ("student.params" + ".a" * 5000 + "=1", "student.params"),
    ],
    ids=lambda text: text[:40],
)
def test_an_override_that_makes_no_sense_is_one_line(demo, override, named):
    with pytest.raises(ConfigError) as raised:
        load_config(demo, [override])
    assert named in str(raised.value)
    assert len(str(raised.value)) < 500
    assert str(raised.value).isprintable()


@pytest.fixture
def demo(tmp_path):
    path = tmp_path / "demo.toml"
    path.write_text('experiment = "demo"\n')
    return path


def test_keys_are_texts():
    with pytest.raises(ConfigError, match=r"student\.params"):
        parse_config({"student": {"params": {1: 2}}})


def test_a_secret_in_an_address_is_not_shown():
    with pytest.raises(ConfigError, match="base_url") as raised:
        parse_config({"execution": {"teacher": {"base_url": "https://user:password@host/v1\n"}}})
    assert "password" not in str(raised.value)


def test_settings_of_literals_are_covered():
    assert any(get_origin(one.values[2]) is Literal for one in OTHERS)
