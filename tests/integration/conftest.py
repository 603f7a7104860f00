"""Copies of a small file system for the tests of InterCode Bash's sandboxes."""

import pytest
from intercode_sandboxes import BORN, SMALL, run, sleepers

from leap_core.envs.intercode_bash.sandbox.bubblewrap import BubblewrapBackend


@pytest.fixture(scope="session")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("archives") / "small.tar"
    BubblewrapBackend({}).build(SMALL, path)
    return path


@pytest.fixture
def sandbox(archive):
    """A fresh copy. After each test nothing may run on, and the next copy has to be clean."""
    backend = BubblewrapBackend({})
    copy = backend.open("small", archive, BORN)
    yield copy
    assert not sleepers()
    copy.close()
    fresh = backend.open("small", archive, BORN)
    assert fresh.changes(10) == ""
    assert run(fresh, "cat /yard/a.txt; ls /yard").output == b"one\na.txt\nold.txt\nsub\n"
    fresh.close()
