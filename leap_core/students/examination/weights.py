"""Which weights a model directory has, by the headers of its safetensors files. No tensor is read.

A safetensors file is eight bytes (the header's length, little-endian), the header (JSON: type, shape and offsets of
each tensor), and then the tensors' bytes, up to the end of the file.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leap_core.errors import StudentError
from leap_core.students.examination.findings import Notes
from leap_core.students.loading import ADAPTER_WEIGHTS
from leap_core.students.matching import first_of
from leap_core.students.model_files import HOW_TO_PULL, check_plain, is_pointer, read_json_object

ONE_FILE, INDEX = "model.safetensors", "model.safetensors.index.json"
_MOST_HEADER_BYTES = 100_000_000
_LENGTH_BYTES = 8
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_OTHERS = {"*.gguf": "GGUF", "*.h5": "TensorFlow", "*.msgpack": "Flax", "*.onnx": "ONNX", "*.npz": "NumPy"}
_NO_WEIGHTS = frozenset({"training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt", "scheduler.bin"})
_BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """Type, in the spelling of safetensors, and shape of a tensor in a file."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def num_elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


def read_header(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, by name.

    Raises:
        StudentError: not such a file, damaged, or truncated.
    """
    size = check_plain(path)
    if is_pointer(path):
        raise StudentError(f"{path.name} {HOW_TO_PULL}", item=path.name)
    with path.open("rb") as file:
        num_header = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if size < _LENGTH_BYTES or not 2 <= num_header <= min(_MOST_HEADER_BYTES, size - _LENGTH_BYTES):
            raise _fault(path, "is not a safetensors file, or damaged at its beginning")
        header = file.read(num_header)
    entries = _entries(path, header)
    end = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    has = size - _LENGTH_BYTES - num_header
    if end != has:
        state = "cut off" if has < end else "longer than it should be"
        raise _fault(path, f"is {state}: {has:,} bytes of weights, but {end:,} by its header")
    return {name: Tensor(dtype=entry["dtype"], shape=tuple(entry["shape"])) for name, entry in entries.items()}


def _fault(path: Path, what: str) -> StudentError:
    return StudentError(f"{path.name} {what}. Download or copy it again.", item=path.name)


def _entries(path: Path, header: bytes) -> dict[str, Any]:
    try:
        entries = dict(json.loads(header.decode("utf-8")))
        entries.pop("__metadata__", None)
        for name, entry in entries.items():
            _check_entry(name, entry)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _fault(path, f"has a damaged header ({error})") from error
    return entries


def _check_entry(name: str, entry: Any) -> None:
    first, last = entry["data_offsets"]
    sizes = [first, last, *entry["shape"]]
    if not all(isinstance(number, int) and number >= 0 for number in sizes) or last < first:
        raise ValueError(f"tensor {name!r} has impossible sizes")
    bits = _BITS.get(entry["dtype"])
    if bits is not None and (last - first) * 8 != bits * math.prod(entry["shape"]):
        raise ValueError(f"tensor {name!r} has {last - first} bytes, which its shape does not make")


def find_tensors(directory: Path, notes: Notes) -> dict[str, Tensor]:
    """The tensors of a model directory, in the file or files that transformers would load.

    What is wrong with the files goes into `notes`; the tensors are then incomplete.
    """
    if (directory / ONE_FILE).exists():
        files = [ONE_FILE]
    elif (directory / INDEX).exists():
        files = _shards(directory, notes)
    else:
        _name_what_is_there(directory, notes)
        return {}
    tensors: dict[str, Tensor] = {}
    for name in files:
        with notes.catching("weights"):
            tensors |= read_header(directory / name)
    return tensors


def find_adapter_tensors(directory: Path, notes: Notes) -> dict[str, Tensor]:
    """The tensors of an adapter's own weights; what is wrong with the file goes into `notes`."""
    if not (directory / ADAPTER_WEIGHTS).exists():
        _name_what_is_there(directory, notes, ADAPTER_WEIGHTS)
        return {}
    with notes.catching("weights"):
        return read_header(directory / ADAPTER_WEIGHTS)
    return {}


def _shards(directory: Path, notes: Notes) -> list[str]:
    """The files that an index names and that are there."""
    with notes.catching("weights"):
        named = read_json_object(directory / INDEX).get("weight_map")
        if not isinstance(named, dict) or not all(isinstance(name, str) for name in named.values()):
            raise _fault(directory / INDEX, "has no weight_map from tensors to files")
        shards = sorted(set(named.values()))
        outside = [name for name in shards if Path(name).name != name or not name.endswith(".safetensors")]
        if outside:
            raise StudentError(f"{INDEX} names files that may not be loaded: {first_of(outside)}.", item=INDEX)
        missing = [name for name in shards if not (directory / name).exists()]
        if missing:
            notes.error(
                "weights",
                f"{len(missing)} of the {len(shards)} files that {INDEX} names are missing: {first_of(missing)}",
                remedy="Download them, or the model again.",
            )
        return [name for name in shards if name not in missing]
    return []


def _name_what_is_there(directory: Path, notes: Notes, expected: str = f"{ONE_FILE} or {INDEX}") -> None:
    pickled = _matches(directory, _PICKLED)
    if pickled:
        notes.error(
            "weights",
            f"there are only pickled weights, {first_of(pickled)}; opening such can run code, so they are not",
            expected,
            "Where you trust them, convert them: load the model with transformers (an adapter with peft) and "
            "`save_pretrained` it to a new directory, or take another revision of it.",
        )
        return
    others = [
        f"{kind} ({first_of(found)})" for like, kind in _OTHERS.items() if (found := _matches(directory, (like,)))
    ]
    shards = _matches(directory, ("*.safetensors",))
    if shards:
        came = f"there are {first_of(shards)}, but no {expected.replace(' or ', ' and no ')}"
    else:
        came = f"its weights are {' and '.join(others)}" if others else "there are no weights"
    notes.error("weights", came, expected, "Download the model as safetensors, all its files, or convert it.")


def _matches(directory: Path, patterns: tuple[str, ...]) -> list[str]:
    found = {path.name for pattern in patterns for path in directory.glob(pattern)}
    return sorted(found - _NO_WEIGHTS)
