"""What `leap doctor` checks."""

import os
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from flows.opening import artifacts_of
from flows.server import is_answering
from leap_core.artifacts import ArtifactStore
from leap_core.errors import LeapError

ALFWORLD_DATA = "~/.cache/alfworld"
"""Where `alfworld-download` puts its games unless told otherwise."""

PACKAGES = ("torch", "transformers", "trl", "peft", "datasets", "pyarrow", "prefect", "openai")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    what: str
    ok: bool
    text: str


def diagnose(home: Path) -> list[Finding]:
    """Look at everything a run needs, cheapest first."""
    findings = [_python(), *(_package(name) for name in PACKAGES)]
    if all(finding.ok for finding in findings):  # what follows imports them
        findings += [_device(), _game(), _alfworld_data(), _endpoints(), _home(home)]
    if all(finding.ok for finding in findings):  # Prefect's own data may go there
        findings.append(_prefect_api(home))
    return findings


def diagnose_intercode() -> list[Finding]:
    """Look at every kind of sandbox, and play a bundled task in the default one. One kind that works is enough."""
    from leap_core.envs.intercode_bash.sandbox import BACKENDS, load_backend
    from leap_core.envs.intercode_bash.suite import IntercodeBashParams

    params = IntercodeBashParams()
    problems = {name: load_backend(name, params.model_dump(mode="json")).problem() for name in BACKENDS}
    one_works = None in problems.values()
    findings = [
        Finding(what=name, ok=one_works, text="works" if problem is None else f"does not work here: {problem}")
        for name, problem in problems.items()
    ]
    return [*findings, _bash_task()] if problems[params.backend] is None else findings


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
    advice = "" if free > 1 else "; make room, at least 1 GB, or choose another place with --home"
    return Finding(what="home", ok=free > 1, text=f"{home}, {free:.1f} GB free{advice}")


def _prefect_api(home: Path) -> Finding:
    """Ask the server that runs would report to, if one is named."""
    from flows.environment import set_up_prefect

    try:
        set_up_prefect(home)
    except LeapError as error:
        return Finding(what="prefect api", ok=False, text=str(error))
    from prefect.settings import PREFECT_API_URL

    url = PREFECT_API_URL.value()
    if url is None:
        return Finding(what="prefect api", ok=True, text="no server named: each run starts its own for its length")
    if not is_answering(url):
        advice = "start it (`prefect server start`), or unset PREFECT_API_URL"
        return Finding(what="prefect api", ok=False, text=f"{url} does not answer: {advice}")
    return Finding(what="prefect api", ok=True, text=url)


def _game() -> Finding:
    """Play one generated game to its end with the expert."""
    won, instruction = _try_expert("alfworld")
    return Finding(what="alfworld", ok=won, text=f"native engine; expert plays {instruction!r}")


def _bash_task() -> Finding:
    """Do one bundled task with the expert."""
    won, instruction = _try_expert("intercode_bash")
    return Finding(what="bundled task", ok=won, text=f"expert does {instruction!r}")


def _try_expert(environment: str) -> tuple[bool, str]:
    """Let the expert of an environment play its first train spec: whether it succeeds, and what was to be done."""
    from tempfile import TemporaryDirectory

    from leap_core.config import EnvironmentConfig
    from leap_core.demonstrations import demonstrate
    from leap_core.loading import load_suite

    suite = load_suite(EnvironmentConfig(name=environment, num_train=1, num_dev=0, num_test=0))
    with TemporaryDirectory() as directory:
        root = Path(directory)
        spec = suite.prepare(root, "train", 0)[0]
        player = suite.make(root)
        played = demonstrate(player, suite.oracle(), spec, suite.privileged_state(root, spec), 100, 30)
        player.close()
    return bool(played.success), spec.instruction


def _endpoints() -> Finding:
    """Whether there is a key; nothing needs one but teachers and students behind an endpoint."""
    from leap_core.config import EndpointConfig

    name = EndpointConfig().api_key_env
    is_set = "is set" if os.environ.get(name) else "is not set; servers of your own need none"
    vllm = shutil.which("vllm") or "not installed: pip install vllm (it needs a GPU), only for student.serve"
    return Finding(what="endpoints", ok=True, text=f"{name} {is_set}; vllm: {vllm}")


def _alfworld_data() -> Finding:
    """Look for downloaded games; nothing needs them but presets that name them."""
    data = Path(os.environ.get("ALFWORLD_DATA", ALFWORLD_DATA)).expanduser()
    if (data / "json_2.1.1" / "train").is_dir():
        text = f"downloaded games in {data}: --set environment.data={data}"
    else:
        text = (
            f"none in {data}, games are generated. For the real ones: `pip install alfworld`, "
            "`alfworld-download --data-dir DIR`, then --set environment.data=DIR"
        )
    return Finding(what="alfworld data", ok=True, text=text)
