"""What code made a result: the versions of the packages that matter, and the git revision."""

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


def _git(directory: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=directory, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
