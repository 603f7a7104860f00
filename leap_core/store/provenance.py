"""What made a result: the versions of the packages that matter, the git revision, the kind of machine."""

import os
import platform
import re
import subprocess
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = (
    "leap-agents",
    "accelerate",
    "alfworld",
    "datasets",
    "openai",
    "peft",
    "pyarrow",
    "pydantic",
    "textworld",
    "torch",
    "transformers",
    "trl",
    "vllm",
)


@cache
def package_versions() -> dict[str, str]:
    """Return name -> version of the installed packages that can change a result."""
    found = {}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


@cache
def git_revision() -> str | None:
    """Return the commit of this working tree, with `+changes` where tracked files differ; None where there is none.

    An installed package may lie inside somebody else's repository, whose commit says nothing about this code.
    """
    here = Path(__file__).parent
    if _git(here, "ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None
    commit = _git(here, "rev-parse", "HEAD")
    changed = _git(here, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}+changes" if changed else commit


@cache
def machine_kind() -> str:
    """Return what decides how fast this machine is: processor, cores for this process, GPUs. It names no machine."""
    processor = re.search(r"^model name\s*:\s*(.*)$", _read(Path("/proc/cpuinfo")), re.MULTILINE)
    name = processor[1] if processor else platform.machine()
    cards = [_read(path) for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))]
    models = [found[1].strip() for card in cards if (found := re.search(r"^Model:\s*(.*)$", card, re.MULTILINE))]
    return ", ".join([" ".join(name.split()), f"{len(os.sched_getaffinity(0))} cores", *models])


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _git(directory: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=directory, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
