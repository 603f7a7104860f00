"""What one part of the GPU check is told, where it writes its figures down, and how it measures them."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Job:
    """One part, in a process of its own.

    `folder` is for files that go away, `output` where the figures go. `seconds` is how long the part may take, `model`
    a directory with a small pretrained model, `home` where runs are kept, `dry_run` everything tiny and on the CPU.
    """

    folder: Path
    output: Path
    seconds: float
    model: Path | None = None
    home: Path | None = None
    dry_run: bool = False

    @classmethod
    def read(cls, text: str) -> "Job":
        """From what `text()` wrote."""
        values = json.loads(text)
        paths = {name: value and Path(value) for name, value in values.items() if name not in ("seconds", "dry_run")}
        return cls(**{**values, **paths})

    def text(self) -> str:
        """As one argument of a command."""
        return json.dumps(asdict(self), default=str)

    @property
    def device(self) -> str:
        """Where torch computes."""
        return "cpu" if self.dry_run else "cuda"

    @property
    def random_model(self) -> Path:
        """The model from random weights that several parts share."""
        return self.folder / "random" / "base"


class Figures:
    """What a part has found out; on the disk after each figure, so that a part that is cut off loses none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._figures: dict[str, Any] = {}

    def __setitem__(self, name: str, value: Any) -> None:
        self._figures[name] = value
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(self._figures), encoding="utf-8")
        fresh.replace(self._path)

    @contextmanager
    def unless_it_fails(self, name: str) -> Iterator[None]:
        """Write an error, such as too little memory, down as the figure of this name, and go on with the next."""
        try:
            yield
        except Exception as error:  # any: what a card or a library cannot do is a finding
            self[name] = {"error": describe(error)}


class Stopwatch:
    """Seconds since it was made, all work on the device included."""

    def __init__(self) -> None:
        wait_for_device()
        self._start = time.perf_counter()

    def read(self) -> float:
        """How many seconds it has been."""
        wait_for_device()
        return time.perf_counter() - self._start


def describe(error: BaseException) -> str:
    """The type and the beginning of an error's text: that of torch's can be pages."""
    return f"{type(error).__name__}: {error}"[:1500]


def wait_for_device() -> None:
    """Let all that was asked of the GPU be done."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def forget_peak() -> None:
    """Begin to measure the highest use of memory anew; on a CPU it is that of the process since its start."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_memory() -> dict[str, float]:
    """The highest use of memory, in GiB: by tensors, and what torch took from the device for that."""
    import resource

    import torch

    if torch.cuda.is_available():
        allocated, reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
        return {"peak_gib": round(allocated / GIB, 2), "peak_reserved_gib": round(reserved / GIB, 2)}
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"peak_gib": round(resident / GIB, 2)}


def free_memory() -> int:
    """Bytes of the machine's own memory that can be had, what only caches files included."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
