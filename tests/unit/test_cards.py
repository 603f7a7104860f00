"""`datasets.load_dataset` opens the folder of an artifact as it is, and the card for it is no part of the digest."""

import pytest
from datasets import load_dataset

from leap_core.disk.parquet import write_records
from leap_core.store.artifacts import ArtifactStore
from leap_core.store.verification import CARD
from leap_core.types import Record


class Word(Record):
    text: str


class Number(Record):
    value: int


def _publish(home, tables):
    store = ArtifactStore(home)
    output = store.workspace("rollout", "a" * 64) / "output"
    for name, (model, rows) in tables.items():
        write_records(output / f"{name}.parquet", model, rows)
    ref = store.publish("rollout", "a" * 64, "one", version=1, config={}, inputs={}, experiment="one")
    return store, ref


def test_a_folder_of_several_tables_opens_table_by_table(home, tmp_path):
    store, ref = _publish(home, {"episodes": (Word, [Word(text="a")]), "steps": (Number, [Number(value=3)] * 2)})
    folder, cache = str(store.path(ref)), str(tmp_path / "cache")
    assert load_dataset(folder, "episodes", cache_dir=cache)["train"][:] == {"text": ["a"]}
    assert load_dataset(folder, "steps", cache_dir=cache)["train"][:] == {"value": [3, 3]}
    assert CARD not in store.record(ref).files
    assert store.verify(ref, deep=True) is None


@pytest.mark.parametrize("held_out", [0, 1])
def test_a_dataset_opens_with_the_parts_that_have_rows(home, tmp_path, held_out):
    rows = [Word(text="v")] * held_out
    store, ref = _publish(home, {"train": (Word, [Word(text="t")]), "validation": (Word, rows)})
    opened = load_dataset(str(store.path(ref)), cache_dir=str(tmp_path / "cache"))
    assert {split: part.num_rows for split, part in opened.items()} == {"train": 1} | (
        {"validation": 1} if held_out else {}
    )
