"""Files of settings, as editors and accidents leave them: read, or refused in one line that names the file."""

import os

import pytest

from leap_core.chat.prices import read_prices
from leap_core.config import load_config
from leap_core.errors import ConfigError

TEXT = 'experiment = "one"\nseed = 3\n'
PRICES = '[models."gpt"]\nprompt = 1\ncompletion = 2.5\n'

WRONG = {
    "UTF-16": TEXT.encode("utf-16"),
    "line 1": TEXT.encode("utf-16-be"),
    "UTF-32": TEXT.encode("utf-32"),
    "UTF-16 of the other order": b"\xfe\xff" + TEXT.encode("utf-16-be"),
    "line 2": b'seed = 3\nexperiment = "\xe9"',
    "line 3": b"\x89PNG\r\n\x1a\n\0\0",
    "line 2, twice": b"seed = 3\nseed = 4\n",
    "endless brackets": b"a = " + b"[" * 100_000,
    "many brackets": b"a = " + b"[" * 200 + b"]" * 200,
    "too large": b"#" * 1_000_001,
    "too many digits": b"seed = " + b"9" * 5000,
    "seed, nan": b"seed = nan",
    "seed, infinite": b"seed = inf",
    "seed, date": b"seed = 2024-01-01",
}
"""What is wrong with a file, and its content; the error says the part before the comma, where it can."""


@pytest.fixture(params=["preset", "prices"])
def read(request):
    return load_config if request.param == "preset" else lambda path: read_prices(str(path))


@pytest.mark.parametrize("wrong", WRONG)
def test_a_file_that_is_no_settings_is_refused(tmp_path, read, wrong):
    path = tmp_path / "mine.toml"
    path.write_bytes(WRONG[wrong])
    with pytest.raises(ConfigError) as raised:
        read(path)
    assert str(path) in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    if wrong.startswith(("UTF", "line", "seed")):
        assert wrong.partition(",")[0].partition(" of")[0] in str(raised.value)


def test_what_is_no_plain_file_is_refused_and_not_waited_for(tmp_path, read):
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        with pytest.raises(ConfigError) as raised:
            read(path)
        assert raised.value.item == str(path)


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
        ("prompt = 1\ncompletion = nan", "gpt.completion"),
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
