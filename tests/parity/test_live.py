"""Both engines side by side, where the original is installed; a small sample of `python -m tests.parity.compare`."""

from hashlib import sha256
from pathlib import Path

import pytest

pytest.importorskip("textworld", reason="the original engine is an optional package")
pytest.importorskip("alfworld", reason="the original engine is an optional package")

from leap_core.envs.alfworld.engine import make_engine
from leap_core.errors import EnvironmentCrashError, GameFileError, UnplayableGameError
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
