"""Reading the files of models from outside: bounded, and regular files only.

Such a directory may hold a named pipe, which blocks for ever, an endless file, or JSON that is nested without end.
Every reader of such files, this project's own or a library's, comes after a check by these functions.
"""

import json
import stat
from pathlib import Path
from typing import Any

from leap_core.errors import StudentError

MOST_SETTINGS_BYTES = 256 * 2**20
"""The largest tokenizers are some ten times smaller."""
LFS_POINTER = b"version https://git-lfs"
HOW_TO_PULL = (
    "is a pointer of Git LFS, not the file itself. Fetch it: `git lfs pull` in that directory, or `hf download` the "
    "model."
)
WEIGHTS = ("*.safetensors", "*.bin")
_DEEPEST = 100
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFDIR: "a directory",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_plain(path: Path) -> int:
    """Return the size of a plain file in bytes, links followed. Weights may be large, all else is bounded.

    Raises:
        StudentError: it is not there, may not be read, is no plain file, or is too large.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise StudentError(f"{path} cannot be read: {why}. Put the model's own file there.") from error
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "no file")
        raise StudentError(f"{path} is {kind}, where a plain file is expected. Put the model's own file there.")
    if status.st_size > MOST_SETTINGS_BYTES and not any(path.match(pattern) for pattern in WEIGHTS):
        raise StudentError(
            f"{path} has {status.st_size / 1e6:,.0f} MB; a file of settings or of a tokenizer has at most "
            f"{MOST_SETTINGS_BYTES / 1e6:.0f}. Put the model's own file there."
        )
    return status.st_size


def is_pointer(path: Path) -> bool:
    """Whether a plain file is what Git LFS leaves in place of a large one."""
    with path.open("rb") as file:
        return file.read(len(LFS_POINTER)) == LFS_POINTER


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        StudentError: as for `check_plain`; or it is something else, damaged, or nested too deep.
    """
    check_plain(path)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise StudentError(f"{path} is nested too deep to be read. Put the model's own file there.") from error
    except (OSError, ValueError) as error:
        if path.is_file() and is_pointer(path):
            raise StudentError(f"{path} {HOW_TO_PULL}") from error
        why = str(error).partition("\n")[0]
        raise StudentError(f"{path} is damaged, no JSON in UTF-8: {why}. Download the file again.") from error
    if not isinstance(value, dict):
        raise StudentError(f"{path} holds {type(value).__name__}, where a JSON object is expected.")
    if _is_deep(value):
        raise StudentError(f"{path} is nested deeper than {_DEEPEST} levels. Put the model's own file there.")
    return value


def _is_deep(value: dict[str, Any]) -> bool:
    level: list[Any] = [value]
    for _ in range(_DEEPEST):
        children = (child for one in level for child in (one.values() if isinstance(one, dict) else one))
        level = [child for child in children if isinstance(child, dict | list)]
    return bool(level)
