"""Rows to train on: what the student is shown and taught, which episodes are taken, and which are held out."""

from collections import Counter

import pytest

from leap_core.method.dataset import assemble, correction_rows, count_left_alone, demonstration_rows
from leap_core.prompts import load_prompts
from leap_core.types import (
    Action,
    Correction,
    CorrectionStatus,
    Message,
    Observation,
    PrivilegedState,
    Spec,
    Step,
    StepCorrection,
    StopReason,
    Trajectory,
    Usage,
)
from tasks.dataset import count_rows

PROMPTS = load_prompts("alfworld", "compact")
KEPT, CHANGED, REJECTED = CorrectionStatus.KEPT, CorrectionStatus.CHANGED, CorrectionStatus.REJECTED


def episode(name="x", iteration=1, num_steps=3):
    """A student goes from place to place."""
    steps = tuple(
        Step(
            index=n,
            observation=Observation(text=f"You are at place {n}.", admissible=("look", f"go to place {n + 1}")),
            action=Action(reason=f"own reason {n}", command=f"go to place {n + 1}"),
            reply=f"REASON: own reason {n}\nACTION: go to place {n + 1}",
        )
        for n in range(num_steps)
    )
    return Trajectory(
        id=f"i{iteration}/{name}", spec=Spec(id=name, env="alfworld", split="train", instruction="out.", group="walk"),
        iteration=iteration, student="student", steps=steps, final_observation="", stop_reason=StopReason.STEP_LIMIT,
        score=0.0, success=False,
    )  # fmt: skip


def correct(trajectory, *statuses, **more):
    """A correction that looks around instead; what is kept is the student's own command."""
    steps = tuple(
        StepCorrection(
            step=step.index,
            reason=f"better reason {step.index}",
            command=step.action.command if status is KEPT else "look",
            status=status,
            why="leak: too much" if status is REJECTED else "",
        )
        for step, status in zip(trajectory.steps, statuses, strict=True)
    )
    given = {"trajectory_id": trajectory.id, "spec_id": trajectory.spec.id, "teacher": "t", "level": 25, "steps": steps}
    return Correction(**given | more)


def rows_of(trajectory, correction):
    privileged = PrivilegedState(spec_id=trajectory.spec.id, text="all of it", source="test")
    return correction_rows(trajectory, correction, privileged, PROMPTS, {"depth": 2})


def corrected(name, iteration, *statuses):
    trajectory = episode(name, iteration, len(statuses))
    return rows_of(trajectory, correct(trajectory, *statuses))


def source(iteration, num_episodes, num_steps=2):
    """The rows of so many corrected episodes of one iteration."""
    return [row for n in range(num_episodes) for row in corrected(f"e{n:02}", iteration, *[CHANGED] * num_steps)]


def names(rows, part=None):
    return list(dict.fromkeys(row.episode for row in rows if part is None or row.part == part))


def test_the_prompt_of_a_correction_shows_the_students_own_history():
    rows = corrected("x", 1, CHANGED, CHANGED, CHANGED)
    assert [row.step for row in rows] == [0, 1, 2]
    told = [message.content for message in rows[2].prompt]
    assert told[1::2] == ["ACTION: go to place 1", "ACTION: go to place 2"]
    assert [f"You are at place {n}." in text for n, text in enumerate(told[::2])] == [True] * 3
    assert not any(word in text for text in told for word in ("reason", "ACTION: look", "all of it"))
    assert rows[2].prompt[: len(rows[1].prompt) - 1] == rows[1].prompt[:-1]
    assert len({row.prompt_sha256 for row in rows}) == 3


def test_a_correction_row_holds_both_replies_and_what_became_of_the_teachers():
    rows = corrected("x", 1, KEPT, CHANGED, REJECTED)
    assert [row.completion for row in rows] == [
        "REASON: better reason 0\nACTION: go to place 1",
        "REASON: better reason 1\nACTION: look",
        "REASON: better reason 2\nACTION: look",
    ]
    assert [row.student_completion for row in rows] == [step.reply for step in episode().steps]
    assert [(row.label, row.accepted, row.leaked) for row in rows] == [
        (True, True, False), (False, True, False), (False, False, True)
    ]  # fmt: skip
    assert (rows[2].why, rows[2].privileged_context) == ("leak: too much", "all of it")
    assert rows[0].admissible == ("look", "go to place 1")
    assert (rows[0].teacher, rows[0].level, rows[0].teacher_params) == ("t", 25, {"depth": 2})
    assert (rows[0].episode, rows[0].spec, rows[0].split, rows[0].group) == ("i1/x", "x", "train", "walk")


@pytest.mark.parametrize(("cost", "of_one"), [(0.6, 0.2), (0.0, 0.0), (None, None)])
def test_the_steps_share_what_the_teacher_spent_and_unknown_is_not_free(cost, of_one):
    usage = Usage(num_requests=1, prompt_tokens=300, completion_tokens=90, cost_usd=cost)
    rows = rows_of(episode(), correct(episode(), CHANGED, KEPT, REJECTED, usage=usage))
    assert [(row.prompt_tokens, row.completion_tokens) for row in rows] == [(100, 30)] * 3
    assert [row.cost_usd for row in rows] == [None if of_one is None else pytest.approx(of_one)] * 3


def test_a_teacher_without_a_reply_gives_no_rows():
    assert rows_of(episode(), correct(episode(num_steps=0), error="no reply")) == []


def test_demonstrations_teach_the_experts_own_replies():
    rows = demonstration_rows([episode("x", 0), episode("y", 0, num_steps=1)], PROMPTS, 100)
    assert [(row.episode, row.step) for row in rows] == [("i0/x", 0), ("i0/x", 1), ("i0/x", 2), ("i0/y", 0)]
    assert [row.completion for row in rows] == [step.reply for step in (*episode().steps, episode().steps[0])]
    assert {(row.label, row.accepted, row.level, row.teacher) for row in rows} == {(True, True, 100, "student")}
    assert {(row.student_completion, row.privileged_context) for row in rows} == {(None, None)}
    assert [len(row.prompt) for row in rows] == [1, 3, 5, 1]


def test_a_training_row_is_the_taught_reply_and_beside_it_the_one_it_replaces():
    rows = assemble([corrected("x", 1, KEPT, CHANGED, REJECTED, CHANGED)], "all", 0.0, 0)
    assert [row.step for row in rows] == [0, 1, 3]
    assert rows[1].completion == (Message(role="assistant", content="REASON: better reason 1\nACTION: look"),)
    own = Message(role="assistant", content="REASON: own reason 1\nACTION: go to place 2")
    assert [row.rejected for row in rows[:2]] == [None, (own,)]
    assert rows[2].prompt == corrected("x", 1, *[CHANGED] * 4)[3].prompt


SOURCES = [source(0, 9), source(1, 4), source(2, 6)]


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [("equal", {0: 4, 1: 4, 2: 4}), ("all", {0: 9, 1: 4, 2: 6}), ("latest", {2: 6})],
)
def test_how_many_episodes_of_each_iteration_are_taken(aggregate, expected):
    rows = assemble(SOURCES, aggregate, 0.2, 0)
    assert Counter(int(name[1]) for name in names(rows)) == expected
    assert Counter(Counter(row.episode for row in rows).values()) == {2: sum(expected.values())}, "whole episodes"


def test_equal_counts_an_episode_only_where_a_step_was_accepted():
    second = source(1, 3) + corrected("wrong", 1, REJECTED, REJECTED)
    rows = assemble([source(0, 9), second], "equal", 0.0, 0)
    assert Counter(int(name[1]) for name in names(rows)) == {0: 3, 1: 3}
    assert "i1/wrong" not in names(rows)


def test_rows_are_by_episode_and_step_and_each_part_of_the_file_has_its_share_of_each_iteration():
    """A batch is cut from rows that stand together: with one iteration's alone, an update would forget the others."""
    rows = assemble(SOURCES, "all", 0.2, 0)
    assert [row.step for row in rows] == [0, 1] * 19
    first = Counter(row.iteration for row in rows[: len(rows) // 2] if row.step == 0)
    assert all(abs(first[number] - size / 2) <= 1 for number, size in enumerate((9, 4, 6)))


@pytest.mark.parametrize(("repeated", "steps"), [(True, [0, 1, 2, 3, 4]), (False, [0, 1, 4])])
def test_the_rounds_of_a_student_that_walks_in_circles_are_taught_once_where_that_is_wanted(repeated, steps):
    seen, taught = ("a", "b", "a", "b", "a"), ("go to b", "go to a", "go to b", "go to a", "go to c")
    walked = episode("x", 1, num_steps=5)
    circle = walked.with_(
        steps=tuple(
            step.with_(observation=Observation(text=f"You are at {place}.", admissible=None))
            for step, place in zip(walked.steps, seen, strict=True)
        )
    )
    given = correct(circle, *[CHANGED] * 5)
    given = given.with_(
        steps=tuple(
            one.with_(reason="So I go on.", command=command) for one, command in zip(given.steps, taught, strict=True)
        )
    )
    hidden = PrivilegedState(spec_id="x", text="", facts={}, source="test")
    source_rows = correction_rows(circle, given, hidden, PROMPTS, {})
    assert [row.step for row in assemble([source_rows], "all", 0.0, 0, repeated_steps=repeated)] == steps


@pytest.mark.parametrize(
    ("fraction", "least", "most"), [(0.0, 0, 0), (0.15, 100, 200), (0.5, 420, 580), (0.9, 840, 999)]
)
def test_a_share_of_specs_is_held_out_and_never_all_of_them(fraction, least, most):
    many = [row for n in range(1000) for row in corrected(f"e{n}", 1, CHANGED)]
    rows = assemble([many], "all", fraction, 0)
    assert least <= len(names(rows, "validation")) <= most
    for seed in range(20):
        assert names(assemble([source(0, 2)], "all", 0.9, seed), "train")


@pytest.mark.parametrize("aggregate", ["equal", "equal-rows", "all", "latest"])
def test_no_spec_is_validated_in_one_iteration_and_trained_on_in_another(aggregate):
    trained, validated = set(), set()
    for number in (1, 2, 3):
        rows = assemble(SOURCES[:number], aggregate, 0.3, 0)
        trained |= {row.episode.partition("/")[2] for row in rows if row.part == "train"}
        validated |= {row.episode.partition("/")[2] for row in rows if row.part == "validation"}
    assert trained
    assert validated
    assert trained.isdisjoint(validated)


def test_equal_rows_takes_as_many_rows_of_each_iteration_in_each_part():
    sources = [source(0, 20, num_steps=5), source(1, 20, num_steps=2), source(2, 20, num_steps=3)]
    rows = assemble(sources, "equal-rows", 0.3, 0)
    counts = Counter((row.part, row.iteration) for row in rows)
    whole = assemble(sources, "all", 0.3, 0)
    in_all = Counter((row.part, row.iteration) for row in whole)
    for part in ("train", "validation"):
        assert {counts[part, number] for number in range(3)} == {in_all[part, 1]}
    assert all(row in whole for row in rows)


def test_steps_that_the_teacher_left_alone_are_rows_only_where_that_is_wanted():
    sources = [demonstration_rows([episode("d", 0)], PROMPTS, 100), corrected("x", 1, KEPT, CHANGED, KEPT, REJECTED)]
    steps = {
        kept: [(row.iteration, row.step) for row in assemble(sources, "all", 0.0, 0, kept_steps=kept)]
        for kept in (True, False)
    }
    demonstrated = [(0, 0), (0, 1), (0, 2)]
    assert steps == {True: [*demonstrated, (1, 0), (1, 1), (1, 2)], False: [*demonstrated, (1, 1)]}
    assert count_left_alone(sources) == 2


def test_the_same_game_of_two_iterations_is_two_episodes():
    """Even where a source gives its episodes the names of another's."""
    renamed = [row.with_(episode=row.episode.replace("i2", "i1")) for row in SOURCES[2]]
    rows = assemble([*SOURCES[:2], renamed], "all", 0.0, 0)
    assert len(rows) == sum(map(len, SOURCES))


@pytest.mark.parametrize("aggregate", ["equal", "all", "latest"])
def test_the_same_choice_whatever_the_order_of_the_episodes(aggregate):
    expected = assemble(SOURCES, aggregate, 0.3, 5)
    assert assemble(SOURCES, aggregate, 0.3, 5) == expected
    backwards = [[row for name in names(rows)[::-1] for row in rows if row.episode == name] for rows in SOURCES]
    assert assemble(backwards, aggregate, 0.3, 5) == expected


def test_the_seed_decides_which_episodes_are_taken_and_held_out():
    taken = {frozenset(names(assemble(SOURCES, "equal", 0.0, seed))) for seed in range(5)}
    held_out = {frozenset(names(assemble(SOURCES, "all", 0.25, seed), "validation")) for seed in range(5)}
    assert len(taken) == len(held_out) == 5


@pytest.mark.parametrize("aggregate", ["equal", "all", "latest"])
@pytest.mark.parametrize("sources", [[], [[]], [source(0, 2), []], [source(0, 2), corrected("x", 1, REJECTED)]])
def test_a_source_without_accepted_rows_gives_none(aggregate, sources):
    rows = assemble(sources, aggregate, 0.2, 0)
    assert {row.iteration for row in rows} == ({0} if aggregate == "all" and len(sources) == 2 else set())


def test_counts_are_by_part_and_by_iteration():
    rows = assemble([source(0, 8), source(1, 2, num_steps=3)], "all", 0.0, 0)
    assert count_rows(rows, 3).flat() == {
        **{"train_rows": 22, "iteration_0_rows": 16, "iteration_1_rows": 6},
        "left_alone_steps": 3,
    }
    counts = count_rows(assemble([source(0, 8)], "all", 0.25, 0), 0)
    assert counts.train_rows + counts.validation_rows == counts.iteration_rows["0"] == 16
