"""Directories of downloaded data, as `environment.data` names them."""

import os
from pathlib import Path

from leap_core.errors import LeapError


def find_folder(setting: str, how_to_get: str) -> Path:
    """The directory for a value of environment.data: a path, which may hold ~ and environment variables.

    Raises:
        LeapError: there is no such directory, or a variable is not set; ends with `how_to_get`.
    """
    named = os.path.expandvars(setting)
    if not named or "$" in named:
        raise LeapError(f"environment.data is {setting!r}, but that variable is not set. {how_to_get}")
    folder = Path(named).expanduser().resolve()
    if not folder.is_dir():
        raise LeapError(f"environment.data is {setting!r}, but there is no directory {folder}. {how_to_get}")
    return folder
