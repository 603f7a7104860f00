"""What somebody else wrote is shown as what it is, and read so that it stops nothing."""

import json
import math

import pytest

from leap_core.text.outside import mended, read_json
from leap_core.text.shown import shown, shown_lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text, Grüße, 日本語\u3000と 🙂", "plain text, Grüße, 日本語\u3000と 🙂"),
        ("\x1b[2J\x1b[31mred", r"\x1b[2J\x1b[31mred"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("one\r\ntwo\tthree", r"one\r\ntwo\tthree"),
        ("\u202eabc\u2066d\u200f", r"\u202eabc\u2066d\u200f"),
        ("a\u200bb\u200dc\ufeffd\u00ade", r"a\u200bb\u200dc\ufeffd\xade"),
        ("a\u2028b\u2029c\x85d", r"a\u2028b\u2029c\x85d"),
        ("\ud83d \udc80", r"\ud83d \udc80"),
        ("\U000e0041\x00\x7f", r"\U000e0041\x00\x7f"),
    ],
)
def test_what_cannot_be_seen_is_spelled_out(text, expected):
    assert shown(text) == expected
    assert shown(text).isprintable() or "\u3000" in text


def test_lines_stay_lines():
    assert shown_lines("one\n\ttwo\r\x1b[A\nthree") == "one\n\ttwo\\r\\x1b[A\nthree"


def test_halves_of_pairs_are_replaced_and_pairs_stay():
    assert mended("a\ud83db\udc80") == "a\ufffdb\ufffd"
    assert mended("🙂 ü") == "🙂 ü"
    value = read_json(r'{"a\ud800": ["\ud83d", "\ud83d\ude42"], "b": 1e3}')
    assert value == {"a\ufffd": ["\ufffd", "🙂"], "b": 1000.0}
    json.dumps(value, ensure_ascii=False).encode()


def test_no_number_stops_the_reading():
    assert read_json("[" + "9" * 5000 + ", 1e999, Infinity, 12]") == [math.inf, math.inf, math.inf, 12]


@pytest.mark.parametrize(
    "content",
    [
        "[" * 200_000 + "]" * 200_000,
        '{"a":' * 200_000 + "1" + "}" * 200_000,
        "[" * 900 + "]" * 900,
        "[" * 200_000,
        b"\xff\xfe\x00",
        "",
    ],
    ids=range(6),
)
def test_what_is_no_json_is_one_kind_of_error(content):
    with pytest.raises(ValueError, match=r".+"):
        read_json(content)
