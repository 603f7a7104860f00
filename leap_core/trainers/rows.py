"""Reading the rows to train on, and turning them into token ids."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leap_core.errors import ArtifactError, StageFailedError
from leap_core.students.encoding import encode_completion, encode_prompt
from leap_core.trainers.packing import EncodedRow
from leap_core.types import Message

_COLUMNS = ["iteration", "episode", "step", "prompt", "completion"]


@dataclass(frozen=True, kw_only=True)
class RowsRead:
    """The rows that fit into `max_length` tokens, in the file's order, and the steps of those that do not."""

    rows: list[EncodedRow]
    left_out: list[int]
    max_length: int

    @property
    def share_left_out(self) -> float:
        """Of all rows; 0 where there are none."""
        return len(self.left_out) / max(1, len(self.rows) + len(self.left_out))

    @property
    def loss_in_words(self) -> str:
        """What is left out, for people; "" where nothing is."""
        if not self.left_out:
            return ""
        steps = f"steps {min(self.left_out) + 1} to {max(self.left_out) + 1} of their episodes"
        return (
            f"{len(self.left_out):,} of {len(self.rows) + len(self.left_out):,} rows ({self.share_left_out:.0%}) are "
            f"longer than training.max_length = {self.max_length:,} tokens and are left out, {steps}: late steps are "
            "taught less than early ones"
        )

    def check(self, max_share: float) -> None:
        """Raise StageFailedError where more than `max_share` of the rows are left out, or no row is left."""
        if self.share_left_out <= max_share and self.rows:
            return
        raise StageFailedError(
            f"{self.loss_in_words or 'The dataset has no rows'}. Raise training.max_length if the model reads more, "
            "lower environment.max_steps, or allow it: --set training.max_truncated_share="
            f"{math.ceil(self.share_left_out * 100) / 100} (now {max_share})."
        )


def read_rows(path: Path, tokenizer: Any, max_length: int, most: int | None = None) -> RowsRead:
    """Read and encode a Parquet file of the dataset artifact; of more than `most` rows, some that are spread over it.

    Raises:
        ArtifactError: the file is missing, damaged, or lacks a column.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(path, columns=_COLUMNS)
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise ArtifactError(f"The rows {path} cannot be read: {error}. Make the dataset artifact again.") from error
    missing = set(_COLUMNS) - set(table.column_names)
    if missing:
        raise ArtifactError(f"The rows {path} lack the columns {sorted(missing)}. Expected {_COLUMNS}.")
    if most is not None and len(table) > most:
        table = table.take([number * len(table) // most for number in range(most)])
    rows = [_encode(record, tokenizer) for record in table.to_pylist()]
    return RowsRead(
        rows=[row for row in rows if row.length <= max_length],
        left_out=[row.step for row in rows if row.length > max_length],
        max_length=max_length,
    )


def _encode(record: dict[str, Any], tokenizer: Any) -> EncodedRow:
    answer = "".join(message["content"] for message in record["completion"])
    return EncodedRow(
        # An episode's id may come back in a later iteration, with other steps.
        episode=f"{record['iteration']}:{record['episode']}",
        step=record["step"],
        prompt=encode_prompt(tokenizer, [Message(**message) for message in record["prompt"]]),
        completion=encode_completion(tokenizer, answer),
    )
