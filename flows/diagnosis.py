"""What `leap doctor` checks."""

import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from flows.opening import artifacts_of
from leap_core.artifacts import ArtifactStore
from leap_core.errors import LeapError

PACKAGES = ("torch", "transformers", "trl", "peft", "datasets", "pyarrow", "prefect", "openai")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    what: str
    ok: bool
    text: str


def diagnose(home: Path) -> list[Finding]:
    """Look at everything a run needs, cheapest first."""
    return [_python(), *(_package(name) for name in PACKAGES), _device(), _home(home), _game()]


def _python() -> Finding:
    text = ".".join(str(part) for part in sys.version_info[:3])
    return Finding(what="python", ok=sys.version_info >= (3, 11), text=f"{text} (3.11 or newer is needed)")


def _package(name: str) -> Finding:
    try:
        return Finding(what=name, ok=True, text=version(name))
    except PackageNotFoundError:
        return Finding(what=name, ok=False, text="not installed: pip install -e . -c constraints.txt")


def _device() -> Finding:
    import torch

    name = torch.cuda.get_device_name() if torch.cuda.is_available() else f"cpu, {torch.get_num_threads()} threads"
    return Finding(what="device", ok=True, text=name)


def _home(home: Path) -> Finding:
    try:
        ArtifactStore(artifacts_of(home))
    except LeapError as error:
        return Finding(what="home", ok=False, text=str(error))
    free = shutil.disk_usage(home).free / 1e9
    return Finding(what="home", ok=free > 1, text=f"{home}, {free:.1f} GB free")


def _game() -> Finding:
    """Play one generated game to its end with the expert."""
    from tempfile import TemporaryDirectory

    from leap_core.config import EnvironmentConfig
    from leap_core.demonstrations import demonstrate
    from leap_core.loading import load_suite

    suite = load_suite(EnvironmentConfig(num_train=1, num_dev=0, num_test=0))
    with TemporaryDirectory() as directory:
        root = Path(directory)
        spec = suite.prepare(root, "train", 0)[0]
        played = demonstrate(suite.make(root), suite.oracle(), spec, suite.privileged_state(root, spec), 100, 30)
    return Finding(what="alfworld", ok=bool(played.success), text=f"native engine; expert plays {spec.instruction!r}")
