"""What only teachers may see: in no observation, prompt, row to train on, model, report, log or page of Prefect's.

Two words that occur nowhere else mark the hidden state of every game, so that they are found wherever it went.
"""

import json
import logging
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
from canary import IN_FACTS, IN_TEXT
from leap_command import SMALL, copy_home, text_in_prefect
from pyarrow import parquet

from flows.leap import leap
from leap_core.envs import ENVIRONMENTS
from leap_core.envs.alfworld.privileged import AlfworldFacts
from leap_core.gate.giveaways import normalise
from leap_core.gate.realizability import leaks
from leap_core.method.tables import TRAIN_ROWS, read_privileged, read_training_rows, read_trajectories, read_turn_rows
from leap_core.store.artifacts import ArtifactStore
from leap_core.teachers import TEACHERS

pytestmark = pytest.mark.slow

READ_BY_TEACHERS_ALONE = {
    "privileged/privileged.parquet:text": {IN_TEXT},
    "privileged/privileged.parquet:facts": {IN_FACTS},
    "correction/rows.parquet:privileged_context": {IN_TEXT},
}


@dataclass(frozen=True, kw_only=True)
class Marked:
    """A run over games with a marked hidden state, and all that it said."""

    home: Path
    said: str

    def directory(self, stage, **fields):
        """That of the one artifact of this stage whose record has these fields."""
        records = ArtifactStore(self.home / "artifacts").records(stage)
        (found,) = [one for one in records if all(getattr(one, name) == fields[name] for name in fields)]
        return self.home / "artifacts" / found.ref.id


def run(home, *more):
    """Run smoke on games with a marked hidden state."""
    said = StringIO()
    handler = logging.StreamHandler(said)
    logging.getLogger().addHandler(handler)
    try:
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(said):
            patch.setitem(ENVIRONMENTS, "alfworld", "canary:MarkedSuite")
            patch.setitem(TEACHERS, "talkative", "canary:TalkativeTeacher")
            leap("smoke", [*SMALL, *more], str(home))
    finally:
        logging.getLogger().removeHandler(handler)
    return Marked(home=home, said=said.getvalue())


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    return run(tmp_path_factory.mktemp("marked"))


def marks_in(text):
    return {mark for mark in (IN_TEXT, IN_FACTS) if mark in text}


def marked_places(home):
    """The marks below a directory, by stage and file, and by column where the file is a table."""
    found = {}
    for path in home.rglob("*"):
        if path.is_file():
            for part, text in parts_of(path):
                if marks := marks_in(text):
                    found.setdefault(f"{path.parent.parent.name}/{path.name}{part}", set()).update(marks)
    return found


def parts_of(path):
    if path.suffix != ".parquet":
        return [("", path.read_bytes().decode("utf-8", "replace"))]
    table = parquet.read_table(path)
    return [(f":{name}", json.dumps(table[name].to_pylist())) for name in table.column_names]


def test_the_hidden_state_is_where_teachers_read_it_and_nowhere_else(marked):
    assert marked_places(marked.home) == READ_BY_TEACHERS_ALONE
    assert "correction-i1        computed" in marked.said
    assert marks_in(marked.said) == set()
    database = text_in_prefect()
    assert "Results of smoke" in database
    assert marks_in(database) == set()


def test_a_teacher_that_gives_it_away_teaches_nobody(marked, tmp_path):
    home = copy_home(marked.home, tmp_path / "home")
    talkative = run(home, "experiment=talkative", "correction.teacher=talkative", "correction.max_reject_share=1")
    rows = read_turn_rows(talkative.directory("correction", experiment="talkative"))
    told = [row for row in rows if marks_in(row.completion)]
    assert {mark for row in told for mark in marks_in(row.completion)} == {IN_TEXT, IN_FACTS}
    assert {(row.accepted, row.leaked) for row in told} == {(False, True)}
    assert any(row.accepted for row in rows)
    assert marked_places(talkative.home) == READ_BY_TEACHERS_ALONE | {
        # For people to look at, as the report is.
        "correction/corrections.parquet:reason": {IN_TEXT, IN_FACTS},
        "correction/corrections.parquet:why": {IN_FACTS},
        "correction/rows.parquet:completion": {IN_TEXT, IN_FACTS},
        "correction/rows.parquet:why": {IN_FACTS},
        "experiments/report.html": {IN_TEXT, IN_FACTS},
    }
    assert marks_in(talkative.said) == marks_in(text_in_prefect()) == set()


def hidden_things(marked):
    """The movable things of every train game, by its spec: at the start, all of them are out of sight."""
    states = read_privileged(marked.directory("privileged"))
    return {state.spec_id: [normalise(thing) for thing in AlfworldFacts.of(state).locations] for state in states}


def test_no_episode_begins_with_a_thing_in_sight(marked):
    hidden = hidden_things(marked)
    for directory in (marked.directory("rollout"), marked.directory("demonstrations")):
        for episode in read_trajectories(directory):
            first = episode.steps[0].observation
            assert leaks("; ".join((first.text, *first.admissible)), "", hidden[episode.spec.id]) == []


def test_what_is_taught_names_no_thing_that_the_prompt_does_not_show(marked):
    hidden, num_named = hidden_things(marked), 0
    for row in read_training_rows(marked.directory("dataset", iteration=1) / TRAIN_ROWS):
        things = hidden[row.episode.partition("/")[2]]
        shown = normalise(" ".join(message.content for message in row.prompt))
        taught = row.completion[0].content
        assert leaks(taught, shown, things) == [], taught
        num_named += len(leaks(taught, "", things))
    assert num_named > 0


def test_with_the_check_off_it_is_trained_on_marked_and_warned_of(marked, tmp_path):
    home = copy_home(marked.home, tmp_path / "home")
    more = ("experiment=unchecked", "correction.teacher=talkative", "correction.check_leaks=false")
    unchecked = run(home, *more, "correction.max_reject_share=1")
    rows = read_turn_rows(unchecked.directory("correction", experiment="unchecked"))
    leaked = [row for row in rows if row.leaked]
    assert leaked
    assert all(row.accepted for row in leaked)
    (record,) = [
        one for one in ArtifactStore(home / "artifacts").records("correction") if one.experiment == "unchecked"
    ]
    assert record.counts["let_through:leak"] == len(leaked)
    assert record.metrics["leak_rate"] == len(leaked) / len(rows)
    places = marked_places(home)
    assert not any(place.endswith(":prompt") for place in places), "what is said of a leak is in no prompt"
    assert places["dataset/train.parquet:completion"]
    warning = f"trained on: {len(leaked):,} corrected steps in iteration 1"
    assert warning in (home / "experiments" / "unchecked" / "report.html").read_text(encoding="utf-8")
    assert marks_in(unchecked.said) == set()
