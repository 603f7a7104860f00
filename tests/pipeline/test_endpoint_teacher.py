"""`leap run` with a teacher behind an endpoint: through the whole loop, cut off in the middle, and out of money.

The server is the tests' own and counts: what was answered once is never asked for again.
"""

import json
import logging
import os
import signal
import sqlite3
import subprocess
from contextlib import closing, contextmanager, suppress
from io import StringIO

import pytest
from chat_server import MODEL, ChatServer, error, reply
from leap_command import (
    HERE,
    copy_home,
    digests,
    last_json,
    leap_here,
    shared_server,
    start,
    text_in_prefect,
    text_of,
)
from scripted_teacher import advice, corrections, well_behaved

from flows.prefect_side.secrets import provide_keys
from leap_core.chat.journal import JOURNAL
from leap_core.config import parse_config
from leap_core.errors import ConfigError
from leap_core.method.tables import TRAIN_ROWS, read_corrections, read_training_rows
from leap_core.store.artifacts import ArtifactStore

pytestmark = pytest.mark.slow

KEY = "sk-planted-98765432109876543210"
NUM_AT_ONCE = 4


def settings_for(server, *more):
    params = {"model": MODEL, "mode": "step"}
    return (
        *HERE,
        *("correction.teacher=openai", "correction.level=100", f"correction.params={json.dumps(params)}"),
        *(f"execution.teacher.base_url={server.url}", f"execution.teacher.max_concurrency={NUM_AT_ONCE}"),
        *more,
    )


def run(server, home, *more, **environment):
    command = ("run", "smoke", "--json", "--home", home)
    return leap_here(*command, settings=settings_for(server, *more), **{"OPENAI_API_KEY": KEY} | environment)


def num_kept(home):
    """Replies in the journal."""
    with closing(sqlite3.connect(home / "artifacts" / JOURNAL)) as journal:
        return journal.execute("SELECT count(*) FROM replies").fetchone()[0]


def correction_record(home):
    (record,) = ArtifactStore(home / "artifacts").records("correction")
    return record


@pytest.fixture(scope="module")
def whole(undisturbed, tmp_path_factory):
    """An undisturbed run with such a teacher: its home, how it ended, and how many requests it sent."""
    home = copy_home(undisturbed.home, tmp_path_factory.mktemp("whole") / "home", without=("correction", "*-i1-*"))
    with ChatServer(well_behaved) as server:
        done = run(server, home)
        return home, done, server.num_requests


@pytest.fixture
def before(whole, tmp_path):
    """A home with all that stands before the correction, and what follows from the same corrections."""
    return copy_home(whole[0], tmp_path / "home", without=("correction", ".journal"))


def test_the_loop_goes_through_with_such_a_teacher(whole):
    home, done, num_requests = whole
    summary = last_json(done)
    states = {stage["stage"]: stage["state"] for stage in summary["stages"] if stage["iteration"] == 1}
    assert list(states) == ["rollout", "correction", "dataset", "training", "evaluation"]
    assert set(states.values()) == {"computed"}
    record = correction_record(home)
    assert record.counts["changed"] + record.counts["kept"] == record.counts["steps"] == num_requests
    assert record.metrics["requests_billed"] == record.usage.num_requests == num_requests
    assert record.metrics["billed_usd"] == pytest.approx(record.usage.cost_usd)
    assert record.metrics["leak_rate"] == 0
    billed = f"${record.metrics['billed_usd']:.4f} and {record.metrics['billed_tokens']:,} tokens"
    assert done.stdout.splitlines()[-2] == f"Paid in this run: {billed} for {num_requests} replies."
    corrected = read_corrections(home / "artifacts" / record.ref.id)
    reason = "I have not looked there yet, so this comes next."
    assert {step.reason for one in corrected for step in one.steps} == {reason}
    rows = read_training_rows(home / "artifacts" / dataset_of_iteration_1(home).ref.id / TRAIN_ROWS)
    assert any(row.completion[0].content.startswith(f"REASON: {reason}") for row in rows)
    assert "Leak rate" in (home / "experiments" / "smoke" / "report.html").read_text()


def dataset_of_iteration_1(home):
    (record,) = [one for one in ArtifactStore(home / "artifacts").records("dataset") if one.iteration == 1]
    return record


def test_the_key_is_nowhere_and_the_prompts_are_not_kept(whole):
    home, done, _ = whole
    prefect = text_in_prefect()
    told = done.stdout + done.stderr + prefect + "".join(map(text_of, home.rglob("*")))
    assert "correction-i1" in prefect
    assert MODEL in told
    assert KEY not in told
    assert "What the agent cannot see" not in told


@contextmanager
def most_talkative():
    """All that anything logs at the lowest level, the packages that were told to be quiet as well."""
    said, root = StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(said), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield said
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


ECHOES = {
    "a wrong key": lambda body, n: error(401, f"Incorrect API key provided: {KEY}."),
    "bad requests": lambda body, n: error(400, f"cannot parse {json.dumps(body)} with {KEY}"),
    "a server that is down": lambda body, n: error(500, f"{KEY}: {json.dumps(body)}"),
    "replies that quote it all": lambda body, n: reply(f"{KEY} may not read {json.dumps(body)}"),
}


@pytest.mark.parametrize("name", ECHOES)
def test_what_goes_wrong_tells_neither_key_nor_hidden_state(before, name):
    """The endpoint echoes the key and the whole prompt in each of its answers, and everything logs all it can."""
    with ChatServer(ECHOES[name]) as server, most_talkative() as said:
        more = ("execution.teacher.max_tries=2", "correction.max_error_share=0.5")
        done = run(server, before, *more, PREFECT_LOGGING_LEVEL="DEBUG", OPENAI_LOG="debug")
        assert server.num_requests > 0
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    told = done.stdout + done.stderr + said.getvalue() + text_in_prefect()
    assert "correction-i1" in told
    kept = "".join(map(text_of, before.rglob("*")))
    assert KEY not in told + kept
    assert "What the agent cannot see" not in told
    if name == "a wrong key":
        assert "OPENAI_API_KEY" in done.stderr


def cut_off(server, home, how, num_requests):
    """Start a run, and end it when so many requests have reached the server."""
    sets = [part for setting in settings_for(server) for part in ("--set", setting)]
    process = start("run", "smoke", "--home", home, *sets, **shared_server(), OPENAI_API_KEY=KEY)
    while server.num_requests < num_requests:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.005)
            raise AssertionError(f"the run ended too early: {process.stderr.read()}")
    os.kill(process.pid, how)
    _, told = process.communicate(timeout=60)
    if how is signal.SIGINT:
        assert process.returncode == 130
        assert "goes on from here" in told


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_cut_off_pays_for_nothing_twice(whole, before, how):
    home_of_whole, _, num_needed = whole
    with ChatServer(lambda body, n: slow(body, n, 0.2)) as server:
        cut_off(server, before, how, num_needed // 3)
        num_sent, num_paid = server.num_requests, num_kept(before)
        assert num_needed // 3 <= num_sent < num_needed
        if how is signal.SIGINT:
            assert num_paid == num_sent  # what was on its way arrived and was kept
        assert num_sent - NUM_AT_ONCE <= num_paid <= num_sent
        server.answer = well_behaved
        assert last_json(run(server, before))
        assert server.num_requests - num_sent == num_needed - num_paid
        print(f"{how.name}: {num_sent} sent, {num_paid} kept, then {server.num_requests - num_sent} of {num_needed}")
    assert digests(before) == digests(home_of_whole)


def slow(body, n, delay_s):
    answer = well_behaved(body, n)
    answer.delay_s = delay_s
    return answer


def test_a_spent_budget_stops_the_stage_and_a_raised_one_goes_on(whole, before):
    home_of_whole, _, num_needed = whole
    cost = correction_record(home_of_whole).usage.cost_usd
    with ChatServer(well_behaved) as server:
        stopped = run(server, before, f"execution.teacher.budget_usd={cost / 2}")
        assert stopped.returncode == 1
        assert "episodes are done" in stopped.stderr
        num_sent = server.num_requests
        assert 0 < num_sent < num_needed
        assert num_kept(before) == num_sent
        went_on = run(server, before, f"execution.teacher.budget_usd={cost * 5}")
        assert last_json(went_on)
        assert server.num_requests == num_needed
    assert digests(before) == digests(home_of_whole)
    record = correction_record(before)
    assert record.usage.cost_usd == pytest.approx(cost)
    assert record.metrics["requests_billed"] == num_needed - num_sent
    assert f"Paid in this run: ${record.metrics['billed_usd']:.4f} and " in went_on.stdout
    assert f" tokens for {num_needed - num_sent} replies." in went_on.stdout


def test_a_key_may_be_kept_in_a_prefect_secret(monkeypatch):
    from prefect.blocks.system import Secret

    Secret(value=KEY).save("teacher-key", overwrite=True)
    monkeypatch.setenv("TEACHER_KEY", "")
    endpoint = {"api_key_env": "TEACHER_KEY", "api_key_secret": "teacher-key"}
    provide_keys(parse_config({"execution": {"teacher": endpoint}}))
    assert os.environ["TEACHER_KEY"] == KEY
    with pytest.raises(ConfigError, match="'nobody'"):
        provide_keys(parse_config({"execution": {"teacher": {**endpoint, "api_key_secret": "nobody"}}}))


def test_demonstrations_get_their_reasons_from_a_model(before):
    """Iteration 0 learns from them; nothing that a prompt shows comes from later in the episode."""
    more = ("demonstrations.annotate_with=gpt-4o-mini", "num_iterations=0", "correction.teacher=oracle")
    with ChatServer(lambda body, n: reply(json.dumps({"reason": "This may bring me nearer."}))) as server:
        summary = last_json(run(server, before, *more, "correction.params={}"))
    store = ArtifactStore(before / "artifacts")
    (record,) = store.records("annotation")
    assert record.counts["without_reason"] == 0
    assert record.counts["steps"] == record.metrics["requests_billed"] + record.metrics["replies_from_journal"]
    rows = read_training_rows(store.path(store.resolve(summary["artifacts"][0]["dataset"]["key"])) / TRAIN_ROWS)
    assert {row.completion[0].content.partition("\n")[0] for row in rows} == {"REASON: This may bring me nearer."}


def test_a_teacher_that_fails_nearly_always_fails_the_stage(before):
    def answer(body, n):
        return reply("no idea") if n % 12 else corrections(advice(body))

    with ChatServer(answer) as server:
        done = run(server, before)
    assert done.returncode == 1
    assert "correction.max_reject_share" in done.stderr
