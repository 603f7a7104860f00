"""What the figures were measured on, and with."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.gpu.job import GIB, Figures, Job

PACKAGES = (
    *("torch", "transformers", "tokenizers", "safetensors", "accelerate", "trl", "peft", "datasets", "triton"),
    *("pyarrow", "pydantic", "prefect", "numpy"),
)
ROOT = Path(__file__).parents[2]


def look(job: Job, figures: Figures) -> None:
    """Write down the card, its driver, and the versions of all that counts; `gpu` is None where there is none."""
    import torch

    figures["torch"] = {"version": torch.__version__, "cuda": torch.version.cuda, "threads": torch.get_num_threads()}
    figures["gpu"] = _gpu() if torch.cuda.is_available() else None


def describe() -> dict[str, object]:
    """What is known without torch. A package that is not installed has no version."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB, 1),
        "packages": {name: _version(name) for name in PACKAGES},
        "git_revision": _git("rev-parse", "HEAD"),
        "changed_files": (_git("status", "--porcelain") or "").splitlines(),
    }


def _gpu() -> dict[str, object]:
    import torch

    card = torch.cuda.get_device_properties(0)
    return {
        "name": card.name,
        "memory_gib": round(card.total_memory / GIB, 1),
        "compute_capability": f"{card.major}.{card.minor}",
        "multiprocessors": card.multi_processor_count,
        "cards": torch.cuda.device_count(),
        "driver": _output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    return _output("git", "-C", str(ROOT), *arguments)


def _output(*command: str) -> str | None:
    """What a command prints; None where it cannot be run or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
