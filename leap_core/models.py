"""Where a student's weights are: in an artifact, in a local directory, or on the hub.

A model from outside is never copied into the store. Its artifact holds `source.json`, a fingerprint of its files, so
that everything trained from it is keyed by what the model *is*, not by where it lies.
"""

import json
from hashlib import sha256
from pathlib import Path

from leap_core.canonical import canonical_json
from leap_core.errors import StudentError
from leap_core.files import sha256_file, write_json

TINY = "tiny"
BUNDLED = "bundled"
BUNDLED_DIRECTORY = Path(__file__).parents[1] / "data" / "base_student"
SOURCE = "source.json"
_BASE, _ADAPTER_CONFIG = "base", "adapter_config.json"
_MODEL_FILES = ("config.json", _ADAPTER_CONFIG)
_FINGERPRINTED = ("*.safetensors", "*.bin", "*.json", "*.jinja", "*.model", "*.txt")


def fingerprint_model(model: str, cache: Path) -> str:
    """Say what a local model directory holds: a hash over its files' hashes. A hub id stands for itself.

    An adapter is what it and its base are. Hashes of files that have not changed since last time come from a small
    file in `cache`.

    Raises:
        StudentError: a path that is not a model directory, or an adapter that does not name its base or lacks it.
    """
    directory = find_model(model)
    if directory is None:
        return f"hub:{model}"
    remembered = cache / ".verified" / "models.json"
    known = _read_hashes(remembered)
    hashes = {path.relative_to(directory).as_posix(): _hash(path, known) for path in _files_of(directory)}
    base = _base_directory(directory)
    if base is not None:
        hashes |= {f"{_BASE}/{path.name}": _hash(path, known) for path in _files_of(base)}
    write_json(remembered, known)
    return sha256(canonical_json(hashes).encode()).hexdigest()


def _files_of(directory: Path) -> list[Path]:
    return sorted({path for pattern in _FINGERPRINTED for path in directory.glob(pattern)})


def _hash(path: Path, known: dict[str, str]) -> str:
    stat = path.stat()
    # The change time and the inode are what no copy and no `touch` can bring back.
    signature = f"{path.absolute()}:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}:{stat.st_ino}"
    if signature not in known:
        known[signature] = sha256_file(path)
    return known[signature]


def _read_hashes(path: Path) -> dict[str, str]:
    try:
        return dict(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return {}  # without the file, or with a torn one, every model file is hashed


def _base_directory(adapter: Path) -> Path | None:
    """The directory of the model that an adapter belongs to; None for a whole model, or where the base is a hub id.

    Raises:
        StudentError: the adapter does not name its base, or names a path that is no directory.
    """
    config = adapter / _ADAPTER_CONFIG
    if not config.is_file():
        return None
    try:
        base = json.loads(config.read_bytes())["base_model_name_or_path"]
        if not isinstance(base, str) or not base:
            raise ValueError(f"base_model_name_or_path is {base!r}")
    except (ValueError, KeyError, TypeError) as error:
        raise StudentError(f"{config} is damaged or does not name the adapter's base ({error!r}).") from error
    found = next((path for path in (adapter / base, Path(base)) if path.is_dir()), None)
    if found is None and looks_like_path(base):
        raise StudentError(f"{config} names {base!r} as the adapter's base, but there is no such directory.")
    return found


def find_model(model: str) -> Path | None:
    """Return the directory of a local model, or None where `model` can only be a hub id.

    Raises:
        StudentError: a path that is not a model directory.
    """
    directory = Path(resolve_model(model))
    if directory.exists():
        if any((directory / name).is_file() for name in _MODEL_FILES):
            return directory
        raise StudentError(f"{model} is no model directory: it has neither {' nor '.join(_MODEL_FILES)}.")
    if looks_like_path(model) or model == BUNDLED:
        raise StudentError(
            f"No model at {directory}. Give a directory with config.json or adapter_config.json, or a hub id such as "
            "org/name."
        )
    return None


def looks_like_path(model: str) -> bool:
    """Whether `model` can only be meant as a path: a hub id is `name` or `org/name`."""
    return model.startswith((".", "/", "~")) or model.count("/") > 1


def locate_model(artifact: Path, model: str) -> Path | str:
    """Return what transformers can load for the base artifact at `artifact`: its own files, or the outside `model`."""
    return resolve_model(model) if (artifact / SOURCE).is_file() else artifact


def resolve_model(model: str) -> str:
    """Put the path of the bundled student in place of its name, and a home directory in place of `~`."""
    if model == BUNDLED:
        return str(BUNDLED_DIRECTORY)
    return str(Path(model).expanduser()) if looks_like_path(model) else model


def write_source(artifact: Path, source: str) -> None:
    """Write the artifact of a model from outside."""
    write_json(artifact / SOURCE, {"fingerprint": source})
