"""How long the gate takes for a correction: processor time, the gate of each episode made anew.

    python -m tests.benchmarks.bench_gate              by environment, on the labelled corrections
    python -m tests.benchmarks.bench_gate --rounds 10

What is told is the median over rounds and their range. The aim is under 2 ms a correction, all in.
"""

import argparse
import statistics
import time

from leap_core.gate.giveaways import normalise
from leap_core.gate.mentions import singular
from leap_core.gate.realizability import Gate
from leap_core.types import CorrectionStatus, StepCorrection
from tests.gate_labels import ENVIRONMENTS, PARTS, episodes, labels_of, writers_of

AIM_MS = 2.0


def main() -> None:
    """Pass all labelled corrections of each environment through the gate, several times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for env in ENVIRONMENTS:
        writers = [writer for writer in writers_of(env) if writer in PARTS["develop"]]
        labels = [label for writer in writers for label in labels_of(env, writer)]
        times = [_time_ms(env, labels) for _ in range(options.rounds)]
        print(
            f"{env:<15} {statistics.median(times):.2f} ms a correction, {min(times):.2f} to {max(times):.2f} "
            f"({len(labels)} corrections; aim: under {AIM_MS:.0f})"
        )


def _time_ms(env: str, labels: list) -> float:
    """Processor time a correction, without what earlier rounds have left in caches."""
    normalise.cache_clear()
    singular.cache_clear()
    begun, gates = time.process_time(), {}
    for label in labels:
        if label["episode"] not in gates:
            gates[label["episode"]] = Gate(*episodes(env)[label["episode"]])
        correction = StepCorrection(
            step=label["step"], reason=label["reason"], command=label["command"], status=CorrectionStatus.CHANGED
        )
        gates[label["episode"]].why_rejected(correction, label["step"])
    return (time.process_time() - begun) / len(labels) * 1000


if __name__ == "__main__":
    main()
