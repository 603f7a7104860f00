"""The student behind an endpoint: turns asked all at once, constrained where the endpoint can, served by vLLM too."""

import json
import os
import sys

import pytest
from chat_server import ChatServer, error, reply
from corridor import ADMISSIBLE, Corridor, corridors
from student_models import make_small_tiny

from leap_core.config import EndpointConfig, ExecutionConfig, StudentConfig
from leap_core.envs.workers import EnvironmentPool
from leap_core.errors import BudgetError, ConfigError, EndpointError, MissingPackageError, StudentError
from leap_core.method.rollout import RolloutSettings, foresee_turns, play_episodes
from leap_core.prompts import load_prompts
from leap_core.students.openai import OpenAIStudent
from leap_core.students.serving import vllm_arguments
from leap_core.types import StopReason


def open_student(path, url=None, temperature=0.0, model="a-model", budget_tokens=None, **config):
    execution = ExecutionConfig(
        student=EndpointConfig(
            base_url=url or "http://127.0.0.1:9/v1", max_concurrency=8, max_tries=2, budget_tokens=budget_tokens
        ),
        journal=str(path / "journal.sqlite"),
    )
    return OpenAIStudent(model, StudentConfig(kind="openai", **config), execution, temperature)


def play(student, specs, constrain=False):
    settings = RolloutSettings(
        iteration=1, seed=3, max_steps=6, max_consecutive_invalid=3, constrain=constrain, batch_size=8
    )
    try:
        with EnvironmentPool(Corridor, 0) as pool:
            return play_episodes(student, pool, load_prompts("alfworld", "default"), specs, settings)
    finally:
        student.close()


def to_the_right(body, n):
    return reply("REASON: The way out is there.\nACTION: right", delay_s=0.05, prompt_tokens=50, completion_tokens=10)


@pytest.mark.slow
def test_a_long_wait_for_the_endpoint_is_told(tmp_path):
    answers = iter([error(429, retry_after=11)])
    with ChatServer(lambda body, n: next(answers, None) or to_the_right(body, n)) as server:
        told = []
        execution = ExecutionConfig(
            student=EndpointConfig(base_url=server.url), journal=str(tmp_path / "journal.sqlite")
        )
        student = OpenAIStudent("a-model", StudentConfig(kind="openai"), execution, 0.0, told.append)
        play(student, corridors(a=1))
    assert [line.partition(":")[0] for line in told] in (["waiting for 11 s"], ["waiting for 12 s"])


@pytest.mark.slow
def test_a_slow_reply_holds_up_its_own_episode_alone(tmp_path):
    def slow_for_a(body, n):
        at_the_start_of_a = "a: place 0" in body["messages"][-1]["content"]
        return reply("REASON: The way out is there.\nACTION: right", delay_s=1.5 if at_the_start_of_a else 0.0)

    with ChatServer(slow_for_a) as server:
        played = play(open_student(tmp_path, server.url), corridors(a=2, b=4, c=4))
        assert [len(one.steps) for one in played] == [2, 4, 4]
        asked = [one.body["messages"][-1]["content"] for one in server.received]
        assert "a: place 1" in asked[-1], "all others had ended by then"
        assert sum("a: place" in one for one in asked) == 2


def test_a_spent_budget_ends_the_episodes_that_are_under_way(tmp_path):
    with ChatServer(to_the_right) as server:
        student = open_student(tmp_path, server.url, budget_tokens=400)
        with pytest.raises(BudgetError, match=r"execution\.student\.budget"):
            play(student, corridors(a=30, b=30))
        num_bought = server.num_requests
        again = open_student(tmp_path, server.url)
        play(again, corridors(a=2, b=2))
        assert server.num_requests == max(4, num_bought), "what was bought before is not bought again"


def test_any_model_plays_and_is_paid_for_once(tmp_path):
    specs = corridors(a=2, b=3, c=1)
    with ChatServer(to_the_right) as server:
        played = play(open_student(tmp_path, server.url, temperature=0.3), specs)
        assert [one.success for one in played] == [True] * 3
        assert [one.usage.num_requests for one in played] == [2, 3, 1]
        assert played[0].usage.prompt_tokens == 100
        assert played[0].usage.cost_usd is None  # nobody knows what "a-model" costs
        assert (server.num_requests, server.most_active) == (6, 3)
        assert play(open_student(tmp_path, server.url, temperature=0.3), specs) == played
        assert server.num_requests == 6
        seeds = [one.body["seed"] for one in server.received]
        assert len(set(seeds)) == 6
        assert server.received[0].body["model"] == "a-model"


def test_actions_are_constrained_by_schema(tmp_path):
    def answer(body, n):
        schema = body["response_format"]["json_schema"]["schema"]
        assert schema["properties"]["action"]["enum"] == list(ADMISSIBLE)
        return reply(json.dumps({"reason": "That way.", "action": "right"}))

    with ChatServer(answer) as server:
        (played,) = play(open_student(tmp_path, server.url, constrain=True), corridors(a=2), constrain=True)
    assert played.success
    assert played.steps[0].action.reason == "That way."
    assert played.steps[0].reply == "REASON: That way.\nACTION: right"


@pytest.mark.parametrize("constrain", [True, False])
def test_what_is_foreseen_of_a_finished_episode_is_what_was_asked(tmp_path, constrain):
    with ChatServer(to_the_right) as server:
        played = play(open_student(tmp_path, server.url, constrain=constrain), corridors(a=2, b=4), constrain)
    config = StudentConfig(kind="openai", constrain=constrain, max_new_tokens=60)
    settings = RolloutSettings(
        iteration=1, seed=3, max_steps=3, max_consecutive_invalid=3, constrain=constrain, batch_size=8
    )
    prompts = load_prompts("alfworld", "default")
    turns = [turn for one in played for turn in foresee_turns(prompts, one, settings)]
    foreseen = OpenAIStudent.foresee("a-model", config, turns, None)
    assert {one.model for one in foreseen} == {"a-model"}
    assert {one.completion_tokens for one in foreseen} == {60}  # never more than may be
    asked = [one.body for one in server.received if len(one.body["messages"]) <= 2 * settings.max_steps]
    assert len(foreseen) == len(asked) == 5
    assert sorted((one.num_messages, one.num_characters) for one in foreseen) == sorted(map(size_of, asked))


def size_of(body):
    """The messages of a request, and the characters of them and of its schema."""
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
    num_characters = sum(len(message["content"]) for message in body["messages"]) + len(str(schema or ""))
    return len(body["messages"]), num_characters


def test_a_turn_without_a_reply_ends_its_episode_alone(tmp_path):
    def answer(body, n):
        return error(400, "no") if "b: place" in body["messages"][-1]["content"] else to_the_right(body, n)

    with ChatServer(answer) as server:
        played = play(open_student(tmp_path, server.url), corridors(a=1, b=1, c=1))
    assert [one.stop_reason for one in played] == [
        StopReason.TERMINATED,
        StopReason.STUDENT_ERROR,
        StopReason.TERMINATED,
    ]
    assert played[1].score is None


@pytest.mark.parametrize(
    "refusal",
    [
        error(400, "This model's maximum context length is 4096 tokens. However, your prompt contains 5000 tokens."),
        error(400, "too much", code="context_length_exceeded"),
    ],
    ids=["vllm", "openai"],
)
def test_a_prompt_that_the_endpoint_cannot_read_is_a_failed_episode(tmp_path, refusal):
    def answer(body, n):
        return refusal if "b: place" in body["messages"][-1]["content"] else to_the_right(body, n)

    with ChatServer(answer) as server:
        played = play(open_student(tmp_path, server.url), corridors(a=1, b=1))
    assert [(one.stop_reason, one.score, one.error) for one in played] == [
        (StopReason.TERMINATED, 1.0, None),
        (StopReason.CONTEXT_LIMIT, 0.0, None),
    ]


def test_a_limit_on_what_is_written_is_no_failed_episode(tmp_path):
    refusal = error(400, "max_tokens: 99999 > 8192, which is the maximum allowed number of output tokens")
    with ChatServer(lambda body, n: refusal) as server:
        (played,) = play(open_student(tmp_path, server.url), corridors(a=1))
    assert (played.stop_reason, played.score) == (StopReason.STUDENT_ERROR, None)
    assert "max_tokens" in played.error


def test_an_endpoints_prompts_are_not_ours_to_cut(tmp_path):
    with pytest.raises(ConfigError, match="out_of_context"):
        open_student(tmp_path, out_of_context="truncate")


def test_top_p_is_sent_where_it_is_set(tmp_path):
    for top_p, expected in ((1.0, None), (0.9, 0.9)):
        with ChatServer(to_the_right) as server:
            play(open_student(tmp_path / str(top_p), server.url, top_p=top_p), corridors(a=1))
        assert {one.body.get("top_p") for one in server.received} == {expected}


def test_a_wrong_key_ends_everything(tmp_path):
    with ChatServer(lambda body, n: error(401)) as server, pytest.raises(EndpointError, match=r"execution\.student"):
        play(open_student(tmp_path, server.url), corridors(a=1))


def test_without_vllm_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPackageError, match="pip install vllm"):
        open_student(tmp_path, serve="vllm")


VLLM = """#!{python}
import json, os, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
arguments = sys.argv[1:]
open({log!r}, "a").write(json.dumps([os.getpid(), arguments]) + "\\n")
if "fails" in {log!r}:
    sys.exit("CUDA out of memory")
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({{"data": []}})
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        known = arguments[arguments.index("--served-model-name") + 1]
        text = "REASON: on.\\nACTION: right" if body["model"] == known else "wrong model"
        message = {{"role": "assistant", "content": text}}
        self.answer({{"choices": [{{"message": message, "finish_reason": "stop"}}], "model": known}})
    def answer(self, value):
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
HTTPServer(("127.0.0.1", int(arguments[arguments.index("--port") + 1])), Handler).serve_forever()
"""


def install_vllm(folder, log, monkeypatch):
    """A command `vllm` that serves as the real one does, as far as a student can tell."""
    folder.mkdir()
    command = folder / "vllm"
    command.write_text(VLLM.format(python=sys.executable, log=str(log)))
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_weights_are_served_for_as_long_as_the_student_lives(tmp_path, monkeypatch):
    install_vllm(tmp_path / "bin", tmp_path / "log", monkeypatch)
    weights = make_small_tiny(tmp_path / "weights")
    (played,) = play(open_student(tmp_path, model=weights, serve="vllm"), corridors(a=2))
    assert played.success
    pid, arguments = json.loads((tmp_path / "log").read_text())
    assert arguments[:2] == ["serve", str(weights)]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_other_weights_are_another_model_to_the_journal(tmp_path, monkeypatch):
    install_vllm(tmp_path / "bin", tmp_path / "log", monkeypatch)
    for seed in (0, 1, 1):
        weights = make_small_tiny(tmp_path / f"weights-{seed}", seed)
        play(open_student(tmp_path, model=weights, serve="vllm"), corridors(a=1))
    names = [json.loads(line)[1][-1] for line in (tmp_path / "log").read_text().splitlines()]
    assert names[0] != names[1] == names[2]


def test_a_server_that_does_not_start_says_why(tmp_path, monkeypatch):
    install_vllm(tmp_path / "bin", tmp_path / "fails", monkeypatch)
    with pytest.raises(StudentError, match="CUDA out of memory"):
        open_student(tmp_path, model=make_small_tiny(tmp_path / "weights"), serve="vllm")


def test_one_name_for_all_iterations_is_refused_where_weights_are_to_play(tmp_path):
    with pytest.raises(ConfigError, match=r"student\.params\.model"):
        open_student(tmp_path, model=make_small_tiny(tmp_path / "weights"), params={"model": "gpt-4o"})
    open_student(tmp_path, model="anything", params={"model": "a/name/with/slashes"}).close()


def test_an_adapter_is_served_beside_its_base(tmp_path):
    base, adapter = make_small_tiny(tmp_path / "base"), tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    arguments = vllm_arguments(adapter, "name", 1234, "template.jinja")
    assert arguments[0] == str(base)
    assert f"name={adapter}" in arguments
    assert "--enable-lora" in arguments
