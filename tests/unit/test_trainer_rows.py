"""The rows to train on as token ids: of all steps, or of pairs of answers alone."""

import pyarrow as pa
import pytest
from pyarrow import parquet
from student_models import answer, make_small_tiny, write_rows

from leap_core.errors import ArtifactError, StageFailedError
from leap_core.students.encoding import encode_completion, load_tokenizer
from leap_core.trainers.rows import read_rows


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return load_tokenizer(make_small_tiny(tmp_path_factory.mktemp("tiny")))


def write_pairs(path, rejected):
    """One row for each rejected answer, None among them."""
    table = parquet.read_table(write_rows(path, episodes=len(rejected), steps=1))
    messages = [None if text is None else [{"role": "assistant", "content": text}] for text in rejected]
    column = pa.array(messages, table.schema.field("completion").type)
    parquet.write_table(table.set_column(table.column_names.index("rejected"), "rejected", column), path)
    return path


def test_rejected_answers_are_read_where_pairs_are_asked_for(tokenizer, tmp_path):
    path = write_pairs(tmp_path / "rows.parquet", ["look", None, "wait"])
    read = read_rows(path, tokenizer, 1000, pairs=True)
    assert [row.episode for row in read.rows] == ["0:episode-0", "0:episode-2"]
    assert [row.rejected for row in read.rows] == [encode_completion(tokenizer, text) for text in ("look", "wait")]
    assert [row.completion for row in read.rows] == [encode_completion(tokenizer, answer(n, 0)) for n in (0, 2)]
    assert read.num_unpaired == 1
    everything = read_rows(path, tokenizer, 1000)
    assert (len(everything.rows), everything.num_unpaired) == (3, 0)
    assert {row.rejected for row in everything.rows} == {None}


def test_the_longer_answer_of_a_pair_decides_whether_it_fits(tokenizer, tmp_path):
    path = write_pairs(tmp_path / "rows.parquet", ["look", "look " * 500])
    assert [row.length < 300 for row in read_rows(path, tokenizer, 10_000, pairs=True).rows] == [True, False]
    read = read_rows(path, tokenizer, 300, pairs=True)
    assert (len(read.rows), read.left_out) == (1, [0])


def test_no_pair_at_all_names_what_needs_one(tokenizer, tmp_path):
    read = read_rows(write_pairs(tmp_path / "rows.parquet", [None, None]), tokenizer, 1000, pairs=True)
    with pytest.raises(StageFailedError, match=r"2 rows.*training\.trainer"):
        read.check(1.0)


def test_a_file_without_the_column_is_an_error(tokenizer, tmp_path):
    path = write_rows(tmp_path / "rows.parquet", episodes=1, steps=1)
    parquet.write_table(parquet.read_table(path).drop(["rejected"]), path)
    assert len(read_rows(path, tokenizer, 1000).rows) == 1
    with pytest.raises(ArtifactError, match="rejected"):
        read_rows(path, tokenizer, 1000, pairs=True)


def test_a_sample_is_spread_over_the_file(tokenizer, tmp_path):
    path = write_rows(tmp_path / "rows.parquet", episodes=10, steps=1)
    assert [row.episode for row in read_rows(path, tokenizer, 1000, most=3).rows] == [
        "0:episode-0",
        "0:episode-3",
        "0:episode-6",
    ]
