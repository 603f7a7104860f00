"""The native engine: behaviour that is easy to get wrong. `tests/parity` holds it against the original."""

import json

import pytest
from alfworld_games import GOALS, HEAT, game_data, older_domain, older_grammar, write_game

from leap_core.envs.alfworld.engine.engines import NativeEngine, make_engine
from leap_core.envs.alfworld.engine.game import Episode
from leap_core.envs.alfworld.engine.game_file import GameLibrary, domain_text, grammar_text, load_game_file
from leap_core.envs.alfworld.engine.narration import number_names
from leap_core.errors import EnvironmentCrashError, GameFileError, UnknownNameError


def start(tmp_path, **changes):
    return Episode(load_game_file(write_game(tmp_path, **changes)).game)


def play(episode, *commands):
    """The texts that the commands got, all of which must be admissible."""
    turns = [episode.act(command) for command in commands]
    assert all(turn.valid for turn in turns)
    return [turn.text for turn in turns]


def test_wrong_command_changes_nothing(tmp_path):
    episode = start(tmp_path)
    before = episode.first_turn()
    for command in ("fly", "", "GO TO CABINET 1", "take apple 1 from countertop 1"):
        turn = episode.act(command)
        assert (turn.text, turn.valid) == ("Nothing happens.", False)
        assert turn.admissible == before.admissible
    assert episode.act("  go to cabinet 1 ").valid


def test_episodes_of_one_game_do_not_meet(tmp_path):
    game = load_game_file(write_game(tmp_path)).game
    one, other = Episode(game), Episode(game)
    play(one, "go to countertop 1", "take apple 1 from countertop 1")
    assert play(other, "go to countertop 1") == [
        "You arrive at countertop 1. On the countertop 1, you see a apple 1, and a knife 1."
    ]
    assert "take apple 1 from countertop 1" in other.first_turn().admissible
    assert Episode(game).first_turn() == start(tmp_path).first_turn()


def test_older_wording_is_taken_from_the_file(tmp_path):
    episode = start(tmp_path, grammar=older_grammar(grammar_text()), pddl_domain=older_domain(domain_text()))
    assert "help" not in episode.first_turn().admissible
    arrival, _ = play(episode, "go to countertop 1", "take apple 1 from countertop 1")
    assert arrival == "You arrive at loc 6. On the countertop 1, you see a apple 1, and a knife 1."
    assert play(episode, "put apple 1 in/on countertop 1") == ["You put the apple 1 in/on the countertop 1."]


GENERAL_GRAMMAR = {
    "around": [
        {
            "condition": "receptacleatlocation(r:receptacle, l:location)",
            "rhs": "[{#overview(r)# | openable(r:receptacle)}]",
        }
    ],
    "overview(r)": [{"rhs": "{r.indefinite} {r.name or r.id}#overview_state(r)#"}],
    "overview_state(r)": [
        {"condition": "openable(r:receptacle) & opened(r:receptacle)", "rhs": " !open"},
        {"condition": "openable(r:receptacle)", "rhs": "{' (' + 'closed' + ')'}"},
        {"rhs": ""},
    ],
}


def test_nested_rules_see_what_their_list_binds(tmp_path):
    extra = f'grammar :: """{json.dumps(GENERAL_GRAMMAR)}""";\n'
    text = start(tmp_path, grammar=grammar_text() + extra).first_turn().text
    listed = "a cabinet 2 (closed), a cabinet 1 (closed), a fridge 1 (closed), and a microwave 1 (closed)"
    assert f"Looking quickly around you, you see {listed}." in text


def test_names_count_down_within_a_kind():
    ids = ["cabinet_bar_b", "cabinet_bar_a", "sink_bar_1_bar_sinkbasin", "sink_bar_2_bar_sinkbasin", "agent1"]
    names = number_names(ids)
    assert names["cabinet_bar_a"] == "cabinet 2"
    assert names["cabinet_bar_b"] == "cabinet 1"
    assert names["sink_bar_1_bar_sinkbasin"] == "sinkbasin 2"


def test_quantifiers_and_negation_in_goals(tmp_path):
    closed = "(forall (?x - receptacle) (or (not (openable ?x)) (not (opened ?x))))"
    episode = start(tmp_path, goal=f"(and {closed} (exists (?a - agent ?o - object) (and (holds ?a ?o))))")
    assert not episode.first_turn().won
    play(episode, "go to fridge 1", "open fridge 1", "take egg 1 from fridge 1")
    assert not episode.first_turn().won
    assert episode.act("close fridge 1").won


DAMAGED = {  # what is changed, and what the error must name
    "no grammar": ({"grammar": None}, "'grammar'"),
    "cut off problem": ({"pddl_problem": "(define (problem x) (:objects a - agent"}, "'pddl_problem'"),
    "goal missing": ({"pddl_problem": "(define (problem x) (:init))"}, ":goal"),
    "unknown type": ({"goal": "(exists (?x - ghost) (holds ?x ?x))"}, "'ghost'"),
    "unknown predicate": ({"goal": "(exists (?o - object) (isFrozen ?o))"}, "'isfrozen'"),
    "wrong arity": ({"goal": "(exists (?o - object) (isHot ?o ?o))"}, "'ishot'"),
    "unknown construct": ({"goal": "(imply (and) (and))"}, "'imply'"),
    "unknown section": ({"pddl_domain": "(define (domain d) (:derived (p) (q)))"}, "':derived'"),
    "undeclared object": ({"pddl_problem": "(define (problem x) (:init (isHot ghost)) (:goal (and)))"}, "'ghost'"),
    "missing constants": ({"pddl_problem": "(define (problem x) (:goal (and)))"}, "'sinkbasintype'"),
    "grammar not json": ({"grammar": 'grammar :: """{ "intro": ["""; '}, "'grammar'"),
    "no template": ({"grammar": grammar_text().replace("action look", "action gaze")}, "'look'"),
    "missing rule": ({"grammar": grammar_text().replace('"here"', '"there"')}, "'here'"),
    "code": ({"grammar": grammar_text().replace("{o.name}", "{open(o)}")}, "open"),
    "unknown grammar type": ({"grammar": grammar_text().replace("o:object", "o:ghost")}, "'ghost'"),
    "endless rule": ({"grammar": grammar_text().replace("Your task", "#task# Your task")}, "'grammar'"),
    "effect that depends on another fact": (
        {"pddl_domain": domain_text().replace("(when (isOn ?o) (not", "(when (isHot ?o) (not")},
        "'ison'",
    ),
    "types in a circle": ({"pddl_domain": "(define (domain d) (:types a - b b - a))"}, "'agent'"),
    "walkthrough": ({"walkthrough": "go"}, "'walkthrough'"),
    "solvable": ({"solvable": "yes"}, "'solvable'"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_cannot_be_played_right_is_refused(tmp_path, name):
    changes, named = DAMAGED[name]
    path = write_game(tmp_path, **changes)
    with pytest.raises(GameFileError, match=named) as caught:
        load_game_file(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(("content", "named"), [("{", "JSON"), ("[]", "list"), ('{"grammar": ""}', "'pddl_domain'")])
def test_files_that_are_not_games(tmp_path, content, named):
    path = tmp_path / "game.tw-pddl"
    path.write_text(content)
    with pytest.raises(GameFileError, match=named):
        load_game_file(path)
    with pytest.raises(GameFileError, match=str(tmp_path / "none")):
        load_game_file(tmp_path / "none")


def test_changed_file_is_noticed(tmp_path):
    path = write_game(tmp_path)
    sha256 = load_game_file(path).sha256
    library = GameLibrary()
    assert library.get(path, sha256) is library.get(path, sha256)
    write_game(tmp_path, goal=GOALS["two"], walkthrough=["look"])
    with pytest.raises(GameFileError, match="sha256"):
        library.get(path, sha256)
    path.unlink()
    with pytest.raises(GameFileError, match=str(path)):
        library.get(path, sha256)


def test_library_is_bounded(tmp_path):
    files = [load_game_file(write_game(tmp_path / str(number), walkthrough=[str(number)])) for number in range(4)]
    library = GameLibrary(size=2)
    first = library.get(files[0].path, files[0].sha256)
    for file in files[1:]:
        library.get(file.path, file.sha256)
    assert library.get(files[3].path, files[3].sha256).path == files[3].path
    assert library.get(files[0].path, files[0].sha256) is not first


def test_engines_by_name(tmp_path):
    with pytest.raises(UnknownNameError, match="textwold"):
        make_engine("textwold")
    for name in ("auto", "native"):
        with pytest.raises(EnvironmentCrashError, match="reset"):
            make_engine(name).act("look")
        with pytest.raises(EnvironmentCrashError, match="reset"):
            make_engine(name).facts()


def test_grammar_failing_in_play_names_the_file(tmp_path):
    grammar = grammar_text().replace("You close the {r.name}.", "You close the {o.name}.")
    path = write_game(tmp_path, grammar=grammar)
    engine = NativeEngine()
    engine.start(path, load_game_file(path).sha256)
    for command in ("go to fridge 1", "open fridge 1"):
        engine.act(command)
    with pytest.raises(GameFileError, match=r"'close fridge 1'.*'o'"):
        engine.act("close fridge 1")


def test_task_sentence(tmp_path):
    assert load_game_file(write_game(tmp_path)).task == "put a hot apple in diningtable"
    without = grammar_text().replace("Your task is to: ", "Do this: ")
    with pytest.raises(GameFileError, match="'Your task is to: '"):
        load_game_file(write_game(tmp_path, grammar=without)).task  # noqa: B018
    assert game_data(HEAT)["solvable"]
