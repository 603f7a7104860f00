"""Which Prefect server is in force, and what may happen to the database of our own."""

import os
import re
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from flows.prefect_side.server import DATABASE, find_damage, is_answering, set_damaged_aside, wait_until_free
from flows.prefect_side.session import keep_loopback_from_proxies, server_url
from flows.presets import resolve_home
from leap_core.errors import ConfigError, LeapError

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


class _Health(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self):
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *arguments):
        pass


class _Gateway(_Health):
    status = 503


@pytest.fixture(params=[_Health])
def url(request):
    with HTTPServer(("127.0.0.1", 0), request.param) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def database(tmp_path):
    path = tmp_path / DATABASE
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE runs (name TEXT)")
        connection.executemany("INSERT INTO runs VALUES (?)", [("x" * 500,)] * 200)
        connection.commit()
    return path


def test_a_server_here_is_asked_without_the_proxy(monkeypatch, url):
    for name in PROXIES:
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert is_answering(url)


@pytest.mark.parametrize("url", [_Gateway], indirect=True)
def test_a_gateway_that_reaches_nothing_is_no_server(url):
    assert not is_answering(url)


@pytest.mark.parametrize("url", ["nonsense", "http://[::1", "http://127.0.0.1:1/a b"])
def test_what_is_no_address_does_not_answer(url):
    assert not is_answering(url)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "127.0.0.1,localhost,::1"),
        ("example.org, localhost", "example.org,localhost,127.0.0.1,::1"),
        ("*", "*"),
    ],
)
def test_what_the_user_keeps_from_proxies_stays(monkeypatch, before, after):
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", before or "")
    keep_loopback_from_proxies()
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == after


@pytest.mark.parametrize(
    ("active", "expected"), [("here", "http://127.0.0.1:1/api"), ("other", None)], ids=["active", "inactive"]
)
def test_only_the_active_profile_names_a_server(monkeypatch, tmp_path, active, expected):
    profiles = tmp_path / "profiles.toml"
    profiles.write_text(
        f'active = "{active}"\n[profiles.here]\nPREFECT_API_URL = "http://127.0.0.1:1/api"\n[profiles.other]\n'
    )
    monkeypatch.setenv("PREFECT_PROFILES_PATH", str(profiles))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert server_url() == expected


@pytest.mark.slow
def test_a_dead_server_of_a_profile_is_one_line_that_names_the_profile(tmp_path):
    (tmp_path / ".prefect").mkdir()
    (tmp_path / ".prefect" / "profiles.toml").write_text(
        'active = "office"\n[profiles.office]\nPREFECT_API_URL = "http://127.0.0.1:1/api"\n'
    )
    done = _leap(tmp_path)
    assert done.returncode == 1
    (error,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert "http://127.0.0.1:1/api" in error
    assert "'office'" in error
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_settings_that_cannot_be_read_are_an_error(tmp_path):
    (tmp_path / ".prefect").mkdir()
    (tmp_path / ".prefect" / "profiles.toml").write_text("active = ")
    done = _leap(tmp_path)
    assert done.returncode == 1
    assert [line.startswith("error: ") for line in done.stderr.splitlines()].count(True) == 1
    assert "Traceback" not in done.stderr


def _leap(directory):
    """`leap run smoke` of a user whose own home is `directory`."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return subprocess.run(
        [sys.executable, "-m", "flows", "run", "smoke", "--home", str(directory / "data")],
        cwd=directory,
        env={**own, "HOME": str(directory), "PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_a_whole_database_stays_even_while_it_is_locked(database):
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert find_damage(database, patience_s=0.1) is None
    set_damaged_aside(database.parent, lambda line: pytest.fail(line))
    assert database.is_file()


@pytest.mark.parametrize("damage", ["no database", "torn"])
def test_a_damaged_database_is_kept_aside_and_said(database, damage):
    whole = database.read_bytes()
    bytes_now = b"nonsense" * 500 if damage == "no database" else whole[:4096] + b"\xff" * (len(whole) - 4096)
    database.write_bytes(bytes_now)
    said = []
    set_damaged_aside(database.parent, said.append)
    (kept,) = database.parent.glob(f"damaged-*/{DATABASE}")
    assert kept.read_bytes() == bytes_now
    assert not database.exists()
    assert str(kept.parent) in said[0]


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_what_is_not_there_or_empty_is_not_damaged(tmp_path, name):
    if name == "empty":
        (tmp_path / name).touch()
    assert find_damage(tmp_path / name) is None


@pytest.mark.slow
def test_a_lock_that_does_not_end_is_an_error_that_names_the_database(database):
    said = []
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LeapError, match=re.escape(str(database))):
            wait_until_free(database, said.append, timeout_s=0.1)
    assert len(said) == 1
    assert str(database) in said[0]
    wait_until_free(database, said.append)
    assert len(said) == 1


@pytest.mark.parametrize("name", ["a\0b", "a\nb", "a\x1b[31mb", "a\u202eb", "x" * 5000, "~nobody-of-this-name/x"])
def test_a_name_that_no_directory_can_have_is_no_home(name):
    with pytest.raises(ConfigError):
        resolve_home(name)


def test_a_link_to_nothing_is_no_home(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(ConfigError, match="link"):
        resolve_home(tmp_path / "link")
