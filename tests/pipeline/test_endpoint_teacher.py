"""`leap run` with a teacher behind an endpoint: through the whole loop, cut off in the middle, and out of money.

The server is the tests' own and counts: what was answered once is never asked for again.
"""

import json
import os
import signal
import sqlite3
import subprocess
from contextlib import closing, suppress
from pathlib import Path

import pytest
from chat_server import MODEL, ChatServer, reply
from leap_command import QUIET, copy_home, digests, last_json, leap, shared_server, start
from pyarrow import parquet
from scripted_teacher import advice, corrections, well_behaved

from flows.keys import provide_keys
from leap_core.artifacts import ArtifactStore
from leap_core.chat.journal import JOURNAL
from leap_core.config import parse_config
from leap_core.errors import ConfigError
from leap_core.tables import TRAIN_ROWS, read_corrections, read_training_rows

pytestmark = pytest.mark.slow

KEY = "sk-planted-98765432109876543210"
NUM_AT_ONCE = 4


def command(server, home, *settings):
    given = (
        *(
            "correction.teacher=openai",
            "correction.level=100",
            f'correction.params={{"model":"{MODEL}","mode":"step"}}',
        ),
        *(f"execution.teacher.base_url={server.url}", f"execution.teacher.max_concurrency={NUM_AT_ONCE}"),
        *settings,
    )
    sets = [part for setting in given for part in ("--set", setting)]
    return ("run", "smoke", "--json", "--home", home, *QUIET, *sets)


def run(server, home, *settings):
    return leap(*command(server, home, *settings), **shared_server(), OPENAI_API_KEY=KEY)


def num_kept(home):
    """Replies in the journal."""
    with closing(sqlite3.connect(home / "artifacts" / JOURNAL)) as journal:
        return journal.execute("SELECT count(*) FROM replies").fetchone()[0]


def correction_record(home):
    records = ArtifactStore(home / "artifacts").records("correction")
    (record,) = [one for one in records if one.config["teacher"] == "openai"]
    return record


@pytest.fixture(scope="module")
def whole(undisturbed, tmp_path_factory):
    """An undisturbed run with such a teacher: its home, its summary, and how many requests it sent."""
    home = copy_home(undisturbed.home, tmp_path_factory.mktemp("whole") / "home")
    with ChatServer(well_behaved) as server:
        done = run(server, home)
        return home, done, server.num_requests


def test_the_loop_goes_through_with_such_a_teacher(whole):
    home, done, num_requests = whole
    summary = last_json(done)
    states = {stage["stage"]: stage["state"] for stage in summary["stages"] if stage["iteration"] == 1}
    assert states == {
        "rollout": "cached",
        "correction": "computed",
        "dataset": "computed",
        "training": "computed",
        "evaluation": "computed",
    }
    record = correction_record(home)
    assert record.counts["changed"] + record.counts["kept"] == record.counts["steps"] == num_requests
    assert record.metrics["requests_billed"] == record.usage.num_requests == num_requests
    assert record.metrics["billed_usd"] == pytest.approx(record.usage.cost_usd)
    assert record.metrics["leak_rate"] == 0
    corrected = read_corrections(home / "artifacts" / record.ref.id)
    assert {step.reason for one in corrected for step in one.steps} == {
        "I have not looked there yet, so this comes next."
    }


def test_the_key_is_nowhere_and_the_prompts_are_not_kept(whole):
    home, done, _ = whole
    from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL

    database = Path(PREFECT_API_DATABASE_CONNECTION_URL.value().partition("///")[2])
    files = [*home.rglob("*"), *database.parent.glob(f"{database.name}*")]
    told = done.stdout + done.stderr + "".join(map(text_of, files))
    assert "correction-i1" in text_of(database)
    assert "What the agent cannot see" not in told
    assert KEY not in told
    assert MODEL in told
    report = (home / "experiments" / "smoke" / "report.html").read_text()
    assert "Leak rate" in report


def text_of(path):
    if not path.is_file():
        return ""
    if path.suffix == ".parquet":
        return json.dumps(parquet.read_table(path).to_pylist())
    return path.read_bytes().decode("utf-8", "replace")


def cut_off(server, home, how, num_requests):
    """Start a run, and end it when so many requests have reached the server."""
    process = start(*command(server, home), **shared_server(), OPENAI_API_KEY=KEY)
    while server.num_requests < num_requests:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.005)
            raise AssertionError(f"the run ended too early: {process.stderr.read()}")
    os.kill(process.pid, how)
    _, told = process.communicate(timeout=60)
    return told


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_cut_off_pays_for_nothing_twice(whole, undisturbed, tmp_path, how):
    home_of_whole, _, num_needed = whole
    home = copy_home(undisturbed.home, tmp_path / "home")
    with ChatServer(lambda body, n: slow(body, n, 0.1)) as server:
        cut_off(server, home, how, num_needed // 3)
        num_sent, num_paid = server.num_requests, num_kept(home)
        assert num_needed // 3 <= num_sent < num_needed
        if how is signal.SIGINT:
            assert num_paid == num_sent  # what was on its way arrived and was kept
        assert num_sent - NUM_AT_ONCE <= num_paid <= num_sent
        done = run(server, home)
        assert last_json(done)
        assert server.num_requests - num_sent == num_needed - num_paid
        print(f"{how.name}: {num_sent} sent, {num_paid} kept, then {server.num_requests - num_sent} of {num_needed}")
    assert digests(home) == digests(home_of_whole)


def slow(body, n, delay_s):
    answer = well_behaved(body, n)
    answer.delay_s = delay_s
    return answer


def test_a_spent_budget_stops_the_stage_and_a_raised_one_goes_on(whole, undisturbed, tmp_path):
    home_of_whole, _, num_needed = whole
    home = copy_home(undisturbed.home, tmp_path / "home")
    cost = correction_record(home_of_whole).usage.cost_usd
    with ChatServer(well_behaved) as server:
        stopped = run(server, home, f"execution.teacher.budget_usd={cost / 2}")
        assert stopped.returncode == 1
        assert "episodes are done" in stopped.stderr
        assert "Traceback" not in stopped.stderr
        num_sent = server.num_requests
        assert 0 < num_sent < num_needed
        assert num_kept(home) == num_sent
        assert last_json(run(server, home, f"execution.teacher.budget_usd={cost * 5}"))
        assert server.num_requests == num_needed
    assert digests(home) == digests(home_of_whole)
    record = correction_record(home)
    assert record.usage.cost_usd == pytest.approx(cost)
    assert record.metrics["requests_billed"] == num_needed - num_sent


def test_a_wrong_key_is_one_line_without_the_key(undisturbed, tmp_path):
    from chat_server import error

    home = copy_home(undisturbed.home, tmp_path / "home")
    with ChatServer(lambda body, n: error(401, f"Incorrect API key provided: {KEY}.")) as server:
        done = run(server, home)
    assert done.returncode == 1
    assert "refuses every request" in done.stderr
    assert "OPENAI_API_KEY" in done.stderr
    assert "Traceback" not in done.stderr
    assert KEY not in done.stdout + done.stderr + "".join(map(text_of, home.rglob("*")))


def test_a_key_may_be_kept_in_a_prefect_secret(monkeypatch):
    from prefect.blocks.system import Secret

    Secret(value=KEY).save("teacher-key", overwrite=True)
    monkeypatch.setenv("TEACHER_KEY", "")
    endpoint = {"api_key_env": "TEACHER_KEY", "api_key_secret": "teacher-key"}
    provide_keys(parse_config({"execution": {"teacher": endpoint}}))
    assert os.environ["TEACHER_KEY"] == KEY
    with pytest.raises(ConfigError, match="no Secret block 'nobody'"):
        provide_keys(parse_config({"execution": {"teacher": {**endpoint, "api_key_secret": "nobody"}}}))


def test_demonstrations_get_their_reasons_from_a_model(undisturbed, tmp_path):
    """Iteration 0 learns from them; nothing that a prompt shows comes from later in the episode."""
    home = copy_home(undisturbed.home, tmp_path / "home")
    with ChatServer(lambda body, n: reply(json.dumps({"reason": "This may bring me nearer."}))) as server:
        settings = ("demonstrations.annotate_with=gpt-4o-mini", "num_iterations=0", "correction.teacher=oracle")
        url = (f"execution.teacher.base_url={server.url}", *settings)
        sets = [part for setting in url for part in ("--set", setting)]
        done = leap("run", "smoke", "--json", "--home", home, *QUIET, *sets, **shared_server(), OPENAI_API_KEY=KEY)
        summary = last_json(done)
    store = ArtifactStore(home / "artifacts")
    (record,) = store.records("annotation")
    assert record.counts["without_reason"] == 0
    assert record.counts["steps"] == record.metrics["requests_billed"] + record.metrics["replies_from_journal"]
    rows = read_training_rows(store.path(store.resolve(summary["artifacts"][0]["dataset"]["key"])) / TRAIN_ROWS)
    assert {row.completion[0].content.partition("\n")[0] for row in rows} == {"REASON: This may bring me nearer."}


def test_a_teacher_that_fails_nearly_always_fails_the_stage(undisturbed, tmp_path):
    def answer(body, n):
        return reply("no idea") if n % 12 else corrections(advice(body))

    home = copy_home(undisturbed.home, tmp_path / "home")
    with ChatServer(answer) as server:
        done = run(server, home)
    assert done.returncode == 1
    assert "correction.max_reject_share" in done.stderr
