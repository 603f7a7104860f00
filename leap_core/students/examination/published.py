"""Opening a trained model as a user would, before its artifact is published.

transformers' and PEFT's own loaders open the files on torch's device "meta", where the name, type and shape of each
weight are checked and none takes memory: that finds what a full load would, in under a second at any size. Then each
trained number is read once, to see that it is finite. The base beside an adapter was examined before the run, and its
files are copies.
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
        StudentError: it cannot be opened, does not fit its base, or has weights that are not finite.
    """
    examine_model(directory, Purpose()).check()
    broken = [name for path in _written(directory) for name in _not_finite(path)]
    if broken:
        raise StudentError(
            f"The training ended with weights that are not finite: {first_of(broken)}. Nothing is published. "
            "Lower training.learning_rate, and run again.",
            item=broken[0],
        )


def _written(directory: Path) -> list[Path]:
    return [directory / ADAPTER_FILE] if is_adapter(directory) else sorted(directory.glob("*.safetensors"))


def _not_finite(path: Path) -> Iterator[str]:
    import torch
    from safetensors import safe_open

    with safe_open(path, framework="pt") as weights:
        for name in weights.keys():  # noqa: SIM118 - it is not a mapping
            tensor = weights.get_tensor(name)
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                yield name
