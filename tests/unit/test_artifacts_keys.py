"""Canonical text, stage keys and differences of configurations."""

import json
import math
import random
from enum import StrEnum
from pathlib import Path

import pytest
from pydantic import BaseModel

from leap_core.disk.canonical import canonical_json, diff_configs, files_digest, stage_key
from leap_core.errors import ConfigError
from leap_core.types import ArtifactRef


class Color(StrEnum):
    RED = "red"


class Setting(BaseModel):
    rate: float
    names: tuple[str, ...] = ()


def ref(digest, name="demo", key="k" * 64):
    return ArtifactRef(stage="specs", name=name, key=key, digest=digest)


def test_order_of_keys_and_whitespace_do_not_matter():
    assert canonical_json({"b": [1, 2.5, None, True], "a": {"y": "ä", "x": ()}}) == (
        '{"a":{"x":[],"y":"ä"},"b":[1,2.5,null,true]}'
    )


def test_models_and_enums_count_as_their_json_form():
    assert canonical_json(Setting(rate=1, names=("x",))) == canonical_json({"rate": 1.0, "names": ["x"]})
    assert canonical_json({"color": Color.RED}) == '{"color":"red"}'


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": {1, 2}}, "value.a"),
        ({"a": [0.0, math.nan]}, "value.a[1]"),
        ({"a": -math.inf}, "value.a"),
        ({"a": b"x"}, "value.a"),
        ({"a": {"b": object()}}, "value.a.b"),
        ({"a": Path("/tmp")}, "value.a"),
        ({"a": {1: "x"}}, "value.a"),
        ({"a": "\ud800"}, "value.a"),
        (Setting(rate=math.nan), "value.rate"),
        (lambda: 0, "value"),
    ],
)
def test_what_has_no_exact_form_is_refused_with_its_place(value, place):
    with pytest.raises(ConfigError) as raised:
        canonical_json(value)
    assert raised.value.item == place


def test_equal_values_give_equal_text_and_others_do_not():
    generator = random.Random(0)

    def value(depth):
        kinds = [None, True, generator.randint(-9, 9), generator.random(), "", "é\n", "1"]
        if depth == 0 or generator.random() < 0.4:
            return generator.choice(kinds)
        if generator.random() < 0.5:
            return [value(depth - 1) for _ in range(generator.randint(0, 3))]
        return {generator.choice("abcde"): value(depth - 1) for _ in range(generator.randint(0, 3))}

    def shuffled(one):
        if isinstance(one, dict):
            return {key: shuffled(one[key]) for key in sorted(one, key=lambda _: generator.random())}
        return [shuffled(item) for item in one] if isinstance(one, list) else one

    for _ in range(300):
        one = value(4)
        text = canonical_json(one)
        assert canonical_json(shuffled(one)) == text
        assert json.loads(text) == one


def test_a_key_depends_on_all_that_decides_the_result():
    base = stage_key("training", 1, {"lr": 0.1}, {"data": ref("d1")})
    others = {
        stage_key("evaluation", 1, {"lr": 0.1}, {"data": ref("d1")}),
        stage_key("training", 2, {"lr": 0.1}, {"data": ref("d1")}),
        stage_key("training", 1, {"lr": 0.2}, {"data": ref("d1")}),
        stage_key("training", 1, {"lr": 0.1}, {"data": ref("d2")}),
        stage_key("training", 1, {"lr": 0.1}, {"model": ref("d1")}),
        stage_key("training", 1, {"lr": 0.1}, {}),
    }
    assert len(base) == 64
    assert len(others | {base}) == 7


def test_a_key_depends_on_nothing_else():
    one = stage_key("training", 1, Setting(rate=0.1), {"data": ref("d1")})
    other = stage_key("training", 1, {"names": [], "rate": 0.1}, {"data": ref("d1", name="other", key="z" * 64)})
    assert one == other


def test_a_key_is_the_same_in_every_version_of_this_code():
    """If this fails, every artifact that anyone has would be made again: is that meant?"""
    key = stage_key("specs", 3, {"seed": 0, "share": 0.15, "name": "Küche"}, {"data": ref("abc")})
    assert key == "d1abe47c6601104f455de410fa5ea6c8a27f6a8b1c16a8d97a319baf4bc83bc6"


def test_a_digest_is_of_paths_and_bytes():
    assert files_digest({"a": "1", "b": "2"}) == files_digest({"b": "2", "a": "1"})
    assert files_digest({"a": "1", "b": "2"}) != files_digest({"a": "2", "b": "1"})


def test_differences_are_flat_and_sorted():
    old = {"training": {"learning_rate": 0.003, "epochs": 2, "extra": {}}, "name": "demo", "same": [1]}
    new = {"training": {"learning_rate": 0.001, "extra": {"x": None}}, "name": "demo two", "same": [1]}
    assert diff_configs(old, new) == [
        "name demo -> demo two",
        "training.epochs 2 -> (absent)",
        "training.extra {} -> (absent)",
        "training.extra.x (absent) -> null",
        "training.learning_rate 0.003 -> 0.001",
    ]


def test_a_text_and_a_number_that_look_alike_still_differ():
    assert diff_configs({"a": "1"}, {"a": 1}) == ['a "1" -> 1']
    assert diff_configs({"a": "x"}, {"a": "x"}) == []
    assert diff_configs({}, {}) == []
