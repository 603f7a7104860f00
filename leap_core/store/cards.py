"""The card of an artifact's tables: by it `datasets.load_dataset(folder)` opens each table as a configuration.

Without one, `datasets` takes all files of a folder for parts of one table, and fails where columns differ, or where
a split has no rows. The card is made of nothing but the files beside it, so it is no part of the artifact's digest.
"""

from pathlib import Path

import pyarrow.parquet as pq

from leap_core.disk.files import write_atomically
from leap_core.store.verification import CARD

_SPLITS = ("train", "validation")


def write_card(directory: Path) -> None:
    """Write the card of the tables in a directory, where one has rows and no file of that name is there.

    Tables without rows are left out: `datasets` cannot open them.
    """
    names = [path.stem for path in sorted(directory.glob("*.parquet")) if pq.read_metadata(path).num_rows]
    if not names or (directory / CARD).exists():
        return
    splits = [name for name in _SPLITS if name in names]
    configs = {"default": [(name, name) for name in splits]} if splits else {}
    configs |= {name: [("train", name)] for name in names if name not in splits}
    text = "\n".join(["---", "configs:", *(_config(*config) for config in configs.items()), "---", ""])
    write_atomically(directory / CARD, lambda file: file.write(text.encode()))


def _config(name: str, files: list[tuple[str, str]]) -> str:
    parts = "\n".join(f"  - split: {split}\n    path: {file}.parquet" for split, file in files)
    return f"- config_name: {name}\n  data_files:\n{parts}"
