"""How fast a student is trained on this machine: a few updates of its trainer, on made-up rows."""

import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from leap_core.config import ExecutionConfig, TrainingConfig
from leap_core.disk.parquet import write_records
from leap_core.students.encoding import encode_completion, encode_prompt
from leap_core.students.speed import Turn
from leap_core.trainers.base import Trainer, TrainingJob, micro_batch_size
from leap_core.types import Message, Record

_NUM_UPDATES = 3
_MOST_ROWS = 8
_WORDS = "go to the desk and look at what is on it then take the mug with the lamp "


class TrainingSpeed(Record):
    """Tokens that are trained on in a second, the optimizer's part in it, and how long it takes to begin."""

    tokens_a_s: float
    start_s: float

    def seconds(self, tokens: float) -> float:
        """How long a training on so many tokens takes."""
        return self.start_s + tokens / self.tokens_a_s


class _EnoughError(Exception):
    """Ends a training that was only begun to see how fast it is."""


class _Row(Record):
    iteration: int = 0
    episode: str
    step: int = 0
    prompt: tuple[Message, ...]
    completion: tuple[Message, ...]
    rejected: tuple[Message, ...]


def measure_training(
    trainer: Trainer, model: Path | str, config: TrainingConfig, execution: ExecutionConfig, tokenizer: object
) -> TrainingSpeed:
    """Begin a training with this trainer and these settings, and end it after a few updates.

    Raises:
        LeapError: it cannot be begun.
    """
    size = min(config.batch_size, _MOST_ROWS)
    rows = [_row(number) for number in range(size * _NUM_UPDATES)]
    times = [time.perf_counter()]

    def note(line: str, *, done: float, left: float) -> None:
        times.append(time.perf_counter())
        if done >= _NUM_UPDATES:
            raise _EnoughError

    with tempfile.TemporaryDirectory() as folder:
        write_records(Path(folder) / "rows.parquet", _Row, rows)
        job = TrainingJob(
            rows=Path(folder) / "rows.parquet",
            validation_rows=None,
            start=model,
            output=Path(folder) / "model",
            checkpoints=Path(folder) / "checkpoints",
            config=config.with_(batch_size=size, epochs=2.0, keep_best_every=None, max_truncated_share=1.0),
            execution=execution.with_(save_every_steps=1000),
            seed=0,
            progress=note,
        )
        with suppress(_EnoughError):
            trainer.train(job)
    update_s = (times[-1] - times[1]) / (len(times) - 2)
    tokens = sum(len(_encode(tokenizer, (row.prompt, row.completion[0].content))) for row in rows) / _NUM_UPDATES
    return TrainingSpeed(tokens_a_s=tokens / update_s, start_s=max(times[1] - times[0] - update_s, 0.0))


def _row(number: int) -> _Row:
    """Some hundred tokens, most of which are read, as in the rows of an episode. No two rows begin alike."""
    return _Row(
        episode=str(number),
        prompt=(Message(role="user", content=f"{number} {_WORDS * 4}"),),
        completion=(Message(role="assistant", content=_WORDS * 2),),
        rejected=(Message(role="assistant", content=_WORDS),),
    )


def tokens_of_rows(
    tokenizer: object, episodes: Sequence[Sequence[Turn]], config: TrainingConfig, at_most: int
) -> float:
    """The mean of the tokens that a row of these episodes takes, if those of an episode share what they can.

    `at_most` rows are on the device at once; see `micro_batch_size`.
    """
    from leap_core.trainers.packing import pack_rows
    from leap_core.trainers.rows import EncodedRow

    rows = [
        EncodedRow(
            episode=str(number),
            step=step,
            prompt=encode_prompt(tokenizer, messages),
            completion=encode_completion(tokenizer, reply),
        )
        for number, episode in enumerate(episodes)
        for step, (messages, reply) in enumerate(episode)
    ]
    size, fitting = config.batch_size, [row for row in rows if row.length <= config.max_length]
    at_once = micro_batch_size(size, at_most)
    batches = [fitting[first : first + size] for first in range(0, len(fitting), size)]
    packed = [sequence for batch in batches for sequence in pack_rows(batch, config.max_length, at_once)]
    return sum(len(sequence.input_ids) for sequence in packed) / len(rows)


def _encode(tokenizer: object, turn: Turn) -> list[int]:
    return encode_prompt(tokenizer, turn[0]) + encode_completion(tokenizer, turn[1])
