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
_FINGERPRINTED = ("*.safetensors", "*.bin", "*.json", "*.jinja", "*.model", "*.txt")


def fingerprint_model(model: str, cache: Path) -> str:
    """Say what a local model directory holds: a hash over its files' hashes. A hub id stands for itself.

    Hashes of files that have not changed since last time come from a small file in `cache`.

    Raises:
        StudentError: a path that is not a model directory.
    """
    model = resolve_model(model)
    directory = Path(model)
    if not directory.exists():
        if looks_like_path(model):
            raise StudentError(f"No model at {model}. Give a directory with config.json, or a hub id such as org/name.")
        return f"hub:{model}"
    if not (directory / "config.json").is_file():
        raise StudentError(f"{model} is no model directory: it has no config.json.")
    remembered = cache / ".verified" / "models.json"
    known = json.loads(remembered.read_text()) if remembered.is_file() else {}
    hashes = {}
    for path in sorted({path for pattern in _FINGERPRINTED for path in directory.glob(pattern)}):
        stat = path.stat()
        signature = f"{path.absolute()}:{stat.st_size}:{stat.st_mtime_ns}"
        hashes[path.name] = known.setdefault(signature, "") or sha256_file(path)
        known[signature] = hashes[path.name]
    write_json(remembered, known)
    return sha256(canonical_json(hashes).encode()).hexdigest()


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
