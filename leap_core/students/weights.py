"""Where a student's weights are: in an artifact, in a local directory, or on the hub.

A model from outside is never copied into the store. Its artifact holds `source.json`, a fingerprint of its files, so
that everything trained from it is keyed by what the model *is*, not by where it is.
"""

import json
import os
import re
from hashlib import sha256
from pathlib import Path

from leap_core.disk.canonical import canonical_json
from leap_core.disk.files import sha256_file, write_json
from leap_core.errors import StudentError
from leap_core.students.model_files import WEIGHTS, check_plain, read_json_object

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
TINY = "tiny"
BUNDLED = "bundled"
BUNDLED_DIRECTORY = Path(__file__).parent / "bundled"
SOURCE = "source.json"
ADAPTER_CONFIG = "adapter_config.json"
MODEL_FILES = ("config.json", ADAPTER_CONFIG)
_SMALL_FILES = ("*.json", "*.jinja", "*.model", "*.txt")


def fingerprint_model(model: str, cache: Path) -> str:
    """Return a hash over the hashes of a local model's files; for a hub id, the id itself.

    The fingerprint of an adapter includes its base. Hashes of files that have not changed since the last time come
    from a small file in `cache`.

    Raises:
        StudentError: not a model directory, a file in it is not a regular one, or an adapter whose base is not named
            or missing.
    """
    directory = find_model(model)
    if directory is None:
        return f"hub:{model}"
    hashes = hash_files(directory, cache)
    base = base_of_adapter(directory) if is_adapter(directory) else None
    if isinstance(base, Path):
        hashes |= {f"base/{name}": digest for name, digest in hash_files(base, cache).items()}
    return sha256(canonical_json(hashes).encode()).hexdigest()


def hash_files(directory: Path, cache: Path) -> dict[str, str]:
    """Return the sha256 of each file of a model, by its name; of those that have not changed, from a file in `cache`.

    Raises:
        StudentError: a file is not a regular one.
    """
    remembered = cache / ".verified" / "models.json"
    known = _read_hashes(remembered)
    before = len(known)
    hashes = {path.name: _hash(path, known) for path in _files_of(directory)}
    if len(known) > before:
        write_json(remembered, known)
    return hashes


def _files_of(directory: Path) -> list[Path]:
    return sorted({path for pattern in (*WEIGHTS, *_SMALL_FILES) for path in directory.glob(pattern)})


def _hash(path: Path, known: dict[str, str]) -> str:
    check_plain(path)
    stat = path.stat()
    # Neither a copy nor `touch` can restore the change time and the inode.
    signature = f"{path.absolute()}:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}:{stat.st_ino}"
    if signature not in known:
        known[signature] = sha256_file(path)
    return known[signature]


def _read_hashes(path: Path) -> dict[str, str]:
    try:
        return dict(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return {}  # without the file, or if it is damaged, every model file is hashed


def is_adapter(path: Path | str) -> bool:
    """Whether `path` is a directory with a PEFT adapter."""
    return (Path(path) / ADAPTER_CONFIG).is_file()


def base_of_adapter(adapter: Path | str) -> Path | str:
    """The directory or hub id of an adapter's base model.

    Raises:
        StudentError: the adapter does not name it, or it is missing or an adapter itself.
    """
    config = Path(adapter) / ADAPTER_CONFIG
    base = read_json_object(config).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise StudentError(
            f"{config} is damaged or does not name the adapter's base: base_model_name_or_path is {base!r}. Write the "
            "directory or the hub id of the model there that the adapter was trained on.",
            item=str(config),
        )
    found = next((path for path in (Path(adapter) / base, Path(base).expanduser()) if _is_directory(path)), None)
    if found is None and (looks_like_path(base) or not HUB_ID.fullmatch(base)):
        raise StudentError(
            f"{config} names {base!r} as the adapter's base, but there is no such directory. Write the directory or "
            "the hub id of the model there that the adapter was trained on.",
            item=str(config),
        )
    if found is not None and (found / ADAPTER_CONFIG).exists():
        raise StudentError(
            f"{config} names {base!r} as the adapter's base, but that is an adapter itself. Merge that one into its "
            "own base (peft: merge_and_unload, then save_pretrained), and name the merged model.",
            item=str(config),
        )
    return base if found is None else found


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # not a valid file name
        return False


def find_model(model: str) -> Path | None:
    """Return the directory of a local model, or None where `model` can only be a hub id.

    Raises:
        StudentError: a path that is not a model directory.
    """
    directory = Path(resolve_model(model))
    if directory.exists():
        if any((directory / name).exists() for name in MODEL_FILES):
            return directory
        why = f"it has neither {' nor '.join(MODEL_FILES)}"
        raise StudentError(f"{model} is not a model directory: {why}.", item=model)
    if looks_like_path(model) or model == BUNDLED:
        raise StudentError(
            f"No model at {directory}. Give a directory with config.json or adapter_config.json, or a hub id such as "
            "org/name.",
            item=model,
        )
    return None


def require_model(model: str) -> None:
    """Check that a model's weights are on this machine or can be downloaded; nothing is loaded.

    Raises:
        StudentError: neither; says why, and what to do.
    """
    if find_model(model) is not None or has_weights(model):
        return
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        hf_hub_download(model, MODEL_FILES[0])
    except GatedRepoError:
        why = "it is gated: request access on the model's page, then `hf auth login`"
    except (LocalEntryNotFoundError, OfflineModeIsEnabled):
        offline = os.environ.get("HF_HUB_OFFLINE")
        why = "HF_HUB_OFFLINE is set: unset it" if offline else "the hub cannot be reached: check the connection"
    except HfHubHTTPError as error:
        why = f"the hub refuses it: {str(error).splitlines()[0]}"
    else:
        return
    raise StudentError(
        f"The student's model {model!r} is not on this machine, and {why}. Or set student.model to a directory or to a "
        "public model.",
        item=model,
    )


def has_weights(model: str) -> bool:
    """Whether a hub model's weights are in this machine's cache."""
    return _cached(model) is not None


def _cached(model: str) -> Path | None:
    """The local directory of a hub model's files; None if its weights are not in this machine's cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(model, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    return folder if any(True for pattern in WEIGHTS for _ in folder.glob(pattern)) else None


def snapshot_of(model: str) -> Path:
    """The local directory of a hub model's files; if the weights are not there, its small files are downloaded.

    The model must be on this machine or on the hub (`require_model`).
    """
    from huggingface_hub import snapshot_download

    return _cached(model) or Path(snapshot_download(model, allow_patterns=list(_SMALL_FILES)))


def looks_like_path(model: str) -> bool:
    """Whether `model` can only be a path: a hub id is `name` or `org/name`."""
    return model.startswith((".", "/", "~")) or model.count("/") > 1


def locate_model(artifact: Path, model: str) -> Path | str:
    """Return what transformers can load for a base artifact: its own files, or `model`, which they stand for."""
    return resolve_model(model) if (artifact / SOURCE).is_file() else artifact


def resolve_model(model: str) -> str:
    """Replace the name of the bundled student by its path, and `~` by the home directory."""
    if model == BUNDLED:
        return str(BUNDLED_DIRECTORY)
    return str(Path(model).expanduser()) if looks_like_path(model) else model


def write_source(artifact: Path, source: str) -> None:
    """Write the artifact of a model from outside."""
    write_json(artifact / SOURCE, {"fingerprint": source})
