"""The index of downloaded games: what is there, what is passed over, and that it is read only once."""

import json
import os
import shutil
from hashlib import sha256
from pathlib import Path

import pytest
from alfworld_games import older_domain, older_grammar, write_game

from leap_core.config import EnvironmentConfig, load_config
from leap_core.envs.alfworld.engine.game_file import domain_text, grammar_for
from leap_core.envs.alfworld.games.data_index import (
    NUM_EVALUATION_GAMES,
    evaluation_games,
    find_data,
    in_order,
    read_index,
)
from leap_core.envs.alfworld.suite import AlfworldSuite
from leap_core.envs.alfworld.world.goals import TASK_TYPES
from leap_core.envs.skipped import Skipped, describe_counts, read_skipped, write_skipped
from leap_core.errors import GameFileError, LeapError, UnplayableGameError

UNKNOWN_RULES = "(and (forall (?o - object) (imply (isHot ?o) (isClean ?o))))"


@pytest.fixture(autouse=True)
def _cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    """Splits with games, without anything wrong."""
    for split, num in (("train", 30), ("valid_seen", 2), ("valid_unseen", 2)):
        for number in range(num):
            write_game(
                tmp_path / "data" / "json_2.1.1" / split / f"pick_heat-Apple-None-DiningTable-{number}" / "trial_1"
            )
    return tmp_path / "data" / "json_2.1.1"


def game_of(folder, number, split="train"):
    return folder / split / f"pick_heat-Apple-None-DiningTable-{number}" / "trial_1" / "game.tw-pddl"


def suite_of(folder, **settings):
    return AlfworldSuite(EnvironmentConfig(data=str(folder), num_train=100, **settings))


def test_what_a_game_says_about_itself(folder):
    game = read_index(folder).games("train")[0]
    content = (folder / game.path).read_bytes()
    assert (game.id, game.status) == ("pick_heat-Apple-None-DiningTable-0/trial_1", "playable")
    assert (game.task, game.task_type) == ("put a hot apple in diningtable", "pick_heat_then_place_in_recep")
    assert (game.sha256, game.wording, game.has_help) == (sha256(content).hexdigest(), "move {o} to {r}", True)


def test_older_wording_is_seen(folder):
    grammar = older_grammar(grammar_for("put a hot apple\\tin diningtable"))
    write_game(game_of(folder, 0).parent, grammar=grammar, pddl_domain=older_domain(domain_text()))
    game = read_index(folder).games("train")[0]
    assert (game.wording, game.has_help, game.status) == ("put {o} in/on {r}", False, "playable")
    assert game.task == "put a hot apple\tin diningtable"


def test_what_was_read_is_not_read_again(folder):
    first = read_index(folder).games("train")
    path = game_of(folder, 3)
    times, size = path.stat(), path.stat().st_size
    path.write_text("x" * size)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert read_index(folder).games("train") == first
    os.utime(path)
    assert read_index(folder).count("train") == {"playable": 29, "damaged": 1}
    shutil.rmtree(path.parent)
    assert read_index(folder).count("train") == {"playable": 29}


@pytest.mark.parametrize("content", ["", "{}", '{"version": 0, "games": []}'])
def test_a_cache_that_is_no_use(folder, tmp_path, content):
    first = read_index(folder)
    (cache,) = (tmp_path / "cache" / "leap-agents").iterdir()
    cache.write_text(content)
    assert read_index(folder).games("train") == first.games("train")
    assert len(json.loads(cache.read_text())["games"]) == 34


def test_no_place_for_a_cache(folder, tmp_path):
    (tmp_path / "file").touch()
    assert len(read_index(folder, tmp_path / "file").games("train")) == 30


def test_few_damaged_games_are_passed_over_and_counted(folder, tmp_path):
    game_of(folder, 7).write_text(game_of(folder, 7).read_text()[:3000])
    write_game(game_of(folder, 8).parent, solvable=None)
    specs = suite_of(folder).prepare(tmp_path / "specs", "train", 0)
    assert len(specs) == 28
    passed_over = read_skipped(tmp_path / "specs")
    assert passed_over.counts == {"damaged": 1, "unsolvable": 1}
    assert "is not JSON" in passed_over.why["pick_heat-Apple-None-DiningTable-7/trial_1"]
    assert "not marked as solvable" in passed_over.why["pick_heat-Apple-None-DiningTable-8/trial_1"]
    with pytest.raises(GameFileError, match=r"1 of 30 .*environment\.params\.max_damaged_share"):
        suite_of(folder, params={"max_damaged_share": 0.01}).prepare(tmp_path / "specs", "train", 0)


def test_a_trial_that_alfworld_has_made_no_game_of_is_not_damaged(folder, tmp_path):
    for number in range(20):
        game_of(folder, number).unlink()
    assert read_index(folder).count("train") == {"playable": 10, "without a game": 20}
    specs = suite_of(folder, params={"max_damaged_share": 0}).prepare(tmp_path / "specs", "train", 0)
    assert len(specs) == 10
    assert read_skipped(tmp_path / "specs") == Skipped(counts={"without a game": 20})
    game_of(folder, 20).with_name("traj_data.json").unlink()
    assert read_index(folder).count("train")["damaged"] == 1
    with pytest.raises(GameFileError, match="1 of 10"):
        suite_of(folder).prepare(tmp_path / "specs", "train", 0)


def test_a_problem_that_is_cut_off_is_damaged(folder):
    read_index(folder)
    write_game(game_of(folder, 5).parent, pddl_problem="(define (problem x) (:init (isHot y)")
    assert read_index(folder).count("train") == {"playable": 29, "damaged": 1}


@pytest.mark.parametrize(
    ("engine", "advice"), [("native", "environment.params.engine = 'auto'"), ("auto", r"\.\[alfworld\]")]
)
def test_unknown_rules_are_not_passed_over(folder, tmp_path, engine, advice):
    write_game(game_of(folder, 9).parent, goal=UNKNOWN_RULES)
    assert read_index(folder).count("train") == {"playable": 29, "unplayable": 1}
    if engine == "auto" and original_is_installed():
        pytest.skip("the original engine would play it")
    with pytest.raises(UnplayableGameError, match=f"'imply', which the engine does not play.*{advice}") as error:
        suite_of(folder, params={"engine": engine}).prepare(tmp_path / "specs", "train", 0)
    assert str(game_of(folder, 9)) in str(error.value)


def original_is_installed():
    from importlib.util import find_spec

    return find_spec("textworld") is not None


def test_data_by_variable(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder / "nobody"))
    monkeypatch.delenv("ALFWORLD_DATA", raising=False)
    with pytest.raises(LeapError, match=r"environment\.data.*ALFWORLD_DATA"):
        find_data("$ALFWORLD_DATA")
    monkeypatch.setenv("ALFWORLD_DATA", str(folder.parent))
    assert find_data("$ALFWORLD_DATA") == find_data("${ALFWORLD_DATA}/json_2.1.1") == find_data(str(folder)) == folder


def test_games_of_the_published_evaluation(folder):
    assert (len(evaluation_games("valid_seen")), len(evaluation_games("valid_unseen"))) == (138, 134)
    assert NUM_EVALUATION_GAMES == {"valid_seen": 140, "valid_unseen": 134}
    assert evaluation_games("train") == ()
    for split in NUM_EVALUATION_GAMES:
        ids = evaluation_games(split)
        assert len(set(ids)) == len(ids)
        assert {id.partition("-")[0] for id in ids} == set(TASK_TYPES)
        assert not any("Sliced" in id or "movable" in id for id in ids)
    present = evaluation_games("valid_unseen")[3]
    write_game(folder / "valid_unseen" / present)
    missing = read_index(folder).missing_evaluation_games("valid_unseen")
    assert len(missing) == 133
    assert present not in missing
    (folder / "valid_unseen" / present / "game.tw-pddl").write_text("{")
    assert len(read_index(folder).missing_evaluation_games("valid_unseen")) == 134


def test_counts_in_words():
    assert describe_counts(in_order({"damaged": 2, "left out": 0, "playable": 3138})) == "3,138 playable, 2 damaged"
    assert describe_counts({}) == "none"


def test_the_record_of_what_was_passed_over(tmp_path):
    assert read_skipped(tmp_path) == Skipped()
    skipped = Skipped(counts={"damaged": 2, "unsolvable": 1}, why={"a": "damaged: torn"})
    write_skipped(tmp_path, skipped)
    assert read_skipped(tmp_path) == skipped
    (tmp_path / "skipped.json").write_text("{")
    with pytest.raises(LeapError, match=r"skipped\.json"):
        read_skipped(tmp_path)


def test_the_preset_is_the_papers_evaluation():
    environment = load_config(Path(__file__).parents[2] / "flows" / "presets" / "alfworld.toml").environment
    assert (environment.num_dev, environment.num_test) == tuple(NUM_EVALUATION_GAMES.values())
    assert environment.max_steps == 20
    suite = AlfworldSuite(environment)
    assert (suite.name, environment.data, environment.params) == ("alfworld", "$ALFWORLD_DATA", {})
    assert TASK_TYPES == (
        "pick_and_place_simple",
        "look_at_obj_in_light",
        "pick_clean_then_place_in_recep",
        "pick_heat_then_place_in_recep",
        "pick_cool_then_place_in_recep",
        "pick_two_obj_and_place",
    )
