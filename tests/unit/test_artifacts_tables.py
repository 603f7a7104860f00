"""Records in Parquet: lossless, readable by others, equal bytes for equal content."""

import datasets
import pandas as pd
import pyarrow.parquet as pq
import pytest

from leap_core.disk.files import sha256_file
from leap_core.disk.parquet import read_records, record_schema, write_records
from leap_core.errors import ArtifactError
from leap_core.method.dataset import TrainingRow, TurnRow
from leap_core.method.tables import (
    read_corrections,
    read_privileged,
    read_specs,
    read_training_rows,
    read_trajectories,
    read_turn_rows,
    write_corrections,
    write_privileged,
    write_specs,
    write_training_rows,
    write_trajectories,
    write_turn_rows,
)
from leap_core.store.cards import write_card
from leap_core.types import (
    Action,
    Correction,
    CorrectionStatus,
    Message,
    Observation,
    PrivilegedState,
    Record,
    Spec,
    Step,
    StepCorrection,
    StopReason,
    Trajectory,
    Usage,
)

SPECS = [
    Spec(id="a", env="alfworld", split="train", instruction="put a ☕ in 'the' \"fridge\"\n", group="pick"),
    Spec(id="b", env="x", split="dev", instruction="", params={"deep": {"list": [1, 1.5, None, "é"], "empty": {}}}),
]
STEPS = (
    Step(
        index=0,
        observation=Observation(text="You see\r\n\ta mug.", admissible=("go to mug 1", "look")),
        action=Action(reason="", command="look"),
        reply="REASON: …",
        usage=Usage(num_requests=1, prompt_tokens=2, completion_tokens=3, cost_usd=None),
    ),
    Step(index=1, observation=Observation(text="", admissible=()), action=Action(reason="r", command=""), valid=False),
    Step(index=2, observation=Observation(text="no list"), action=Action(reason="r", command="c")),
)
TRAJECTORIES = [
    Trajectory(
        id="i0/a",
        spec=SPECS[0],
        iteration=0,
        student="tiny",
        steps=STEPS,
        final_observation="end",
        stop_reason=StopReason.TERMINATED,
        score=0.1 + 0.2,
        success=True,
        usage=Usage(num_requests=3, prompt_tokens=4, completion_tokens=5, cost_usd=0.25),
    ),
    Trajectory(
        id="i0/b",
        spec=SPECS[1],
        iteration=2,
        student="tiny",
        steps=(),
        final_observation="",
        stop_reason=StopReason.ENV_ERROR,
        score=None,
        success=None,
        error="it broke",
    ),
    Trajectory(
        id="i0/a",
        spec=SPECS[0],
        iteration=0,
        student="tiny",
        steps=STEPS[:1],
        final_observation="the same id again",
        stop_reason=StopReason.STEP_LIMIT,
        score=0.0,
        success=False,
    ),
]
JUDGED = [
    TRAJECTORIES[0].with_(score_parts={"type": 1.0, "attributes": 1 / 3}),
    TRAJECTORIES[1],
    TRAJECTORIES[2].with_(suspicion="changed by /.gitignore"),
]
CORRECTIONS = [
    Correction(
        trajectory_id="i0/a",
        spec_id="a",
        teacher="oracle",
        level=25,
        steps=(
            StepCorrection(step=0, reason="ü", command="look", status=CorrectionStatus.KEPT),
            StepCorrection(step=1, reason="", command="x", status=CorrectionStatus.REJECTED, why="leak: mug 1"),
        ),
        usage=Usage(num_requests=1, cost_usd=None),
    ),
    Correction(trajectory_id="i0/b", spec_id="b", teacher="openai", level=0, steps=(), error="no reply"),
]
STATES = [
    PrivilegedState(spec_id="a", text="The mug is in\nthe fridge.", facts={"at": [["mug 1", "fridge 1"]]}, source="s"),
    PrivilegedState(spec_id="b", text="", source="s"),
]
ROW = TurnRow(
    iteration=1,
    episode="i1/a",
    step=0,
    spec="a",
    split="train",
    group="",
    prompt=(Message(role="system", content="s"), Message(role="user", content="ü")),
    prompt_sha256="0" * 64,
    completion="REASON: a ACTION: b",
    student_completion=None,
    label=False,
    accepted=True,
    status="changed",
    why="",
    leaked=False,
    admissible=None,
    privileged_context=None,
    teacher="oracle",
    teacher_params={"n": 1},
    level=0,
    prompt_tokens=0,
    completion_tokens=0,
    cost_usd=None,
)
TABLES = [
    (write_specs, read_specs, SPECS),
    (write_privileged, read_privileged, STATES),
    (write_trajectories, read_trajectories, TRAJECTORIES),
    (write_trajectories, read_trajectories, JUDGED),
    (write_corrections, read_corrections, CORRECTIONS),
    (write_turn_rows, read_turn_rows, [ROW, ROW.with_(admissible=("x",), student_logprob=-1.5)]),
]


def named(case):
    return case[0].__name__.removeprefix("write_")


@pytest.mark.parametrize("table", TABLES, ids=named)
def test_what_is_written_is_read_back_equal_and_in_order(table, tmp_path):
    write, read, records = table
    write(tmp_path, records)
    assert read(tmp_path) == records
    write(tmp_path, records[::-1])
    assert read(tmp_path) == records[::-1]


@pytest.mark.parametrize("table", [table for table in TABLES if table[2] is not JUDGED], ids=named)
def test_no_records_still_give_files_with_the_same_columns(table, tmp_path):
    write, read, records = table
    write(tmp_path / "empty", [])
    write(tmp_path / "full", records)
    assert read(tmp_path / "empty") == []
    for path in (tmp_path / "full").iterdir():
        assert pq.read_schema(tmp_path / "empty" / path.name).equals(pq.read_schema(path))


@pytest.mark.parametrize("table", TABLES, ids=named)
def test_equal_records_give_equal_bytes_and_no_other_file(table, tmp_path):
    write, _, records = table
    write(tmp_path / "one", records)
    write(tmp_path / "two", list(records))
    for path in (tmp_path / "one").iterdir():
        assert path.suffix == ".parquet"
        assert sha256_file(path) == sha256_file(tmp_path / "two" / path.name)


def test_the_two_parts_of_a_dataset_are_two_files(tmp_path):
    answer = (Message(role="assistant", content="REASON: a ACTION: b"),)
    rows = [
        TrainingRow(
            iteration=0, episode=f"i0/{n}", step=n, part=part, prompt=ROW.prompt, completion=answer, rejected=rejected
        )
        for n, (part, rejected) in enumerate([("train", None), ("validation", answer), ("train", answer)])
    ]
    write_training_rows(tmp_path, rows)
    assert read_training_rows(tmp_path / "train.parquet") == [rows[0], rows[2]]
    assert read_training_rows(tmp_path / "validation.parquet") == [rows[1]]
    columns = pd.read_parquet(tmp_path / "train.parquet")
    assert columns["prompt"][0][1] == {"role": "user", "content": "ü"}
    assert columns["rejected"][0] is None


def test_pandas_and_datasets_read_the_tables_as_they_are(tmp_path):
    write_trajectories(tmp_path, TRAJECTORIES)
    episodes = pd.read_parquet(tmp_path / "episodes.parquet")
    assert list(episodes["num_steps"]) == [3, 0, 1]
    assert episodes["score"].isna().tolist() == [False, True, False]
    steps = datasets.Dataset.from_parquet(str(tmp_path / "steps.parquet"), cache_dir=str(tmp_path / "cache"))
    assert steps["admissible"] == [["go to mug 1", "look"], [], None, ["go to mug 1", "look"]]
    assert steps["episode"] == ["i0/a"] * 4


@pytest.mark.parametrize(
    ("episodes", "columns"),
    [(JUDGED, {"score_parts", "suspicion"}), (JUDGED[:2], {"score_parts"}), (JUDGED[1:], {"suspicion"}), ([], set())],
)
def test_parts_and_suspicions_are_columns_only_where_there_are_any(episodes, columns, tmp_path):
    write_trajectories(tmp_path / "plain", TRAJECTORIES)
    write_trajectories(tmp_path / "judged", episodes)
    plain, judged = (pq.read_schema(tmp_path / name / "episodes.parquet").names for name in ("plain", "judged"))
    assert "score" in plain
    assert set(judged) - set(plain) == columns
    assert [name for name in judged if name in plain] == plain


def test_a_suspicion_without_words_is_one(tmp_path):
    suspect = [TRAJECTORIES[0].with_(suspicion="")]
    write_trajectories(tmp_path, suspect)
    assert read_trajectories(tmp_path) == suspect


def test_pandas_and_datasets_read_parts_and_suspicions(tmp_path):
    write_trajectories(tmp_path, JUDGED)
    write_card(tmp_path)
    episodes = pd.read_parquet(tmp_path / "episodes.parquet")
    parts = [{"name": "type", "value": 1.0}, {"name": "attributes", "value": 1 / 3}]
    assert [list(found) for found in episodes["score_parts"]] == [parts, [], []]
    assert episodes["suspicion"].isna().tolist() == [True, True, False]
    loaded = datasets.load_dataset(str(tmp_path), "episodes", cache_dir=str(tmp_path / "cache"))["train"]
    assert loaded["suspicion"] == [None, None, "changed by /.gitignore"]
    assert loaded["score_parts"] == [parts, [], []]


def test_parts_keep_their_order(tmp_path):
    write_trajectories(tmp_path, JUDGED)
    assert list(read_trajectories(tmp_path)[0].score_parts) == ["type", "attributes"]


def test_a_missing_column_that_is_always_there_is_refused(tmp_path):
    write_trajectories(tmp_path, JUDGED)
    path = tmp_path / "episodes.parquet"
    pq.write_table(pq.read_table(path).drop_columns("score"), path)
    with pytest.raises(ArtifactError, match=r"episodes\.parquet does not hold EpisodeRow rows"):
        read_trajectories(tmp_path)


def test_more_records_than_one_row_group_holds(tmp_path):
    states = [PrivilegedState(spec_id=str(number), text="x", source="s") for number in range(10_000)]
    write_privileged(tmp_path, iter(states))
    assert pq.ParquetFile(tmp_path / "privileged.parquet").num_row_groups == 3
    assert read_privileged(tmp_path) == states


@pytest.mark.parametrize("name", ["steps.parquet", "episodes.parquet"])
def test_a_missing_table_is_named(name, tmp_path):
    write_trajectories(tmp_path, TRAJECTORIES)
    (tmp_path / name).unlink()
    with pytest.raises(ArtifactError) as raised:
        read_trajectories(tmp_path)
    assert raised.value.item == str(tmp_path / name)


def test_a_torn_table_is_named(tmp_path):
    write_specs(tmp_path, SPECS)
    path = tmp_path / "specs.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ArtifactError) as raised:
        read_specs(tmp_path)
    assert raised.value.item == str(path)


def test_another_table_in_its_place_is_refused(tmp_path):
    write_privileged(tmp_path, STATES)
    (tmp_path / "privileged.parquet").rename(tmp_path / "specs.parquet")
    with pytest.raises(ArtifactError, match="id string, env string") as raised:
        read_specs(tmp_path)
    assert raised.value.item == str(tmp_path / "specs.parquet")


def test_another_schema_version_is_refused(tmp_path):
    write_specs(tmp_path, SPECS)
    table = pq.read_table(tmp_path / "specs.parquet")
    pq.write_table(table.replace_schema_metadata({"leap.schema_version": "0"}), tmp_path / "specs.parquet")
    with pytest.raises(ArtifactError, match="version 0") as raised:
        read_specs(tmp_path)
    assert raised.value.item == str(tmp_path / "specs.parquet")


def test_steps_of_other_episodes_are_refused(tmp_path):
    write_trajectories(tmp_path / "one", TRAJECTORIES)
    write_trajectories(tmp_path / "two", TRAJECTORIES[1:])
    (tmp_path / "two" / "steps.parquet").replace(tmp_path / "one" / "steps.parquet")
    with pytest.raises(ArtifactError) as raised:
        read_trajectories(tmp_path / "one")
    assert raised.value.item == str(tmp_path / "one")


def test_a_value_that_the_record_forbids_is_refused(tmp_path):
    class Loose(Record):
        role: str
        content: str

    write_records(tmp_path / "m.parquet", Loose, [Loose(role="nobody", content="")])
    with pytest.raises(ArtifactError, match="Message") as raised:
        read_records(tmp_path / "m.parquet", Message)
    assert raised.value.item == str(tmp_path / "m.parquet")


def test_a_field_without_a_column_type_is_an_error_of_the_programmer():
    class Odd(Record):
        value: str | int

    with pytest.raises(TypeError, match="'value' may be of several types"):
        record_schema(Odd)
