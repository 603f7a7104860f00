"""What of its data a suite passed over when it prepared specs: counted by kind, and listed with the cause.

It lies beside the specs, so it is part of their artifact; the stage counts it, the summary and the report say so.
"""

from pathlib import Path

from pydantic import Field, ValidationError

from leap_core.disk.files import write_json
from leap_core.errors import LeapError
from leap_core.types import Record

SKIPPED_FILE = "skipped.json"


class Skipped(Record):
    """What was passed over for one split.

    `counts` says how many, by kind ("damaged", "unsolvable", ...); `why` says the cause of each, by id. What is
    nobody's fault and common may be counted without being listed.
    """

    counts: dict[str, int] = Field(default_factory=dict)
    why: dict[str, str] = Field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many, of all kinds."""
        return sum(self.counts.values())


def write_skipped(root: Path, skipped: Skipped) -> None:
    """Write the record of one split's specs, to be called by `Suite.prepare`; `root` is that of the specs."""
    write_json(root / SKIPPED_FILE, skipped.model_dump(mode="json"))


def read_skipped(root: Path) -> Skipped:
    """Read it; nothing was passed over where there is none.

    Raises:
        LeapError: the file is damaged.
    """
    path = root / SKIPPED_FILE
    try:
        return Skipped.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Skipped()
    except (OSError, ValidationError) as error:
        raise LeapError(f"Cannot read {path}: {error}. Prepare the specs again.") from error


def describe_counts(counts: dict[str, int]) -> str:
    """Counts in words: "3 damaged, 1 unsolvable"."""
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count) or "none"
