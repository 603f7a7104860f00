"""Reading settings that people write: TOML files, the defaults below them, and JSON on the command line."""

import errno
import json
import math
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leap_core.errors import ConfigError

MAX_BYTES = 1_000_000
"""Of a file of settings. The presets have one or two thousand bytes."""
MAX_DEPTH = 20
MAX_TEXT = 100_000
"""Characters of one text anywhere in the settings."""
_ENVIRONMENTS = Path(__file__).parents[1] / "envs"
_MOST = 2**63
_MARKS = {b"\xff\xfe\0\0": "UTF-32", b"\0\0\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


def read_toml(path: Path, what: str, advice: str) -> dict[str, Any]:
    """Read a TOML file in UTF-8, with or without a byte order mark.

    `what` is the word for it in errors, as "the preset", and `advice` what to do if it cannot be read.

    Raises:
        ConfigError: not a regular file, too large, not UTF-8 or not TOML; names the file and, if known, the line.
    """
    try:
        values = tomllib.loads(_decode(_read(path), path))
    except OSError as error:
        raise ConfigError(f"Cannot read {what} {path}: {error.strerror}. {advice}", item=str(path)) from error
    except RecursionError as error:
        raise ConfigError(
            f"{path} is not valid TOML: it is nested too deeply. Fix the file.", item=str(path)
        ) from error
    except ValueError as error:  # tomllib's own errors, and numbers of thousands of digits
        raise ConfigError(f"{path} is not valid TOML: {error}. Fix the file.", item=str(path)) from error
    check_values(values, f"{path}: ")
    return values


def add_defaults(values: Mapping[str, Any], usual: str) -> dict[str, Any]:
    """Add to the sections of an experiment what they lack and its environment states: `envs/<name>/defaults.toml`.

    Args:
        values: the sections, as a preset has them. A table inside one, such as `params`, is taken as it is.
        usual: the environment, where `values` names none. One without a folder has no defaults.

    Raises:
        ConfigError: the file of defaults is not TOML.
    """
    files = {path.parent.name: path for path in _ENVIRONMENTS.glob("*/defaults.toml")}
    section = values.get("environment")
    name = section.get("name", usual) if isinstance(section, Mapping) else usual
    if not isinstance(name, str) or name not in files:
        return dict(values)
    defaults = read_toml(files[name], f"the defaults of {name}", "Install the package again.")
    sections = {
        key: {**default, **values[key]} for key, default in defaults.items() if isinstance(values.get(key), Mapping)
    }
    return {**defaults, **values, **sections}


def read_json(text: str, where: str) -> Any:
    """Read `text` as JSON; if it is not JSON, return the text itself, stripped.

    Raises:
        ConfigError: it is JSON, but cannot be a setting: nested too deeply, a key twice, NaN, infinity.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_without_doubles)
    except json.JSONDecodeError:
        return text.strip()
    except RecursionError as error:
        raise ConfigError(f"{where}: the value is nested too deeply. Write it with fewer brackets.") from error
    except ValueError as error:  # of the two below, and numbers of thousands of digits
        raise ConfigError(f"{where}: {str(error).partition(';')[0]}. Write another value.") from error


def check_values(values: Mapping[Any, Any], prefix: str, path: str = "", depth: int = 1) -> None:
    """Check that all of `values` are texts, finite numbers, booleans, None, or lists or dicts of them.

    Raises:
        ConfigError: names the first that is not, after `prefix`.
    """
    if depth > MAX_DEPTH:
        text = f"{prefix}{path[:80]}... is nested more than {MAX_DEPTH} deep. Settings are flat."
        raise ConfigError(text, item=path[:80])
    for key, value in values.items():
        if not isinstance(key, str):
            raise ConfigError(f"{prefix}{path or 'the settings'}: keys must be texts (came: {key!r}).", item=path)
        name = key if key.isprintable() else ascii(key)
        where = f"{path}.{name}" if path else name
        if isinstance(value, Mapping):
            check_values(value, prefix, where, depth + 1)
        elif isinstance(value, list | tuple):
            check_values({str(index): item for index, item in enumerate(value)}, prefix, where, depth + 1)
        elif wrong := _what_is_wrong(value):
            raise ConfigError(f"{prefix}Config {where}: {wrong}.", item=where)


def _what_is_wrong(value: Any) -> str | None:
    if isinstance(value, str):
        return _what_is_wrong_with_text(value)
    if value is not None and not isinstance(value, bool | int | float):
        return f"must be a text, a number, true or false, a list or a table (came: {type(value).__name__} {value})"
    if isinstance(value, float) and not math.isfinite(value):
        return f"must be a finite number (came: {value})"
    if isinstance(value, int) and abs(value) >= _MOST:
        return f"must be a number below 2^63 (came: {value.bit_length()} bits)"
    return None


def _what_is_wrong_with_text(text: str) -> str | None:
    if len(text) > MAX_TEXT:
        return f"must be a text of at most {MAX_TEXT} characters (came: {len(text)})"
    strange = next((one for one in text if one == "\0" or "\ud800" <= one <= "\udfff"), None)
    return None if strange is None else f"must not contain the character {strange!a}"


def _read(path: Path) -> bytes:
    # Checked before it is opened: opening a FIFO blocks until there is a writer.
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        why = "Is a directory" if stat.S_ISDIR(mode) else "not a regular file (a pipe or device)"
        raise OSError(errno.EINVAL, why)
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise OSError(errno.EFBIG, f"it has more than {MAX_BYTES} bytes")
    return content


def _decode(content: bytes, path: Path) -> str:
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
    if encoding is not None:
        why = f"its encoding is {encoding}"
    elif 0 in content:
        why = f"a NUL byte in line {_line(content, content.index(0))}, so it is UTF-16 or not text"
    else:
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            why = f"the byte {content[error.start]:#04x} in line {_line(content, error.start)} is not UTF-8"
    raise ConfigError(f"{path} is not valid TOML: {why}. Save it as UTF-8.", item=str(path))


def _line(content: bytes, place: int) -> int:
    return content[:place].count(b"\n") + 1


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number that a setting may be")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} is given twice")
    return values
