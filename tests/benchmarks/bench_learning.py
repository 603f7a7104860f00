"""Does the student learn, and what from? LEAP against behaviour cloning with the same training budget, over seeds.

For each seed: the preset as it is; then two controls that clone as many more demonstration steps as LEAP had corrected
steps, for as many passes over rows: (a) demonstrations of the preset's own kind, (b) of the expert that searches as the
student could. Runs are cached, so a broken-off benchmark goes on where it stopped.

    python -m tests.benchmarks.bench_learning --home /tmp/leap-learning --seeds 0 1 2 3 4 5 6 7 8 9

Floating point rounds otherwise on another processor, with other threads or other micro batches, and a run that learns
on its own episodes strays from there on. How far is seen by the same seeds with half as many rows on the device at
once; the batches are the same:

    python -m tests.benchmarks.bench_learning --home /tmp/leap-learning --rounding --seeds 0 1 2 3 4 5 6 7 8 9

The same for the real model, which takes hours a seed; before any training, with the compact prompt and with the default
one, which lists the possible commands (ReAct); and with a low-rank adapter in place of all weights:

    python -m tests.benchmarks.bench_learning --preset laptop --threads 2 --zero-shot --lora --home DIR --seeds 0 1 2
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from tempfile import TemporaryDirectory

from flows.presets import artifacts_of
from leap_core.config import EnvironmentConfig
from leap_core.loading import load_suite
from leap_core.method.demonstrations import demonstrate
from leap_core.store.artifacts import ArtifactStore

LORA = ['training.method="lora"', "training.lora.rank=16", "training.lora.alpha=32", "training.learning_rate=1e-3"]
T_QUANTILES = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""Student's t at 97.5 % for a number of seeds (one more than its degrees of freedom)."""


@dataclass(frozen=True)
class Bench:
    """What is run, and where. One thread a run: two seeds side by side are quicker on two cores than in turn."""

    preset: str
    home: Path
    num_threads: int

    def leap(self, command, seed, settings):
        """Run a command of `leap` with some settings; return its JSON, with the seconds it took."""
        overrides = [f"seed={seed}", f"execution.num_threads={self.num_threads}", *settings]
        started = time.monotonic()
        done = subprocess.run(
            [
                *(sys.executable, "-m", "flows", *command, "--json", "--home", str(self.home)),
                *(part for override in overrides for part in ("--set", override)),
            ],
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        return json.loads(done.stdout.splitlines()[-1]) | {"seconds": time.monotonic() - started}

    def run(self, experiment, seed, settings):
        """Run an experiment; return its summary."""
        return self.leap(["run", self.preset], seed, [f"experiment={experiment}", *settings])

    def zero_shot(self, seed, prompt):
        """Success of the student before any training on the test games, asked by `prompt`."""
        command = ["eval", "base", "--split", "test", "--preset", self.preset]
        return self.leap(command, seed, [f"student.prompt={prompt}"])["models"][0]["result"]["success"]


def budget_of(bench, summary):
    """What LEAP's iterations learned from: demonstrated and corrected steps, and passes over rows in all."""
    store = ArtifactStore(artifacts_of(bench.home))
    config = summary["config"]["training"]
    passes, rows = 0.0, []
    for iteration in summary["artifacts"]:
        record = store.record(store.resolve(f"{iteration['dataset']['stage']}/{_name(iteration['dataset'])}"))
        rows.append(record.counts["train_rows"])
        own = config["bootstrap_epochs"] if iteration["iteration"] == 0 else None
        passes += rows[-1] * (own or config["epochs"])
    return rows[0], rows[-1], passes


def _name(ref):
    return f"{ref['name']}-{ref['key'][:8]}"


def control(bench, summary, seed, level):
    """Clone more demonstrations: as many rows, and as many passes over rows, as LEAP had."""
    demonstrated, total, passes = budget_of(bench, summary)
    own = summary["config"]["demonstrations"]["num_episodes"]
    if level == 100:
        num_episodes = round(own * total / demonstrated)
    else:
        num_episodes = round(total / steps_per_episode(summary["config"], seed, level))
    settings = [
        "num_iterations=0",
        f"demonstrations.num_episodes={num_episodes}",
        f"demonstrations.level={level}",
        f"environment.num_train={max(num_episodes, summary['config']['environment']['num_train'])}",
        f"training.bootstrap_epochs={passes / total:.3f}",
    ]
    return bench.run(f"{'more' if level == 100 else 'realizable'}-s{seed}", seed, settings)


def steps_per_episode(config, seed, level):
    """Mean length of the expert's demonstrations at a level, over a hundred games."""
    environment = EnvironmentConfig.model_validate(config["environment"] | {"num_train": 100})
    suite = load_suite(environment)
    with TemporaryDirectory() as directory:
        root = Path(directory)
        played = [
            demonstrate(
                suite.make(root), suite.oracle(), spec, suite.privileged_state(root, spec), level, environment.max_steps
            )
            for spec in suite.prepare(root, "train", seed)
        ]
    return fmean(len(episode.steps) for episode in played)


def spread(values):
    """Mean, and the 95 % interval in which one more run is to be expected."""
    mean = fmean(values)
    if len(values) < 2:
        return f"{mean:.3f}"
    half = T_QUANTILES[len(values)] * stdev(values) * (1 + 1 / len(values)) ** 0.5
    return f"{mean:.3f}, one run [{max(mean - half, 0):.3f}, {min(mean + half, 1):.3f}]"


def results_of(bench, seed, rounded_otherwise):
    """LEAP's results of one seed; `rounded_otherwise` with half as many rows on the device at once."""
    name, settings = ("rounded", ["execution.micro_batch_size=8"]) if rounded_otherwise else (bench.preset, [])
    leap = bench.run(f"{name}-s{seed}", seed, settings)
    return leap, {
        "seed": seed,
        "iteration 0": leap["test_of_iteration_0"]["success"],
        "dev": [result["success"] for result in leap["iterations"]],
        "best": leap["best_iteration"],
        "leap": leap["test"]["success"],
        "seconds": round(leap["seconds"]),
    }


def measure_rounding(bench, seeds):
    """Print what the same seeds come to with half as many rows at once, and how far apart the two are."""
    pairs = [(results_of(bench, seed, False)[1], results_of(bench, seed, True)[1]) for seed in seeds]
    for as_it_is, otherwise in pairs:
        print(json.dumps({"as it is": as_it_is, "rounded otherwise": otherwise}), flush=True)
    for name in ("iteration 0", "leap"):
        apart = [otherwise[name] - as_it_is[name] for as_it_is, otherwise in pairs]
        # Two runs of a seed differ by the noise of both.
        noise = (fmean(value**2 for value in apart) / 2) ** 0.5
        print(f"{name:<12} difference {interval(apart)}, noise of one run (sd) {noise:.3f}")


def interval(values):
    """Mean and 95 % t-interval over seeds."""
    mean = fmean(values)
    if len(values) < 2:
        return f"{mean:+.3f}"
    half = T_QUANTILES[len(values)] * stdev(values) / len(values) ** 0.5
    return f"{mean:+.3f} [{mean - half:+.3f}, {mean + half:+.3f}]"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rounding", action="store_true", help="measure how far half as many rows at once leads")
    parser.add_argument("--without-controls", action="store_true", help="LEAP alone")
    parser.add_argument("--zero-shot", action="store_true", help="the student before any training, too")
    parser.add_argument("--lora", action="store_true", help="LEAP with a low-rank adapter, too")
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    bench = Bench(arguments.preset, arguments.home, arguments.threads)
    if arguments.rounding:
        measure_rounding(bench, arguments.seeds)
        return
    rows, controls = [], [] if arguments.without_controls else ["more", "realizable"]
    for seed in arguments.seeds:
        leap, row = results_of(bench, seed, False)
        for name in controls:
            row[name] = control(bench, leap, seed, 100 if name == "more" else 0)["test"]["success"]
        if arguments.lora:
            row["lora"] = bench.run(f"lora-s{seed}", seed, [*LORA, "training.bootstrap_learning_rate=null"])["test"][
                "success"
            ]
        if arguments.zero_shot:
            row |= {f"base, {prompt}": bench.zero_shot(seed, prompt) for prompt in ("compact", "default")}
        rows.append(row)
        print(json.dumps(row), flush=True)
    judged = [name for name in rows[0] if name not in ("seed", "dev", "best", "seconds")]
    for name in judged:
        print(f"{name:<13} {spread([row[name] for row in rows])}")
    for name in judged:
        if name != "leap":
            print(f"leap - {name:<13} {interval([row['leap'] - row[name] for row in rows])}")


if __name__ == "__main__":
    main()
