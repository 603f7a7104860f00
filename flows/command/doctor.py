"""What `leap doctor` checks: this machine, whether each environment can be played, and models that one brings."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

from flows.prefect_side.server import is_answering
from flows.presets import PRESETS, artifacts_of
from flows.terminal import log
from leap_core.config import EnvironmentConfig, load_config
from leap_core.envs import ENVIRONMENTS
from leap_core.envs.findings import Finding, examine
from leap_core.errors import LeapError, UnknownNameError
from leap_core.store.artifacts import ArtifactStore

MODEL = "model"
"""What `leap doctor` is asked for with the directory or hub id of one."""
PACKAGES = ("torch", "transformers", "trl", "peft", "datasets", "pyarrow", "prefect", "openai")
_MOST_STEPS = 30


def diagnose(home: Path) -> list[Finding]:
    """Look at everything a run needs, cheapest first. Environments other than the default one are only worth a note."""
    findings = [_python(), *(_package(name) for name in PACKAGES)]
    if all(finding.ok for finding in findings):  # what follows imports them
        played = (replace(_play(name), optional=name != EnvironmentConfig().name) for name in ENVIRONMENTS)
        findings += [_device(), *played, _endpoints(), _home(home)]
    if not any(finding.is_bad for finding in findings):  # Prefect's own data may go there
        findings.append(_prefect_api(home))
    more = ", ".join(f"`leap doctor {name}`" for name in ENVIRONMENTS)
    more += "; of a model that you bring: `leap doctor model DIR`"
    return [*findings, Finding(what="environments", ok=True, text=f"more about each: {more}")]


def find_environment(name: str) -> str:
    """Return the environment that `name` stands for: its name, or the beginning of no other one's.

    Raises:
        UnknownNameError: there is none, or there are several; suggests the nearest.
    """
    found = [known for known in ENVIRONMENTS if known.startswith(name)]
    if name not in ENVIRONMENTS and len(found) != 1:
        raise UnknownNameError("subject of leap doctor", name, [*ENVIRONMENTS, MODEL])
    return name if name in ENVIRONMENTS else found[0]


def diagnose_environment(name: str) -> list[Finding]:
    """Look at everything that playing in one environment needs, and which presets of it can start here."""
    return [_play(name), *examine(name), Finding(what="presets", ok=True, text="; ".join(_presets_of(name)))]


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
    from flows.prefect_side.session import server_url, set_up_prefect, source_of_url

    try:
        set_up_prefect(home)
        url = server_url()
    except LeapError as error:
        return Finding(what="prefect api", ok=False, text=str(error))
    if url is None:
        return Finding(what="prefect api", ok=True, text="no server named: each run starts its own for its length")
    if not is_answering(url):
        advice = f"it is set {source_of_url()}; start it (`prefect server start`), or unset PREFECT_API_URL"
        return Finding(what="prefect api", ok=False, text=f"{url} does not answer: {advice}")
    return Finding(what="prefect api", ok=True, text=url)


def _play(environment: str) -> Finding:
    """Let the expert play one spec that needs no download, to its end."""
    from leap_core.loading import load_suite
    from leap_core.method.demonstrations import demonstrate

    suite = load_suite(EnvironmentConfig(name=environment, num_train=1, num_dev=0, num_test=0))
    oracle = suite.oracle()
    try:
        with TemporaryDirectory() as directory:
            root = Path(directory)
            spec = suite.prepare(root, "train", 0)[0]
            state = suite.privileged_state(root, spec)
            with closing(suite.make(root)) as player:
                played = demonstrate(player, oracle, spec, state, oracle.levels[-1], _MOST_STEPS)
    except LeapError as error:
        return Finding(what=environment, ok=False, text=str(error))
    does = "does" if played.success else "does not manage"
    return Finding(what=environment, ok=bool(played.success), text=f"expert {does} {spec.instruction!r}")


def _presets_of(environment: str) -> Iterator[str]:
    """Each preset of an environment, and whether the student that it names is on this machine."""
    from leap_core.students.smollm2 import is_on_disk
    from leap_core.students.weights import TINY, has_weights

    for path in sorted(PRESETS.glob("*.toml")):
        config = load_config(path)
        if config.environment.name == environment:
            model = config.student.model
            here = model == TINY or is_on_disk(model) or has_weights(model)
            yield f"`leap run {path.stem}` {'can start' if here else f'needs {model}, which is not on this machine'}"


def _endpoints() -> Finding:
    """Whether there is a key; nothing needs one but teachers and students behind an endpoint."""
    from leap_core.config import EndpointConfig

    name = EndpointConfig().api_key_env
    is_set = "is set" if os.environ.get(name) else "is not set; servers of your own need none"
    vllm = shutil.which("vllm") or "not installed: pip install vllm (it needs a GPU), only for student.serve"
    return Finding(what="endpoints", ok=True, text=f"{name} {is_set}; vllm: {vllm}")


def diagnose_model(name: str, home: Path) -> list[Finding]:
    """Look at a model or an adapter without loading it. What only keeps it from being trained is worth a note.

    Raises:
        LeapError: it is one that is made in the home, and cannot be.
    """
    from leap_core.config import TrainingConfig
    from leap_core.students.examination.examine import examine_model
    from leap_core.students.examination.findings import Purpose
    from leap_core.students.smollm2 import is_on_disk, place_model
    from leap_core.text.shown import shown

    if is_on_disk(name):
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    model = place_model(name, home, log)
    look = examine_model(model, Purpose())
    trained = examine_model(model, Purpose(training=TrainingConfig(max_length=16)))
    only_trained = [replace(one, fatal=False) for one in trained.errors if one not in look.findings]
    facts = [Finding(what=name, ok=True, text=shown(text)) for name, text in look.facts.items()]
    faults = [
        Finding(what=one.what, ok=False, text=one.text, optional=not one.fatal)
        for one in (*look.findings, *only_trained)
    ]
    verdict = "cannot be used so" if look.errors else "can be played"
    if not look.errors:
        verdict += ", but not trained by a low-rank adapter" if only_trained else " and trained"
    return [Finding(what=MODEL, ok=not look.errors, text=f"{name}: {verdict}"), *facts, *faults]
