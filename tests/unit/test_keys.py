"""Keys of stages: a new setting changes none, a changed default changes those that rely on it."""

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
from pydantic import Field, JsonValue, create_model

import tasks
from leap_core.config import Section, TrainingConfig, load_config
from leap_core.disk.canonical import canonical_json
from tasks.correction import CorrectionIdentity
from tasks.identity import PlayedStudent
from tasks.keys import DeclaredKey, as_today, declared_keys, key_content, settings_with_defaults
from tasks.stage import Stage
from tasks.training import TrainingIdentity

PRESET = load_config(Path(__file__).parents[2] / "flows" / "presets" / "demo.toml")


def all_stages():
    modules = [import_module(f"tasks.{module.name}") for module in iter_modules(tasks.__path__)]
    return {value.name: value for module in modules for value in vars(module).values() if isinstance(value, Stage)}


def identity_of(stage):
    """The identity that a stage's work is annotated with."""
    return stage.work.__annotations__["work"].__args__[0]


STAGES = all_stages()


def test_every_stage_is_in_the_table_by_its_present_version():
    assert {name: stage.version for name, stage in STAGES.items()} == {
        name: declared.version for name, declared in declared_keys().items()
    }
    assert set(STAGES) == set(tasks.STAGES)


@pytest.mark.parametrize("name", sorted(STAGES))
def test_every_setting_with_a_default_is_declared(name):
    """Otherwise a default could be changed later without anybody noticing that keys mean something else then."""
    declared = declared_keys()[name]
    known = {*declared.kept, *declared.defaults}
    assert {path for path, _ in settings_with_defaults(identity_of(STAGES[name]))} == known


def with_new_setting(kind, default):
    return create_model(f"Newer{kind.__name__}", __base__=kind, new_setting=(int, default))


@pytest.mark.parametrize("name", sorted(STAGES))
def test_a_new_setting_at_its_default_is_in_no_key(name):
    kind, declared = identity_of(STAGES[name]), declared_keys()[name]
    values = dict.fromkeys(kind.model_fields)
    old = kind.model_construct(**values | construct_sections(kind))
    new = with_new_setting(kind, 3).model_construct(**values | construct_sections(kind), new_setting=3)
    changed = with_new_setting(kind, 3).model_construct(**values | construct_sections(kind), new_setting=4)
    assert canonical_json(key_content(declared, new)) == canonical_json(key_content(declared, old))
    assert key_content(declared, changed)["new_setting"] == 4


def construct_sections(kind):
    """Each section of an identity with nothing but None in it: what is in there does not matter here."""
    inner = {name: field.annotation for name, field in kind.model_fields.items()}
    sections = {name: one for name, one in inner.items() if isinstance(one, type) and issubclass(one, Section)}
    return {
        name: one.model_construct(**dict.fromkeys(one.model_fields) | construct_sections(one))
        for name, one in sections.items()
    }


def test_a_new_setting_of_training_is_in_no_key():
    newer = with_new_setting(TrainingConfig, 1.5)
    kind = create_model("Newer", __base__=TrainingIdentity, training=(newer, ...))
    declared, rest = declared_keys()["training"], {"micro_batch_size": 8, "seed": 0}
    old = TrainingIdentity(training=PRESET.training, **rest)
    new = kind(training=newer(**PRESET.training.model_dump()), **rest)
    assert key_content(declared, new) == key_content(declared, old)


def test_all_settings_that_a_version_had_when_it_was_declared_stay_in_its_keys():
    identity = TrainingIdentity(training=PRESET.training, micro_batch_size=8, seed=0)
    content = key_content(declared_keys()["training"], identity)
    assert content["training"]["max_grad_norm"] == PRESET.training.max_grad_norm
    assert content["training"]["weight_decay"] == 0.0


class Identity(Section):
    text: str
    limit: int = 5


def test_who_relies_on_a_default_gets_another_key_when_it_changes():
    class Later(Section):
        text: str
        limit: int = 6

    declared = DeclaredKey(version=1, defaults={"limit": 5})
    relied, relies = key_content(declared, Identity(text="a")), key_content(declared, Later(text="a"))
    assert relied == {"text": "a"}
    assert relies == {"text": "a", "limit": 6}
    assert key_content(declared, Later(text="a", limit=5)) == relied


def test_a_setting_that_is_gone_stands_in_keys_at_what_it_was():
    declared = DeclaredKey(version=1, removed={"engine": "auto"})
    assert key_content(declared, Identity(text="a")) == {"text": "a", "engine": "auto"}
    usual = {"text": "a", "limit": 5}
    assert as_today(declared, Identity, {"text": "a", "engine": "auto"}) == usual
    assert as_today(declared, Identity, {"text": "a", "engine": "other"}) == {**usual, "engine": "other"}


def test_a_switch_of_the_gate_is_in_the_key_of_who_turned_it():
    identity = CorrectionIdentity.of(PRESET)
    off = identity.with_(check_leaks=False)
    contents = [key_content(declared_keys()["correction"], one) for one in (identity, off)]
    assert [content.get("check_leaks") for content in contents] == [None, False]


class Nested(Section):
    inner: Identity = Field(default_factory=lambda: Identity(text="x"))


def test_a_section_is_walked_into_not_left_out_as_a_whole():
    assert dict(settings_with_defaults(Nested)) == {"inner.limit": 5}
    content = key_content(DeclaredKey(version=1), Nested())
    assert content == {"inner": {"text": "x"}}


class MaybeNested(Section):
    inner: Identity | None


def test_a_section_that_may_be_none_is_walked_into_where_it_is_there():
    assert dict(settings_with_defaults(MaybeNested)) == {"inner.limit": 5}
    content = key_content(DeclaredKey(version=1), MaybeNested(inner=Identity(text="x")))
    assert content == {"inner": {"text": "x"}}
    assert key_content(DeclaredKey(version=1), MaybeNested(inner=None)) == {"inner": None}


def test_a_new_setting_of_the_student_is_in_no_key_of_a_teacher_that_is_the_student():
    newer = with_new_setting(PlayedStudent, 1)
    kind = create_model("Newer", __base__=CorrectionIdentity, student=(newer | None, ...))
    old = CorrectionIdentity.of(PRESET.with_(correction=PRESET.correction.with_(teacher="self")))
    new = kind.model_validate(old.model_dump())
    declared = declared_keys()["correction"]
    assert new.student.new_setting == 1
    assert key_content(declared, new) == key_content(declared, old)


class Freeform(Section):
    params: dict[str, JsonValue] = Field(default_factory=lambda: {"a": 1})


@pytest.mark.parametrize("value", [True, 1.0])
def test_what_python_takes_for_the_default_is_in_the_key(value):
    declared = DeclaredKey(version=1, defaults={"params": {"a": 1}})
    assert key_content(declared, Freeform()) == {}
    assert key_content(declared, Freeform(params={"a": value})) == {"params": {"a": value}}


def test_a_setting_that_is_gone_cannot_come_back_in_the_same_version():
    """Its place in the keys is taken by what stands for all who are left, so that no value would change a key."""
    with pytest.raises(ValueError, match="limit"):
        DeclaredKey(version=1, defaults={"limit": 5}, removed={"limit": 4})
    with pytest.raises(ValueError, match="text"):
        key_content(DeclaredKey(version=1, removed={"text": "a"}), Identity(text="b"))


@pytest.mark.parametrize("inner", ["a text", None, ["a"]])
def test_a_record_whose_section_was_something_else_can_be_compared(inner):
    assert as_today(DeclaredKey(version=1), Nested, {"inner": inner}) == {"inner": inner}
