"""Opening what a training has made, as a user would open it, before a record says that it is there.

The files are opened by transformers' and PEFT's own loading, on torch's device "meta", where each weight's name, type
and shape is looked at and none takes memory: that finds what a full load would, and costs a model of any size under a
second. Then each number that was trained is read once, to see that it is one. The base beside an adapter was looked at
before the run, and its files are copies.
"""

from collections.abc import Iterator
from pathlib import Path

from leap_core.errors import StudentError
from leap_core.students.examination.examine import examine_model
from leap_core.students.examination.findings import Purpose
from leap_core.students.examination.weights import ADAPTER_FILE
from leap_core.students.loading import is_adapter
from leap_core.students.matching import first_of


def check_published(directory: Path) -> None:
    """Open the model or adapter that a training has written to `directory`.

    Raises:
        StudentError: it could not be opened, belongs to no base, or has weights that are no numbers.
    """
    examine_model(directory, Purpose()).check()
    broken = [name for path in _written(directory) for name in _not_finite(path)]
    if broken:
        raise StudentError(
            f"The training ended with weights that are no finite numbers: {first_of(broken)}. Nothing is published. "
            "Lower training.learning_rate, and run again."
        )


def _written(directory: Path) -> list[Path]:
    return [directory / ADAPTER_FILE] if is_adapter(directory) else sorted(directory.glob("*.safetensors"))


def _not_finite(path: Path) -> Iterator[str]:
    import torch
    from safetensors import safe_open

    with safe_open(path, framework="pt") as weights:
        for name in weights.keys():  # noqa: SIM118 - it is no mapping
            tensor = weights.get_tensor(name)
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                yield name
