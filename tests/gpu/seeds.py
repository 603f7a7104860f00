"""The whole loop with three seeds side by side, three processes on one GPU: success by iteration, seconds by stage."""

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.gpu.job import Figures, Job

ROOT = Path(__file__).parents[2]
LAPTOP = ROOT / "flows" / "presets" / "laptop.toml"
SEEDS = (0, 1, 2)
SHORT_S = 1200
"""With less time than this, a run is a smaller one."""
SMALLER = (
    *("num_iterations=1", "rollout.num_episodes=100"),
    *("environment.num_dev=40", "environment.num_test=60", "execution.shard_size=20"),
)
TINY = (
    "num_iterations=0",
    *("environment.num_train=6", "environment.num_dev=2", "environment.num_test=2", "rollout.num_episodes=6"),
    *("demonstrations.num_episodes=6", "dataset.validation_fraction=0.2", "execution.env_workers=0"),
    'student.params={"hidden_size": 16, "num_layers": 1, "num_heads": 1, "intermediate_size": 16}',
)
PRETRAINED = (
    *("training.bootstrap_learning_rate=2e-4", "training.learning_rate=2e-4", "training.bootstrap_epochs=3"),
    *("demonstrations.num_episodes=150", "training.batch_size=4", "execution.micro_batch_size=4"),
)
"""What `demo` needs for a pretrained model in the place of the bundled one."""
STOP_S = 12
"""Seconds that a run gets to end when it is told to, and that reading its store may take."""


def run(job: Job, figures: Figures) -> None:
    """Run until all are done or the time is up; what was published until then counts. A next time goes on from it."""
    preset, settings = _choose(job)
    figures["preset"], figures["settings"] = preset, settings
    until = time.monotonic() + job.seconds - STOP_S
    seeds = SEEDS[:2] if job.dry_run else SEEDS
    homes = {seed: (job.home or job.folder / "homes") / f"seed-{seed}" for seed in seeds}
    runs = {seed: _start(preset, settings, seed, homes[seed], job) for seed in seeds}
    started = time.monotonic()
    took: dict[int, float] = {}
    while len(took) < len(runs) and time.monotonic() < until:
        ended = [seed for seed, process in runs.items() if seed not in took and process.poll() is not None]
        took |= {seed: time.monotonic() - started for seed in ended}
        time.sleep(0.2)
    for process in runs.values():
        if process.poll() is None:
            process.terminate()
    figures["seconds"] = time.monotonic() - started
    states = {seed: _state(runs[seed], took.get(seed), homes[seed]) for seed in seeds}
    for seed in seeds:
        figures[f"seed {seed}"] = {**states[seed], **_published(homes[seed])}
    failed = [f"seed {seed}: {state['said'][-1:]}" for seed, state in states.items() if "failed" in state["state"]]
    if failed:
        raise RuntimeError(f"Runs failed. {'; '.join(failed)}")


def _choose(job: Job) -> tuple[str, list[str]]:
    """A preset and settings for it."""
    if job.dry_run:
        return "smoke", list(TINY)
    model = [f"student.model={job.model}"] if job.model else []
    smaller = list(SMALLER) if job.seconds < SHORT_S else []
    if LAPTOP.is_file():
        return "laptop", [*model, *smaller]
    return "demo", [*model, *(PRETRAINED if job.model else ()), *smaller]


def _start(preset: str, settings: list[str], seed: int, home: Path, job: Job) -> subprocess.Popen[bytes]:
    home.mkdir(parents=True, exist_ok=True)
    threads = max(1, (os.cpu_count() or 1) // len(SEEDS))
    own = [f"seed={seed}", f"execution.device={job.device}", f"execution.num_threads={threads}"]
    sets = [part for setting in [*settings, *own] for part in ("--set", setting)]
    with (home / "run.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "flows", "run", preset, "--json", "--home", str(home), *sets],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _state(process: subprocess.Popen[bytes], seconds: float | None, home: Path) -> dict[str, Any]:
    """How a run ended, and when; the last lines of what it said unless all went well."""
    try:
        process.wait(timeout=STOP_S / len(SEEDS))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if seconds is not None and process.returncode == 0:
        return {"state": "finished", "seconds": seconds}
    said = (home / "run.log").read_text(encoding="utf-8", errors="replace").splitlines()[-8:]
    return {"state": "cut" if seconds is None else f"failed, status {process.returncode}", "said": said}


def _published(home: Path) -> dict[str, Any]:
    """Success by evaluation, and seconds by stage and iteration, in the order in which they were published."""
    from leap_core.store.artifacts import ArtifactStore

    records = sorted(ArtifactStore(home / "artifacts").records(), key=lambda record: record.created_at)
    success, seconds = {}, Counter()
    for record in records:
        of_iteration = "" if record.iteration is None else f", iteration {record.iteration}"
        seconds[f"{record.stage}{of_iteration}"] += record.seconds
        if record.stage == "evaluation":
            success[f"{record.config['split']}{of_iteration}"] = record.metrics["success"]
    return {"success": success, "stage_seconds": dict(seconds)}
