"""Serving a model for the length of a stage: `vllm serve` on this machine, stopped at the end.

An adapter is served beside its base, under a name that is made from its files: so a reply in the journal belongs to
exactly these weights.
"""

import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from typing import IO

from leap_core.config import ExecutionConfig
from leap_core.errors import MissingPackageError, StudentError
from leap_core.students.encoding import load_tokenizer
from leap_core.students.loading import base_of_adapter, is_adapter
from leap_core.students.weights import fingerprint_model
from leap_core.text.shown import shown_lines

_START_TIMEOUT_S, _STOP_TIMEOUT_S, _POLL_S = 1800.0, 30.0, 0.2
_MOST_SHOWN = 1500


@contextmanager
def serve(kind: str, path: Path | str, execution: ExecutionConfig) -> Iterator[tuple[str, str]]:
    """Serve the model at `path` until the `with` block ends; give the base URL, and the model's name there.

    Raises:
        MissingPackageError: vLLM is not installed.
        StudentError: the server ended, or did not answer in time.
    """
    if shutil.which(kind) is None:
        advice = (
            "pip install vllm (it needs a GPU). Or serve the model yourself, leave student.serve out, and set "
            "execution.student.base_url."
        )
        raise MissingPackageError(kind, f"student.serve = {kind!r}", advice)
    port = _free_port()
    name = f"leap-{_fingerprint(path, execution)[:16]}"
    with TemporaryFile() as output, NamedTemporaryFile("w", suffix=".jinja", encoding="utf-8") as template:
        template.write(load_tokenizer(path).chat_template)
        template.flush()
        process = subprocess.Popen(
            [kind, "serve", *vllm_arguments(path, name, port, template.name)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_until_ready(process, port, output)
            yield f"http://127.0.0.1:{port}/v1", name
        finally:
            _stop(process)


def vllm_arguments(path: Path | str, name: str, port: int, template: str) -> list[str]:
    """What `vllm serve` is told: the model under `name`, or an adapter under `name` beside its base.

    It renders messages by the file `template`, and samples as we say, not as the model's generation_config.json does.
    """
    given = ["--host", "127.0.0.1", "--port", str(port), "--chat-template", template, "--generation-config", "vllm"]
    if is_adapter(path):
        return [
            *(str(base_of_adapter(path)), *given, "--enable-lora", "--max-lora-rank", "256"),
            *("--served-model-name", f"{name}-base", "--lora-modules", f"{name}={path}"),
        ]
    return [str(path), *given, "--served-model-name", name]


def _fingerprint(path: Path | str, execution: ExecutionConfig) -> str:
    assert execution.journal is not None
    return fingerprint_model(str(path), Path(execution.journal).parent).removeprefix("hub:").replace("/", "-")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int, output: IO[bytes]) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    here = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy knows our own ports
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise StudentError(f"`vllm serve` ended with code {process.returncode}: {_tail(output)}")
        try:
            with here.open(f"http://127.0.0.1:{port}/v1/models", timeout=5):
                return
        except OSError:
            time.sleep(_POLL_S)
    raise StudentError(f"`vllm serve` did not answer within {_START_TIMEOUT_S:.0f} s: {_tail(output)}")


def _tail(output: IO[bytes]) -> str:
    output.seek(0)
    return shown_lines(output.read().decode("utf-8", "replace").strip()[-_MOST_SHOWN:]) or "it said nothing"


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
