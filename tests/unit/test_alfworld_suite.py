"""ALFWorld's suite: generated games, downloaded ones, and what the student and the teacher are shown."""

import shutil

import pytest
from alfworld_games import write_game

from leap_core.config import EnvironmentConfig
from leap_core.envs.alfworld.privileged import AlfworldFacts, Receptacle
from leap_core.envs.alfworld.suite import AlfworldSuite
from leap_core.envs.skipped import read_skipped
from leap_core.errors import ConfigError, GameFileError, LeapError, UnknownNameError, WrongSpecError
from leap_core.types import Spec


def suite_of(**settings):
    return AlfworldSuite(EnvironmentConfig(**{"num_train": 3, "num_dev": 2, "num_test": 2, **settings}))


@pytest.fixture(autouse=True)
def _cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def data(tmp_path):
    """A directory as `alfworld-download` leaves it: playable games, and ones to pass over."""
    folder = tmp_path / "data" / "json_2.1.1"
    for split, count in (("train", 5), ("valid_seen", 2), ("valid_unseen", 3)):
        for number in range(count):
            write_game(folder / split / f"pick_heat-Apple-None-DiningTable-{number}" / f"trial_{number}")
    write_game(folder / "valid_seen" / "unsolvable" / "trial", solvable=False)
    movable = write_game(folder / "valid_seen" / "movable" / "trial").parent / "traj_data.json"
    movable.write_text(
        movable.read_text().replace("pick_heat_then_place_in_recep", "pick_and_place_with_movable_recep")
    )
    sliced = write_game(folder / "valid_seen" / "sliced" / "trial").parent / "traj_data.json"
    sliced.write_text(sliced.read_text().replace("false", "true"))
    return tmp_path / "data"


def test_downloaded_games(tmp_path, data):
    suite, root = suite_of(data=str(data), num_dev=10), tmp_path / "specs"
    train, dev, test = (suite.prepare(root / split, split, 0) for split in ("train", "dev", "test"))
    assert (len(train), len(dev), len(test)) == (3, 2, 2)
    number = dev[0].params["game"].split("trial_")[1][0]
    assert dev[0].id == f"dev/pick_heat-Apple-None-DiningTable-{number}/trial_{number}"
    assert (dev[0].instruction, dev[0].group) == ("put a hot apple in diningtable", "pick_heat_then_place_in_recep")
    assert "valid_seen" in dev[0].params["game"]
    assert "valid_unseen" in test[0].params["game"]
    assert suite.make(root).reset(dev[0]).text.startswith("You are in the middle of a room.")
    passed_over = read_skipped(root / "dev")
    assert passed_over.counts == {"left out": 2, "unsolvable": 1}
    assert {id.split("/")[0] for id in passed_over.why} == {"unsolvable", "movable", "sliced"}
    assert "not marked as solvable" in passed_over.why["unsolvable/trial"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda game: game.write_text(game.read_text()[:1000]), "JSON"),
        (
            lambda game: game.write_text(game.read_text().replace("(define (problem", "define (problem")),
            "'pddl_problem'",
        ),
        (lambda game: game.with_name("traj_data.json").unlink(), "traj_data.json"),
    ],
)
def test_a_damaged_download_is_named_and_not_passed_over(tmp_path, data, damage, message):
    game = data / "json_2.1.1" / "valid_seen" / "pick_heat-Apple-None-DiningTable-1" / "trial_1" / "game.tw-pddl"
    damage(game)
    with pytest.raises(GameFileError, match=message) as error:
        suite_of(data=str(data)).prepare(tmp_path / "x", "dev", 0)
    assert str(game.parent) in str(error.value)


def test_choice_of_downloaded_games(tmp_path, data):
    few, more = (suite_of(data=str(data), num_train=count).prepare(tmp_path / "x", "train", 0) for count in (2, 4))
    assert few == more[:2]
    assert suite_of(data=str(data / "json_2.1.1")).prepare(tmp_path / "x", "train", 9) == more[:3]
    swapped = suite_of(data=str(data), params={"dev_split": "valid_unseen", "test_split": "valid_seen"})
    assert "valid_unseen" in swapped.prepare(tmp_path / "x", "dev", 0)[0].params["game"]
    assert suite_of(data=str(data), num_dev=0).prepare(tmp_path / "x", "dev", 0) == []


def test_missing_data(tmp_path, data):
    with pytest.raises(LeapError, match="alfworld-download"):
        suite_of(data=str(tmp_path / "none")).prepare(tmp_path / "x", "train", 0)
    shutil.rmtree(data / "json_2.1.1" / "valid_unseen")
    with pytest.raises(LeapError, match=r"test split.*alfworld-download"):
        suite_of(data=str(data)).prepare(tmp_path / "x", "test", 0)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"params": {"scene_sise": "small"}}, UnknownNameError, "'scene_size'"),
        ({"params": {"dev_split": "train"}}, UnknownNameError, "generated games"),
        ({"data": "x", "params": {"dev_split": "valid_sen"}}, ConfigError, "valid_seen"),
        ({"data": "x", "params": {"dev_split": "valid_unseen"}}, ConfigError, "no two may share games"),
    ],
)
def test_wrong_settings(settings, error, message):
    with pytest.raises(error, match=message):
        suite_of(**settings)


def test_unknown_scene_size(tmp_path):
    with pytest.raises(UnknownNameError, match="huge"):
        suite_of(params={"scene_size": "huge"}).prepare(tmp_path, "train", 0)


def test_generated_games(tmp_path):
    suite = suite_of()
    specs = suite.prepare(tmp_path, "dev", 7)
    assert [spec.split for spec in specs] == ["dev", "dev"]
    assert specs == suite_of(num_train=30).prepare(tmp_path / "other", "dev", 7)
    assert specs != suite.prepare(tmp_path / "other", "dev", 8)
    assert all((tmp_path / spec.params["game"]).is_file() for spec in specs)


def test_privileged_state_tells_what_the_game_hides(tmp_path, data):
    suite = suite_of(data=str(data))
    spec = suite.prepare(tmp_path / "x", "train", 0)[0]
    state = suite.privileged_state(tmp_path / "x", spec)
    facts = AlfworldFacts.of(state)
    assert (facts.task_type, facts.object_kind, facts.target_kind) == (spec.group, "apple", "diningtable")
    assert (facts.num_objects, facts.needs) == (1, "hot")
    assert facts.locations == {
        "apple 1": "countertop 1",
        "apple 2": "cabinet 2",
        "desklamp 1": "diningtable 1",
        "egg 1": "fridge 1",
        "knife 1": "countertop 1",
        "mug 1": "fridge 1",
        "plate 1": "diningtable 1",
    }
    assert facts.receptacles[1] == Receptacle(name="cabinet 2", kind="cabinet", openable=True, open=False)
    assert len(facts.receptacles) == 8
    assert facts.essential_objects == ("apple 2",)
    assert facts.critical_locations == ("cabinet 2", "diningtable 1")
    assert state.spec_id == spec.id
    assert state.text.splitlines() == [
        "Task: put a hot apple in diningtable.",
        "Essential objects:",
        "- apple 2, in/on cabinet 2",
        "Critical locations:",
        "- cabinet 2 (apple 2 is there, closed at first)",
        "- diningtable 1 (the target)",
        "Optimal sequence of actions:",
        "1. go to cabinet 2",
        "2. open cabinet 2",
        "3. take apple 2 from cabinet 2",
        "4. go to diningtable 1",
        "5. move apple 2 to diningtable 1",
    ]


def test_game_that_changed_is_refused(tmp_path, data):
    suite, root = suite_of(data=str(data)), tmp_path / "x"
    spec = suite.prepare(root, "train", 0)[0]
    changed = spec.with_(params={**spec.params, "sha256": "0" * 64})
    with pytest.raises(GameFileError, match="changed after its specs were made"):
        suite.make(root).reset(changed)
    with pytest.raises(WrongSpecError, match="'game' and 'sha256'"):
        suite.make(root).reset(Spec(id="x", env="webshop", split="train", instruction="buy"))


def test_winning_ends_the_episode(tmp_path, data):
    suite, root = suite_of(data=str(data)), tmp_path / "x"
    environment = suite.make(root)
    environment.reset(suite.prepare(root, "train", 0)[0])
    commands = ["go to cabinet 2", "open cabinet 2", "take apple 2 from cabinet 2", "go to diningtable 1"]
    for command in commands:
        result = environment.step(command)
        assert (result.score, result.success, result.terminated, result.valid) == (0.0, False, False, True)
    assert not environment.step("move apple 2 to fridge 1").valid
    result = environment.step("move apple 2 to diningtable 1")
    assert (result.score, result.success, result.terminated, result.valid) == (1.0, True, True, True)
