"""Reading the rows to train on, and turning them into token ids."""

from pathlib import Path
from typing import Any

from leap_core.errors import ArtifactError
from leap_core.students.encoding import encode_completion, encode_prompt
from leap_core.trainers.packing import EncodedRow
from leap_core.types import Message

_COLUMNS = ["iteration", "episode", "step", "prompt", "completion"]


def read_rows(path: Path, tokenizer: Any, max_length: int) -> tuple[list[EncodedRow], int]:
    """Read and encode a Parquet file of the dataset artifact.

    Returns:
        The rows of at most `max_length` tokens, in the file's order, and how many longer ones were left out.

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
    rows = [_encode(record, tokenizer) for record in table.to_pylist()]
    kept = [row for row in rows if row.length <= max_length]
    return kept, len(rows) - len(kept)


def _encode(record: dict[str, Any], tokenizer: Any) -> EncodedRow:
    answer = "".join(message["content"] for message in record["completion"])
    return EncodedRow(
        # An episode's id may come back in a later iteration, with other steps.
        episode=f"{record['iteration']}:{record['episode']}",
        step=record["step"],
        prompt=encode_prompt(tokenizer, [Message(**message) for message in record["prompt"]]),
        completion=encode_completion(tokenizer, answer),
    )
