"""The generator: same bytes from the same seed, splits that share nothing they must not, a prior that really holds."""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from leap_core.envs.alfworld.engine.narration import number_names
from leap_core.envs.alfworld.engine.problem import walkthrough
from leap_core.envs.alfworld.games.generator import draw_game, furnish, generate_games, may_be_in
from leap_core.envs.alfworld.games.scenes import make_scenes
from leap_core.envs.alfworld.world.goals import TASK_TYPES, TEMPLATES, Goal, parse_goal
from leap_core.envs.alfworld.world.kinds import LAMP, LAMP_PRIOR, OBJECTS, OPENABLE
from leap_core.errors import GameFileError, UnknownNameError

COUNTS = {"train": 24, "dev": 12, "test": 12}
SIZES = {"small": (6, 9), "full": (18, 30)}


@pytest.fixture(scope="module")
def games(tmp_path_factory):
    root = tmp_path_factory.mktemp("games")
    return root, generate_games(root, COUNTS, 7, "small")


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def drawn(split: str, count: int, size: str = "small", seed: int = 7):
    scenes = make_scenes(seed, size)
    return [draw_game(scenes.of(split), f"{seed}/{size}", split, index, 0) for index in range(count)]


def test_the_same_seed_gives_the_same_bytes(games, tmp_path):
    root, written = games
    assert generate_games(tmp_path, COUNTS, 7, "small") == written
    assert content(tmp_path) == content(root)


def test_another_seed_gives_other_games(games, tmp_path):
    assert not {path for _, path in generate_games(tmp_path, COUNTS, 8, "small")} & {path for _, path in games[1]}


def test_a_longer_split_begins_with_the_shorter_one(games, tmp_path):
    longer = generate_games(tmp_path, {"train": 30}, 7, "small")
    train = [item for item in games[1] if item[0] == "train"]
    assert longer[: len(train)] == train
    assert all((tmp_path / path).read_bytes() == (games[0] / path).read_bytes() for _, path in train)


def test_splits_come_in_order_and_in_the_numbers_asked_for(games):
    assert [split for split, _ in games[1]] == ["train"] * 24 + ["dev"] * 12 + ["test"] * 12


def test_any_first_games_of_a_split_are_balanced_over_the_task_types(games):
    train = [path.parts[2].partition("-")[0] for split, path in games[1] if split == "train"]
    for count in range(1, len(train) + 1):
        seen = [train[:count].count(task) for task in TASK_TYPES]
        assert max(seen) - min(seen) <= 1


def test_files_are_in_the_format_that_alfworld_reads(games):
    root, written = games
    for split, path in written:
        game = json.loads((root / path).read_text())
        assert set(game) == {"pddl_domain", "grammar", "pddl_problem", "solvable", "walkthrough"}
        assert game["solvable"] is True
        trajectory = json.loads((root / path).with_name("traj_data.json").read_text())
        params = trajectory["pddl_params"]
        target = params["parent_target"] or params["toggle_target"]
        task = f"{trajectory['task_type']}-{params['object_target']}-None-{target}-{trajectory['scene']['scene_num']}"
        assert path.parts == ("games", split, task, trajectory["task_id"], "game.tw-pddl")
        sentence = game["grammar"].partition("Your task is to: ")[2].partition(".")[0]
        assert parse_goal(sentence).task_type == trajectory["task_type"]


def test_no_two_games_are_the_same(tmp_path):
    games = generate_games(tmp_path, {"train": 40, "dev": 40, "test": 40}, 2, "small")
    assert len({what_is_where(tmp_path / path) for _, path in games}) == len(games)


def what_is_where(path):
    """Scene and goal, and every object's place, by the names that a player sees."""
    problem = json.loads(path.read_text())["pddl_problem"].lower()
    names = number_names(re.findall(r"(\w+) - (?:object|receptacle)", problem))
    placed = re.findall(r"\(inreceptacle (\w+_bar_\w+) (\w+_bar_\w+)\)", problem)
    return path.parts[-3], tuple(sorted((names[thing], names[place]) for thing, place in placed))


def test_train_and_dev_cannot_share_a_game():
    """A game is told apart by scene, goal and places; each one may be in one of the two splits only."""
    games = [game for split in ("train", "dev") for game in drawn(split, 400)]
    assert all(may_be_in("train", game) != may_be_in("dev", game) for game in games)
    assert 0.15 < sum(may_be_in("dev", game) for game in games) / len(games) < 0.35
    moved = replace(games[0], objects=(replace(games[0].objects[0], receptacle=games[0].receptacles[-1]),))
    assert moved.digest != games[0].digest
    assert replace(games[0], id="other", sentence="other").digest == games[0].digest


def test_a_split_does_not_depend_on_the_others(games, tmp_path):
    assert generate_games(tmp_path, {"dev": 12}, 7, "small") == [item for item in games[1] if item[0] == "dev"]
    assert content(tmp_path / "games" / "dev") == content(games[0] / "games" / "dev")


def test_dev_shares_the_train_scenes_and_test_has_its_own(games):
    scenes = {split: set() for split in COUNTS}
    for split, path in games[1]:
        scenes[split].add(int(path.parts[2].rpartition("-")[2]))
    train = {scene.number for scene in make_scenes(7, "small").train}
    assert scenes["train"] | scenes["dev"] <= train
    assert not scenes["test"] & train


@pytest.mark.parametrize("size", SIZES)
def test_rooms_have_the_size_asked_for_and_no_two_the_same_layout(size):
    scenes = make_scenes(3, size)
    fewest, most = SIZES[size]
    assert all(fewest <= sum(scene.receptacles.values()) <= most for scene in scenes.train + scenes.test)
    layouts = [(scene.room, tuple(scene.receptacles.items())) for scene in scenes.train + scenes.test]
    assert len(set(layouts)) == len(layouts) == 120


@pytest.mark.parametrize("size", SIZES)
def test_a_scene_is_furnished_the_same_in_all_its_games(size):
    games = drawn("test", 120, size)
    by_scene = {}
    for game in games:
        assert by_scene.setdefault(game.scene.number, game.receptacles) == game.receptacles
        assert Counter(receptacle.kind for receptacle in game.receptacles) == Counter(game.scene.receptacles)
        assert len({receptacle.location for receptacle in game.receptacles}) == len(game.receptacles)


def test_objects_lie_where_their_kind_usually_lies():
    """In rooms that have all the places of a kind, its first place is the commonest and the shares fit the prior."""
    places = {kind: Counter() for kind in (*OBJECTS, LAMP)}
    priors = {kind: spec.prior for kind, spec in OBJECTS.items()} | {LAMP: LAMP_PRIOR}
    for game in drawn("train", 1000, "full"):
        for placed in game.objects:
            prior = priors[placed.kind]
            if prior.keys() <= game.scene.receptacles.keys() and game.goal.num_objects == 1:
                places[placed.kind][placed.receptacle.kind] += 1
    counted = {kind: count for kind, count in places.items() if count.total() >= 100}
    assert len(counted) >= 20
    for kind, count in counted.items():
        assert count.most_common(1)[0][0] == next(iter(priors[kind]))
        for place, weight in priors[kind].items():
            assert count[place] / count.total() == pytest.approx(weight, abs=0.12)


def test_tables_are_consistent():
    for spec in OBJECTS.values():
        weights = list(spec.prior.values())
        assert sum(weights) == pytest.approx(1)
        assert weights == sorted(set(weights), reverse=True)
        assert spec.prior.keys() <= spec.fits


def test_no_goal_is_met_even_in_part_at_the_start():
    for game in drawn("train", 300):
        goal_places = {placed.receptacle.kind for placed in game.objects if placed.kind == game.object_kind}
        assert game.target_kind not in goal_places
        assert sum(placed.kind == game.object_kind for placed in game.objects) >= game.goal.num_objects


def test_there_are_things_to_look_past_and_places_to_search():
    for game in drawn("train", 300):
        assert 5 <= len(game.objects) <= 12
        assert len(OBJECTS[game.object_kind].prior.keys() & game.scene.receptacles.keys()) >= 2


def test_basins_have_the_ids_of_their_fixtures():
    scene = next(scene for scene in make_scenes(0, "full").train if "BathtubBasin" in scene.receptacles)
    ids = {item.kind: item.id for item in furnish(scene, "0/full")}
    assert ids["BathtubBasin"].startswith("Bathtub_bar_")
    assert ids["BathtubBasin"].endswith("_bar_BathtubBasin")
    assert ids["SinkBasin"].startswith("Sink_bar_")


def test_a_walkthrough_opens_what_is_closed_and_nothing_else():
    for game in drawn("train", 120):
        commands = walkthrough(game)
        opened = [command.removeprefix("open ") for command in commands if command.startswith("open ")]
        assert len(set(opened)) == len(opened)
        assert all(name.partition(" ")[0] in {kind.lower() for kind in OPENABLE} for name in opened)


@pytest.mark.parametrize("task_type", TASK_TYPES)
@pytest.mark.parametrize("variant", [0, 1])
def test_a_goal_sentence_reads_back_to_its_goal(task_type, variant):
    goal = Goal(task_type=task_type, object_kind="mug", target_kind="desk")
    assert parse_goal(goal.sentence(variant)) == goal
    assert parse_goal(f"Your task is to: {goal.sentence(variant)}.") == goal


def test_both_wordings_of_every_goal_occur():
    games = drawn("train", 240)
    sentences = {task_type: set() for task_type in TEMPLATES}
    for game in games:
        sentences[game.goal.task_type].add(game.goal.sentence(0) == game.sentence)
    assert sentences == {task_type: {True, False} for task_type in TEMPLATES}


def test_a_goal_in_free_words_is_refused_with_the_reason():
    with pytest.raises(GameFileError, match="Place a warm cup of coffee"):
        parse_goal("Place a warm cup of coffee by the window.")


def test_unknown_names_are_refused_with_the_nearest(tmp_path):
    with pytest.raises(UnknownNameError, match=r"'smal'.*'small'"):
        generate_games(tmp_path, {"train": 1}, 0, "smal")
    with pytest.raises(UnknownNameError, match=r"'trian'.*'train'"):
        generate_games(tmp_path, {"trian": 1}, 0, "small")
    assert not list(tmp_path.iterdir())
