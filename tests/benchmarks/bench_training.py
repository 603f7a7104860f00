"""Training speed: tokens per second of the trainer against plain forward and backward of the same weights.

Run: python -m tests.benchmarks.bench_training [--model DIR] [--episodes 24] [--repetitions 3]

Without `--model` the bundled student. The rows are those of the expert's straight demonstrations in generated games,
as the stage trains on them. The plain side reads as many tokens, in sequences of the same lengths one at a time, with a
label on each token, as a simple training loop would. Both sides update the weights as often. Figures count the tokens
that the trainer packed.
"""

import argparse
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from leap_core.config import ExecutionConfig, TrainingConfig
from leap_core.students.weights import BUNDLED_DIRECTORY

BATCH = 24


def write_rows(path: Path, num_episodes: int) -> None:
    """Write the rows of straight demonstrations, compact prompts."""
    from leap_core.config import EnvironmentConfig
    from leap_core.loading import load_suite
    from leap_core.method.dataset import assemble
    from leap_core.method.demonstrations import demonstrate

    raise NotImplementedError(assemble, demonstrate, load_suite, EnvironmentConfig, closing, num_episodes, path)


