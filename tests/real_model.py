"""The real language model of the preset `laptop`, for the tests that need one: made once for all of them."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from leap_core.students.smollm2 import MODELS, SMOLLM2, find_gguf, place_model

IS_INSTALLED = find_gguf() is not None and find_spec("gguf") is not None
needs_real_model = pytest.mark.skipif(not IS_INSTALLED, reason="the real model is not installed: `make laptop-model`")


def make_real_model(tmp_path_factory):
    """The model's directory, the same one for all processes of tests that run side by side."""
    base = tmp_path_factory.getbasetemp()
    return Path(place_model(SMOLLM2, base.parent if "PYTEST_XDIST_WORKER" in os.environ else base))


def give_real_model(model, home):
    """Put the model into another home, as if it had been made there."""
    there = home / MODELS / SMOLLM2
    there.mkdir(parents=True)
    for path in model.iterdir():
        (there / path.name).hardlink_to(path)
    return home
