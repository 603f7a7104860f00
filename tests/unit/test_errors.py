"""Errors can be told apart without reading their text."""

import pickle
from importlib import import_module

from leap_core.errors import ArtifactError, LeapError, MissingPackageError, UnknownNameError


def kinds(base=LeapError):
    yield base
    for kind in base.__subclasses__():
        yield from kinds(kind)


def test_each_kind_of_error_has_a_code_of_its_own():
    import_module("leap_core.envs.intercode_bash.sandbox.backends")  # defines one elsewhere
    found = list(kinds())
    assert len(found) > 15
    assert [kind.__name__ for kind in found if "code" not in vars(kind)] == []
    assert len({kind.code for kind in found}) == len(found)


def test_errors_that_are_about_one_thing_name_it():
    assert ArtifactError("It is gone.", item="specs/demo").item == "specs/demo"
    assert ArtifactError("Everything is gone.").item == ""
    assert MissingPackageError("vllm", "Serving", "pip install vllm").item == "vllm"
    assert UnknownNameError("preset", "dem", ["demo"]).item == "dem"


def test_an_error_comes_whole_from_another_process():
    error = pickle.loads(pickle.dumps(ArtifactError("It is gone.", item="specs/demo")))
    assert (str(error), error.item) == ("It is gone.", "specs/demo")
