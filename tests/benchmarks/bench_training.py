"""Training speed: tokens per second of the trainer against plain forward and backward of the same weights.

Run: python -m tests.benchmarks.bench_training [--model DIR] [--episodes 24] [--repetitions 3] [--threads 2]

Without `--model` the bundled student. The rows are those of straight demonstrations in generated games. The plain side
reads as many tokens as the trainer packed, in sequences of the same lengths, one at a time, with a label on each, and
updates as often, as a simple loop would. Both count the tokens that the trainer packed, not its padding, in CPU
seconds, which other work on the machine disturbs least.
"""

import argparse
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path

from leap_core.config import EnvironmentConfig, ExecutionConfig, TrainingConfig
from leap_core.students.weights import BUNDLED_DIRECTORY

BATCH = 24


def write_rows(path: Path, num_episodes: int) -> Path:
    """Write the training rows of straight demonstrations, compact prompts; return the file."""
    from leap_core.loading import load_suite
    from leap_core.method.dataset import assemble, demonstration_rows
    from leap_core.method.demonstrations import demonstrate
    from leap_core.method.tables import TRAIN_ROWS, write_training_rows
    from leap_core.prompts import load_prompts

    suite = load_suite(EnvironmentConfig(num_train=num_episodes, num_dev=0, num_test=0))
    specs = suite.prepare(path / "specs", "train", 0)
    with closing(suite.make(path / "specs")) as environment:
        episodes = [
            demonstrate(environment, suite.oracle(), spec, suite.privileged_state(path / "specs", spec), 100, 15)
            for spec in specs
        ]
    rows = demonstration_rows(episodes, load_prompts(suite.name, "compact"), 100)
    write_training_rows(path, assemble([rows], "all", validation_fraction=0.0, seed=0))
    return path / TRAIN_ROWS


def train(model: Path, rows: Path, threads: int) -> tuple[float, int]:
    """CPU seconds from the first update to the last, and how many updates lie between them."""
    from leap_core.trainers.base import TrainingJob
    from leap_core.trainers.sft import SftTrainer

    times: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        job = TrainingJob(
            rows=rows,
            validation_rows=None,
            start=model,
            output=Path(folder) / "output",
            checkpoints=Path(folder) / "checkpoints",
            config=TrainingConfig(
                method="full", precision="fp32", learning_rate=1e-6, batch_size=BATCH, max_length=4096
            ),
            execution=ExecutionConfig(
                device="cpu", num_threads=threads, micro_batch_size=BATCH, save_every_steps=1_000_000
            ),
            seed=0,
            progress=lambda line, **how: times.append(time.process_time()),
        )
        SftTrainer().train(job)
    return times[-1] - times[0], len(times) - 1


def plain(model: Path, lengths: list[list[int]], threads: int) -> float:
    """CPU seconds of a simple loop over sequences of these lengths, an update after each list."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(threads)
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).train()
    optimizer = torch.optim.AdamW(loaded.parameters(), lr=1e-6)
    start = time.process_time()
    for number, batch in enumerate(lengths):
        if number == 1:  # the first update is not counted on the other side either
            start = time.process_time()
        for length in batch:
            ids = torch.randint(0, loaded.config.vocab_size, (1, length))
            (loaded(input_ids=ids, labels=ids).loss / len(batch)).backward()
        torch.nn.utils.clip_grad_norm_(loaded.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return time.process_time() - start


def main() -> None:
    """Print tokens per second of both sides and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=BUNDLED_DIRECTORY)
    parser.add_argument("--episodes", type=int, default=24)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    from leap_core.students.encoding import load_tokenizer
    from leap_core.trainers.packing import pack_rows
    from leap_core.trainers.rows import read_rows

    with tempfile.TemporaryDirectory() as folder:
        path = write_rows(Path(folder), options.episodes)
        rows = read_rows(path, load_tokenizer(options.model), 4096).rows
        batches = [pack_rows(rows[first : first + BATCH], 4096) for first in range(0, len(rows), BATCH)]
        lengths = [[len(one.input_ids) for one in batch] for batch in batches]
        # The update that is not timed is that of another batch on either side; all are of about one size.
        tokens = sum(map(sum, lengths)) * (len(lengths) - 1) / len(lengths)
        labelled = sum(label >= 0 for batch in batches for one in batch for label in one.labels)
        print(f"{len(rows)} rows, {sum(map(sum, lengths))} packed tokens, {labelled} of them labelled")
        ratios = []
        for _ in range(options.repetitions):
            ours, _ = train(options.model, path, options.threads)
            theirs = plain(options.model, lengths, options.threads)
            ratios.append(theirs / ours)
            rates = f"trainer {tokens / ours:.0f} tokens a CPU second, plain {tokens / theirs:.0f}"
            print(f"{rates}, ratio {ratios[-1]:.2f}", flush=True)
        print(f"ratio: median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
