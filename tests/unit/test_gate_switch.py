"""The gate without its check for leaks: they are trained on, but marked and counted, and not asked about again."""

from chat_server import ChatServer
from scripted_teacher import advice, corrections
from taught_episode import episode, setup_of

from flows.results.summary import Summary, leak_lines, lines_of
from leap_core.config import EndpointConfig, LeapConfig
from leap_core.gate.kinds import cause_of
from leap_core.gate.realizability import apply_gate
from leap_core.method.correction import correct_episodes
from leap_core.method.dataset import assemble, correction_rows
from leap_core.prompts import load_prompts
from leap_core.teachers.openai import OpenAITeacher
from leap_core.types import Correction, CorrectionStatus, StepCorrection
from tasks.correction import CorrectionCounts

KEPT, CHANGED, REJECTED = CorrectionStatus.KEPT, CorrectionStatus.CHANGED, CorrectionStatus.REJECTED
LEAKING = "The mug 2 must be there."
GIVEN = [
    ("I look.", "look", KEPT),
    (LEAKING, "look", KEPT),
    (LEAKING, "go to cabinet 3", CHANGED),
    (LEAKING, "open cabinet 3", CHANGED),
]


def corrected(check_leaks):
    one = episode()
    steps = tuple(
        StepCorrection(step=index, reason=reason, command=command, status=status)
        for index, (reason, command, status) in enumerate(GIVEN)
    )
    given = Correction(trajectory_id=one.trajectory.id, spec_id="spec-0", teacher="t", level=50, steps=steps)
    return one, apply_gate(given, one.trajectory, one.privileged, check_leaks=check_leaks)


def rows_of(check_leaks):
    one, correction = corrected(check_leaks)
    return correction_rows(one.trajectory, correction, one.privileged, load_prompts("alfworld", "compact"), {})


def test_off_a_leak_keeps_its_status_and_what_is_inadmissible_is_still_rejected():
    _, correction = corrected(check_leaks=False)
    assert [step.status for step in correction.steps] == [KEPT, KEPT, CHANGED, REJECTED]
    assert [cause_of(step.why) for step in correction.steps] == ["", "leak", "leak", "inadmissible"]
    counts = CorrectionCounts.of([correction], 1)
    assert (counts.let_through, counts.rejected, counts.rejected_for) == ({"leak": 2}, 1, {"inadmissible": 1})


def test_on_it_is_rejected_and_nothing_is_let_through():
    _, correction = corrected(check_leaks=True)
    assert [step.status for step in correction.steps] == [KEPT, REJECTED, REJECTED, REJECTED]
    counts = CorrectionCounts.of([correction], 1)
    assert (counts.rejected_for, counts.let_through) == ({"leak": 2, "inadmissible": 1}, {})


def test_what_a_teacher_rejected_itself_stays_rejected():
    one, correction = corrected(check_leaks=True)
    again = apply_gate(correction, one.trajectory, one.privileged, check_leaks=False)
    assert [step.status for step in again.steps] == [KEPT, REJECTED, REJECTED, REJECTED]


def test_rows_are_marked_alike_and_trained_on_only_where_the_check_is_off():
    on, off = rows_of(check_leaks=True), rows_of(check_leaks=False)
    assert [row.leaked for row in on] == [row.leaked for row in off] == [False, True, True, False]
    assert [row.accepted for row in on] == [True, False, False, False]
    assert [row.accepted for row in off] == [True, True, True, False]
    assert [row.step for row in assemble([off], "all", 0.0, 0)] == [0, 1, 2]


def test_why_a_leak_was_found_is_in_no_row_to_train_on():
    for row in assemble([rows_of(check_leaks=False)], "all", 0.0, 0):
        assert "had not seen" not in row.model_dump_json()
        assert not any("mug 2" in message.content for message in row.prompt)


def leaking_at_first(body, n):
    return corrections(advice(body, step4={"reason": LEAKING}) if n == 0 else advice(body))


def asked(path, check_leaks, answer=leaking_at_first):
    with ChatServer(answer) as server:
        setup = setup_of(EndpointConfig(base_url=server.url, max_tries=2), path)
        config = setup.config.with_(check_leaks=check_leaks)
        teacher = OpenAITeacher(type(setup)(**{**vars(setup), "config": config}))
        try:
            (correction,) = correct_episodes(teacher, [episode()], check_leaks=check_leaks)
        finally:
            teacher.close()
        return correction, server.num_requests


def test_a_teacher_is_not_asked_again_about_a_leak_where_the_check_is_off(tmp_path):
    correction, num_requests = asked(tmp_path / "off", check_leaks=False)
    assert num_requests == 1
    assert (correction.steps[3].status, correction.steps[3].reason) == (KEPT, LEAKING)
    assert correction.steps[3].why.startswith("leak")
    correction, num_requests = asked(tmp_path / "on", check_leaks=True)
    assert num_requests == 2
    assert [step.why for step in correction.steps] == [""] * 4


def test_it_is_asked_again_about_everything_else(tmp_path):
    def answer(body, n):
        return corrections(advice(body, step4={"reason": LEAKING, "action": "" if n == 0 else "look"}))

    correction, num_requests = asked(tmp_path, check_leaks=False, answer=answer)
    assert num_requests == 2
    assert correction.steps[3].status is KEPT


def summary_of(check_leaks, leaks):
    return Summary(
        experiment="x", home="/h", iterations=[], best_iteration=0, test=None, test_of_iteration_0=None, stages=[],
        skipped={}, leaks=leaks, report="/h/report.html", artifacts=[], evaluations=[],
        config=LeapConfig.model_validate({"correction": {"check_leaks": check_leaks}}).model_dump(mode="json"),
    )  # fmt: skip


def test_a_run_warns_that_leaks_are_trained_on():
    assert leak_lines(summary_of(True, {})) == []
    (line,) = leak_lines(summary_of(False, {"1": 2, "2": 3}))
    assert line.startswith("leaks are trained on: 5 corrected steps in iteration 1, 2 ")
    assert f"warning: {line}" in lines_of(summary_of(False, {"1": 2, "2": 3}))
    assert leak_lines(summary_of(False, {})), "also where none was found"
    assert leak_lines(summary_of(True, {"1": 2})), "also in corrections of another experiment"
