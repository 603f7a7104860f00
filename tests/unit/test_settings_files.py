"""Files of settings, as editors and accidents leave them: read, or refused in one line that names the file."""

import os

import pytest

from leap_core.chat.prices import read_prices
from leap_core.config import load_config
from leap_core.errors import ConfigError

TEXT = 'experiment = "one"\nseed = 3\n'
PRICES = '[models."gpt"]\nprompt = 1\ncompletion = 2.5\n'

WRONG = [
    (TEXT.encode("utf-16"), "UTF-16"),
    (TEXT.encode("utf-16-be"), "NUL byte in line 1"),
    (TEXT.encode("utf-32"), "UTF-32"),
    (b"\xfe\xff" + TEXT.encode("utf-16-be"), "UTF-16"),
    (b'seed = 3\nexperiment = "\xe9"', "byte 0xe9 in line 2 is not UTF-8"),
    (b"\x89PNG\r\n\x1a\n\0\0", "line 3"),
    (b"seed = 3\nseed = 4\n", "line 2"),
    (b"a = " + b"[" * 100_000, "nested too deeply"),
    (b"a = " + b"[" * 200 + b"]" * 200, "nested more than 20 deep"),
    (b"#" * 1_000_001, "more than 1000000 bytes"),
    (b"seed = " + b"9" * 5000, "digits"),
    (b"seed = nan", "finite"),
    (b"seed = inf", "finite"),
    (b"seed = 2024-01-01", "came: date"),
]


@pytest.fixture(params=["preset", "prices"])
def read(request):
    return load_config if request.param == "preset" else lambda path: read_prices(str(path))


@pytest.mark.parametrize(("content", "told"), WRONG, ids=[told for _, told in WRONG])
def test_a_file_that_is_no_settings_is_refused(tmp_path, read, content, told):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        read(path)
    assert told in str(raised.value)
    assert str(path) in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_what_is_no_plain_file_is_refused_and_not_waited_for(tmp_path, read):
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    with pytest.raises(ConfigError, match=str(pipe)):
        read(pipe)
    with pytest.raises(ConfigError, match=str(tmp_path)):
        read(tmp_path)


def test_a_byte_order_mark_and_crlf_are_read(tmp_path):
    preset, prices = tmp_path / "preset.toml", tmp_path / "prices.toml"
    preset.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    prices.write_bytes(b"\xef\xbb\xbf" + PRICES.encode())
    assert load_config(preset).seed == 3
    assert read_prices(str(prices)).models["gpt"].completion == 2.5


@pytest.mark.parametrize(
    ("price", "told"),
    [
        ("prompt = -1\ncompletion = 1", "gpt.prompt"),
        ("prompt = 1\ncompletion = nan", "finite"),
        ("prompt = 1", "gpt.completion"),
        ('prompt = "1"\ncompletion = 1', "gpt.prompt"),
        ("prompt = true\ncompletion = 1", "gpt.prompt"),
        ("prompt = 1e300\ncompletion = 1", "gpt.prompt"),
        ("prompt = 1\ncompletion = 1\nbatch = -0.5", "gpt.batch"),
        ("prompt = 1\ncompletion = 1\ncached_prompt = 1e-300", "gpt.cached_prompt"),
    ],
)
def test_a_price_that_is_none_is_refused(tmp_path, price, told):
    path = tmp_path / "prices.toml"
    path.write_text(f'[models."gpt"]\n{price}\n')
    with pytest.raises(ConfigError) as raised:
        read_prices(str(path))
    assert told in str(raised.value)
    assert str(path) in str(raised.value)
