"""The guard that makes the whole suite an offline test."""

import os
import socket

import pytest


def test_a_connection_to_another_machine_is_refused():
    with socket.socket() as client, pytest.raises(RuntimeError, match=r"192\.0\.2\.1"):
        client.connect(("192.0.2.1", 80))


def test_a_name_that_needs_a_look_up_is_refused():
    with socket.socket() as client, pytest.raises(RuntimeError, match="example"):
        client.connect_ex(("example.org", 443))


def test_this_machine_is_allowed():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        server.accept()[0].close()


def test_prefect_is_kept_away_from_the_home_of_the_developer():
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    assert str(settings.home) == os.environ["PREFECT_HOME"]
    assert str(settings.results.local_storage_path).startswith(str(settings.home))
