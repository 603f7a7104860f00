"""A student behind a real server of models: `transformers serve` with the bundled tiny student, on this machine."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from transformers.utils.import_utils import is_serve_available

from leap_core.config import EndpointConfig, EnvironmentConfig, ExecutionConfig, StudentConfig
from leap_core.loading import load_suite, open_pool
from leap_core.method.rollout import RolloutSettings, play_episodes
from leap_core.prompts import load_prompts
from leap_core.students.openai import OpenAIStudent
from leap_core.students.weights import BUNDLED_DIRECTORY

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_serve_available(), reason="pip install 'transformers[serving]'"),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """The address of a server that answers."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("serve") / "log"
    home = tmp_path_factory.mktemp("cache")
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(BUNDLED_DIRECTORY)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--device", "cpu", "--port", str(port), "--host", "127.0.0.1"],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"HF_HOME": str(home), "HF_HUB_CACHE": str(home)},
        )
    deadline = time.monotonic() + 240
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=5):
                break
        except OSError:
            time.sleep(0.5)
    yield f"http://127.0.0.1:{port}/v1"
    process.terminate()
    process.wait(30)


def test_a_served_student_plays(url, tmp_path):
    config = EnvironmentConfig(num_train=2, num_dev=0, num_test=0)
    suite = load_suite(config)
    specs = suite.prepare(tmp_path / "specs", "train", 5)
    execution = ExecutionConfig(
        student=EndpointConfig(base_url=url, max_concurrency=2), journal=str(tmp_path / "journal.sqlite")
    )
    student = OpenAIStudent(
        str(BUNDLED_DIRECTORY), StudentConfig(kind="openai", max_new_tokens=64), execution, temperature=0.0
    )
    settings = RolloutSettings(
        iteration=1, seed=3, max_steps=3, max_consecutive_invalid=None, constrain=False, batch_size=2
    )
    try:
        with open_pool(config, tmp_path / "specs", 0) as pool:
            played = play_episodes(student, pool, load_prompts("alfworld", "compact"), specs, settings)
    finally:
        student.close()
    assert [one.error for one in played] == [None, None]
    steps = [step for one in played for step in one.steps]
    assert all(step.reply.startswith("REASON:") for step in steps)
    assert all(step.usage.completion_tokens > 0 for step in steps)
