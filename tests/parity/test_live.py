"""Both engines side by side, where the original is installed; a small sample of `python -m tests.parity.compare`."""

from hashlib import sha256
from pathlib import Path

import pytest

pytest.importorskip("textworld", reason="the original engine is an optional package")
pytest.importorskip("alfworld", reason="the original engine is an optional package")

from leap_core.envs.alfworld.engine.engines import make_engine
from leap_core.envs.alfworld.environment import AlfworldEnvironment
from leap_core.errors import EnvironmentCrashError, GameFileError, UnplayableGameError
from leap_core.types import Spec
from tests.parity.compare import compare_game
from tests.parity.games import own_dialects
from tests.unit.alfworld_games import write_game

pytestmark = pytest.mark.slow
UNKNOWN_RULES = "(and (exists (?a - agent) (forall (?o - object) (imply (holds ?a ?o) (isHot ?o)))))"
"""A goal with `imply`, which the native engine does not play and the original one does."""


def digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("dialect", own_dialects(), ids=lambda dialect: dialect.name)
def test_both_engines_agree(tmp_path, dialect):
    for index in range(6):
        report = compare_game(index, dialect, 10, tmp_path)
        assert (report.num_steps, report.differences) == (10, [])


def test_a_game_that_the_native_engine_refuses_goes_to_the_original(tmp_path):
    path = write_game(tmp_path, goal=UNKNOWN_RULES)
    with pytest.raises(UnplayableGameError, match="imply"):
        make_engine("native").start(path, digest(path))
    auto, original = make_engine("auto"), make_engine("textworld")
    assert auto.start(path, digest(path)) == original.start(path, digest(path))
    assert auto.facts() == original.facts()
    assert auto.act("go to fridge 1") == original.act("go to fridge 1")
    known = write_game(tmp_path / "known")
    assert auto.start(known, digest(known)) == make_engine("native").start(known, digest(known))


def test_what_the_original_cannot_play(tmp_path):
    engine = make_engine("textworld")
    with pytest.raises(EnvironmentCrashError, match="reset"):
        engine.act("look")
    path = write_game(tmp_path, pddl_problem="(define (problem x)")
    with pytest.raises(UnplayableGameError, match=r"game\.tw-pddl cannot be played by TextWorld"):
        engine.start(path, digest(path))
    with pytest.raises(GameFileError, match="changed after its specs were made"):
        engine.start(path, "0" * 64)


def test_the_step_limit_ends_an_episode_and_wins_nothing(tmp_path):
    """ALFWorld says `done` both at a win and at the limit; `won` tells which, and is what is scored here."""
    path = write_game(tmp_path)
    plan = ["go to cabinet 2", "open cabinet 2", "take apple 2 from cabinet 2", "go to diningtable 1"]
    last = "move apple 2 to diningtable 1"
    for commands, wins in (([*plan, last], True), ([*plan, "look"], False)):
        limited = limited_original(path, len(commands))
        native = AlfworldEnvironment(make_engine("native"), tmp_path)
        native.reset(Spec(id="x", env="alfworld", split="t", instruction="", params=params_of(path)))
        for number, command in enumerate(commands, start=1):
            state, score, done = limited.step(command)
            result = native.step(command)
            assert (result.success, result.score) == (bool(state["won"]), float(score))
            assert result.terminated == state["won"]
            assert done == (state["won"] or number == len(commands))
        assert (done, result.success) == (True, wins)


def limited_original(path, max_steps):
    from textworld import EnvInfos
    from textworld.envs import PddlEnv
    from textworld.envs.wrappers import Limit

    from leap_core.envs.alfworld.engine import textworld_engine

    environment = Limit(textworld_engine.named_as_in_alfworld(PddlEnv(EnvInfos(won=True))), max_steps)
    environment.load(str(path))
    environment.reset()
    return environment


def params_of(path):
    return {"game": path.name, "sha256": digest(path)}
