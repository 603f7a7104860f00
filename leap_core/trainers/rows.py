"""Reading the rows to train on, and turning them into token ids."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leap_core.errors import ArtifactError, StageFailedError
from leap_core.students.encoding import encode_completion, encode_prompt
from leap_core.types import Message

_COLUMNS = ["iteration", "episode", "step", "prompt", "completion"]
_REJECTED = "rejected"


@dataclass(frozen=True, kw_only=True)
class EncodedRow:
    """One step as token ids. Rows with equal `episode` may share a sequence.

    `completion` is the taught answer, `rejected` the student's own; both with the end-of-turn token. `rejected` is None
    where pairs were not asked for.
    """

    episode: str
    step: int
    prompt: list[int]
    completion: list[int]
    rejected: list[int] | None = None

    @property
    def length(self) -> int:
        """Tokens of the prompt and of the longer answer."""
        return len(self.prompt) + max(len(self.completion), len(self.rejected or ()))


@dataclass(frozen=True, kw_only=True)
class RowsRead:
    """The rows that fit into `max_length` tokens, in the file's order, and the steps of those that do not.

    `num_unpaired` counts rows that are neither, since pairs were asked for and they have no rejected answer.
    """

    rows: list[EncodedRow]
    left_out: list[int]
    max_length: int
    num_unpaired: int = 0

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
        if self.num_unpaired and not self.rows and not self.left_out:
            raise StageFailedError(
                f"None of the {self.num_unpaired:,} rows has a rejected answer, which this trainer needs: only steps "
                "that the teacher changed have one, demonstrations never. Choose another training.trainer."
            )
        if self.share_left_out <= max_share and self.rows:
            return
        raise StageFailedError(
            f"{self.loss_in_words or 'The dataset has no rows'}. Raise training.max_length if the model reads more, "
            "lower environment.max_steps, or allow it: --set training.max_truncated_share="
            f"{math.ceil(self.share_left_out * 100) / 100} (now {max_share})."
        )


def read_rows(path: Path, tokenizer: Any, max_length: int, *, pairs: bool = False, most: int | None = None) -> RowsRead:
    """Read and encode a Parquet file of the dataset artifact.

    Args:
        path: the file.
        tokenizer: of the model that is to be trained.
        max_length: tokens of prompt and answer; longer rows are left out.
        pairs: read rejected answers too, and pass over rows that have none.
        most: of more rows than this, read some that are spread over the file.

    Raises:
        ArtifactError: the file is missing, damaged, or lacks a column.
    """
    records = _read_records(path, [*_COLUMNS, *([_REJECTED] if pairs else [])], most)
    wanted = [record for record in records if not pairs or record[_REJECTED] is not None]
    rows = [_encode(record, tokenizer) for record in wanted]
    return RowsRead(
        rows=[row for row in rows if row.length <= max_length],
        left_out=[row.step for row in rows if row.length > max_length],
        max_length=max_length,
        num_unpaired=len(records) - len(wanted),
    )


def _read_records(path: Path, columns: list[str], most: int | None) -> list[dict[str, Any]]:
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(path, columns=columns)
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise ArtifactError(f"The rows {path} cannot be read: {error}. Make the dataset artifact again.") from error
    missing = set(columns) - set(table.column_names)
    if missing:
        raise ArtifactError(f"The rows {path} lack the columns {sorted(missing)}. Expected {columns}.")
    if most is not None and len(table) > most:
        table = table.take([number * len(table) // most for number in range(most)])
    records: list[dict[str, Any]] = table.to_pylist()
    return records


def _encode(record: dict[str, Any], tokenizer: Any) -> EncodedRow:
    return EncodedRow(
        # An episode's id may come back in a later iteration, with other steps.
        episode=f"{record['iteration']}:{record['episode']}",
        step=record["step"],
        prompt=encode_prompt(tokenizer, [Message(**message) for message in record["prompt"]]),
        completion=_encode_answer(record["completion"], tokenizer),
        rejected=_encode_answer(record[_REJECTED], tokenizer) if _REJECTED in record else None,
    )


def _encode_answer(messages: list[dict[str, str]], tokenizer: Any) -> list[int]:
    return encode_completion(tokenizer, "".join(message["content"] for message in messages))
