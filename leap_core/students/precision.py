"""Which floating-point numbers a model computes in: a setting, and what "auto" stands for on a machine.

What comes out depends on it, so the answer is part of keys, and never "auto" itself. `leap plan` asks too, so torch is
imported only where there may be a GPU.
"""

from functools import cache
from pathlib import Path
from typing import Literal

Precision = Literal["fp32", "bf16"]

_GPU_DRIVERS = (Path("/proc/driver/nvidia"), Path("/dev/kfd"))
_CPU = Path("/proc/cpuinfo")
_CPU_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Of x86 and of ARM. Without one of these, a CPU emulates bf16, at a hundredth of the speed of fp32 and less."""


def resolve_precision(setting: Literal["auto", "fp32", "bf16"], device: str) -> Precision:
    """Return what `setting` stands for on `device` (`execution.device`): itself, or where it is auto, what is native.

    Raises:
        ConfigError: torch cannot use a device of this name here.
    """
    if setting == "auto":
        return "bf16" if _is_native(device) else "fp32"
    return setting


@cache
def _is_native(device: str) -> bool:
    if device == "auto" and not any(path.exists() for path in _GPU_DRIVERS):
        device = "cpu"
    if device != "cpu":
        from leap_core.students.loading import resolve_device

        device = resolve_device(device)
    if device.startswith("cuda"):
        import torch

        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device == "cpu" and has_native_bf16(_CPU)


def has_native_bf16(cpuinfo: Path) -> bool:
    """Whether the processors that Linux describes in `cpuinfo` multiply bf16 matrices themselves."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.partition(":")[0].strip() in ("flags", "Features")), "")
    return not _CPU_FLAGS.isdisjoint(flags.partition(":")[2].split())
