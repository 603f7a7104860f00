"""The native engine against recorded play of the original: every text, command, fact and win, step by step."""

import json
from hashlib import sha256

import pytest
from transcripts import read_transcripts

from leap_core.envs.alfworld.engine.engines import make_engine
from leap_core.envs.alfworld.world.goals import TASK_TYPES

TRANSCRIPTS = {transcript.name: transcript for transcript in read_transcripts()}


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_plays_as_the_original_does(tmp_path, name):
    transcript, engine = TRANSCRIPTS[name], make_engine("native")
    path = tmp_path / "game.tw-pddl"
    path.write_text(json.dumps(transcript.game), encoding="utf-8")
    digest = sha256(path.read_bytes()).hexdigest()
    for step, expected in enumerate(transcript.turns):
        turn = engine.start(path, digest) if expected.command is None else engine.act(expected.command)
        where = f"step {step}, {expected.command!r}"
        assert turn.text == expected.text, where
        assert turn.admissible == expected.admissible, where
        assert (turn.won, turn.valid) == (expected.won, expected.valid), where
        assert engine.facts() == expected.facts, where


def test_recorded_play_covers_every_task_type_wording_and_kind_of_action():
    turns = [turn for transcript in TRANSCRIPTS.values() for turn in transcript.turns[1:]]
    verbs = {turn.command.split()[0] for turn in turns if turn.valid}
    expected = "go open close take move put clean heat cool use slice examine look inventory help stow rest"
    assert verbs == set(expected.split())
    played = {(transcript.dialect, transcript.task_type) for transcript in TRANSCRIPTS.values()}
    assert {(dialect, kind) for dialect in ("own, move", "own, put", "strange") for kind in TASK_TYPES} <= played
    assert any(turn.won for turn in turns)
    assert sum(not turn.valid for turn in turns) > 100
