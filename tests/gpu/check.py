"""One GPU, looked at in under nine minutes: python -m tests.gpu.check [--output FILE] [--parts a b c] [--dry-run]

    a   the preset `laptop` (before there is one: `demo`) with three seeds side by side, on the one GPU
    b   a model of Llama 3 8B's shape from random weights: training with LoRA at sequences of 8,000 tokens, and rollouts
        at 32, 64 and 128 live episodes, each against the plain way, with the operations that take the time
    c   the CPU and the GPU play the same episode in fp32

It needs PyTorch, transformers and this checkout, and writes one JSON: the machine, all versions, and of each part its
figures, or why it was skipped, or its error. Each part is a process of its own with a limit on its time; what is left
over goes to `a`, which comes last. The JSON is written anew whenever a figure is there, so that being cut off costs
little. Without a GPU it says so and does nothing. `--dry-run` does all of it at tiny sizes on the CPU.

The exit status is 1 where a part had an error, else 0.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.gpu import machine
from tests.gpu.job import Job, free_memory

ROOT = Path(__file__).parents[2]
EVERYWHERE = ("torch", "transformers", "pydantic", "jinja2", "numpy")
"""What any part needs: the libraries, and what the code of the checkout imports at once."""
BYTES = 17 * 10**9
"""On the disk, of the model of 8 billion parameters in bf16."""
LEAST_S = 25
"""A part with less time than this is not begun: loading the libraries alone takes ten seconds."""
SLOWER = 4
"""How much longer a part may take in a dry run, on a few shared cores."""
RESERVE_S = 8
"""Seconds for ending the last part, and cleaning up."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One process. `letter` is what it is asked for by, `seconds` its limit; `after` has to have gone well before."""

    name: str
    letter: str
    seconds: float
    packages: tuple[str, ...] = ()
    after: str = "machine"


PARTS = (
    Part(name="machine", letter="", seconds=30, after=""),
    Part(name="agreement", letter="c", seconds=55),
    Part(name="model", letter="b", seconds=55, packages=("tokenizers", "safetensors")),
    Part(
        name="training",
        letter="b",
        seconds=85,
        packages=("peft", "trl", "datasets", "accelerate", "pyarrow"),
        after="model",
    ),
    Part(name="plain training", letter="b", seconds=50, packages=("peft", "accelerate"), after="model"),
    Part(name="rollout", letter="b", seconds=85, after="model"),
    Part(name="plain generate", letter="b", seconds=60, packages=("accelerate",), after="model"),
    Part(
        name="seeds",
        letter="a",
        seconds=float("inf"),
        packages=("prefect", "peft", "trl", "datasets", "accelerate", "pyarrow", "typer"),
    ),
)
"""In the order in which they run."""


class Check:
    """The whole of it: `report` is what is written, after each step."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self._options, self._folder = options, folder
        self._start = time.monotonic()
        self._child: subprocess.Popen[bytes] | None = None
        self.report: dict[str, Any] = {
            "command": ["python", "-m", "tests.gpu.check", *sys.argv[1:]],
            "dry_run": options.dry_run,
            "skipped": None,
            "machine": machine.describe(),
            "parts": {},
        }

    @property
    def _seconds_left(self) -> float:
        return self._options.minutes * 60 - RESERVE_S - (time.monotonic() - self._start)

    def run(self) -> None:
        """Run the parts that were asked for."""
        for part in PARTS:
            if part.letter and part.letter not in self._options.parts:
                continue
            outcome = self.report["parts"][part.name] = {"skipped": None, "error": None, "seconds": 0.0, "figures": {}}
            outcome["skipped"] = self.report["skipped"] or self._why_not(part)
            if outcome["skipped"] is None:
                print(f"{part.name} ...", file=sys.stderr, flush=True)
                self._run(part, outcome)
            if part.name == "machine":
                self._judge_machine(outcome)
            self.write()

    def _why_not(self, part: Part) -> str | None:
        needed = (*EVERYWHERE, *part.packages) if part.letter else ("torch",)
        missing = [name for name in needed if find_spec(name) is None]
        if missing:
            return f"not installed: {', '.join(missing)}. Try `pip install {' '.join(missing)}`."
        before = self.report["parts"].get(part.after)
        if before is not None and (before["error"] or before["skipped"]):
            return f"it needs the part {part.after!r}, which did not end well"
        if self._seconds_left < LEAST_S:
            return f"no time was left of --minutes {self._options.minutes:g}"
        if part.name == "model" and not self._options.dry_run and _room(self._folder) < BYTES:
            return f"{self._folder} has no room for {BYTES / 1e9:.0f} GB: name another place by --scratch"
        return None

    def _judge_machine(self, outcome: dict[str, Any]) -> None:
        self.report["machine"] |= outcome["figures"]
        if not self._options.dry_run and outcome["skipped"] is None and outcome["figures"].get("gpu") is None:
            why = "torch sees no GPU here (torch.cuda.is_available() is false)"
            self.report["skipped"] = f"{why}: run it where there is one, or with --dry-run. {outcome['error'] or ''}"

    def _run(self, part: Part, outcome: dict[str, Any]) -> None:
        """Run one part to its end or its limit; its figures are copied as they come."""
        figures, error = self._folder / f"{part.name}.json", self._folder / f"{part.name}.error.json"
        limit = min(part.seconds * (SLOWER if self._options.dry_run else 1), self._seconds_left)
        job = Job(
            folder=self._folder,
            output=figures,
            seconds=limit,
            model=self._options.model,
            home=self._options.home,
            dry_run=self._options.dry_run,
        )
        outcome["error"] = {"error": "the check was cut off meanwhile"}
        started = time.monotonic()
        with (self._folder / f"{part.name}.log").open("w+b") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "tests.gpu.part", part.name, job.text(), str(error)],
                cwd=ROOT,
                env=os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "DO_NOT_TRACK": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            while self._child.poll() is None and time.monotonic() - started < limit:
                time.sleep(0.1)
                self._take(outcome, figures, time.monotonic() - started)
            was_cut = self.stop_child()
            self._take(outcome, figures, time.monotonic() - started)
            log.seek(0)
            said = log.read().decode("utf-8", "replace").splitlines()[-8:]
        if was_cut:
            outcome["error"] = {"error": f"cut after {limit:.0f} s", "said": said}
        elif not error.is_file():
            outcome["error"] = {"error": f"ended with status {self._child.returncode}", "said": said}
        else:
            outcome["error"] = json.loads(error.read_text(encoding="utf-8"))

    def stop_child(self) -> bool:
        """End the process of a part with all that it started; say whether it had not ended by itself."""
        if self._child is None or self._child.poll() is not None:
            return False
        for how in (signal.SIGTERM, signal.SIGKILL):
            os.killpg(self._child.pid, how)
            try:
                self._child.wait(timeout=3)
            except subprocess.TimeoutExpired:
                continue
            break
        return True

    def _take(self, outcome: dict[str, Any], figures: Path, seconds: float) -> None:
        outcome["seconds"] = round(seconds, 1)
        if figures.is_file():
            found = json.loads(figures.read_text(encoding="utf-8"))
            if found != outcome["figures"]:
                outcome["figures"] = found
                self.write()

    def write(self) -> None:
        """Write all that is known."""
        self.report["seconds"] = round(time.monotonic() - self._start, 1)
        self.report["against_the_plain_way"] = _ratios(self.report["parts"])
        fresh = self._options.output.with_name(f"{self._options.output.name}.new")
        fresh.write_text(json.dumps(self.report, indent=1) + "\n", encoding="utf-8")
        fresh.replace(self._options.output)


def _ratios(parts: dict[str, Any]) -> dict[str, float]:
    """Tokens a second of the real code over those of the plain way, wherever both are known."""
    figures = {name: part["figures"] for name, part in parts.items()}
    pairs = {"training": (figures.get("training", {}), figures.get("plain training", {}))}
    rollout, plain = figures.get("rollout", {}), figures.get("plain generate", {})
    pairs |= {
        f"rollout, {name}": (rollout[name], plain[name]) for name in rollout if "episodes" in name and name in plain
    }
    key = "tokens_per_second"
    return {name: ours[key] / theirs[key] for name, (ours, theirs) in pairs.items() if key in ours and key in theirs}


def _room(folder: Path) -> float:
    """Bytes that a folder can take; one in memory must leave room for loading what is in it."""
    free = float(shutil.disk_usage(folder).free)
    return min(free, free_memory() - 2 * BYTES) if folder.is_relative_to("/dev/shm") else free


def _scratch(named: Path | None) -> Path:
    """Where the files of the check go: memory if there is plenty, as disks can be slow."""
    shared = Path("/dev/shm")
    if named is None and shared.is_dir() and _room(shared) > BYTES:
        return shared
    return named or Path(tempfile.gettempdir())


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("gpu-check.json"), help="the JSON (gpu-check.json)")
    parser.add_argument("--parts", nargs="+", choices=["a", "b", "c"], default=["a", "b", "c"])
    parser.add_argument("--dry-run", action="store_true", help="tiny, on the CPU")
    parser.add_argument("--minutes", type=float, default=9.0, help="all parts together; with 25 and more, `a` is whole")
    parser.add_argument("--model", type=Path, help="directory of a small pretrained model, for `a` and `c`")
    parser.add_argument("--home", type=Path, help="where the runs of `a` are kept, to go on from them another time")
    parser.add_argument("--scratch", type=Path, help="place for 17 GB that are removed at the end")
    options = parser.parse_args()
    for name in ("model", "home", "output"):
        if (path := getattr(options, name)) is not None:
            setattr(options, name, path.absolute())
    return options


def main() -> None:
    """Run the check, write its JSON, and say where it is."""
    options = _read_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="leap-gpu-", dir=_scratch(options.scratch)) as folder:
        check = Check(options, Path(folder))
        try:
            check.run()
        finally:
            check.stop_child()
            check.write()
    errors = [name for name, part in check.report["parts"].items() if part["error"]]
    print(check.report["skipped"] or f"parts with an error: {', '.join(errors) or 'none'}", file=sys.stderr)
    print(options.output)
    sys.exit(1 if errors and not check.report["skipped"] else 0)


if __name__ == "__main__":
    main()
