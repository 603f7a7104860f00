"""What the package declares: every third-party import is a dependency, and every dependency is needed."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("flows", "tasks", "leap_core")
NOT_IMPORTED = {
    "accelerate": "transformers' Trainer does not start without it",
    "fastapi": "later releases break Prefect",
    "sqlalchemy": "later releases break Prefect",
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def names_of(requirements):
    return {normal(re.match(r"[\w.-]+", requirement)[0]) for requirement in requirements}


def imported(package):
    """Names of the distributions that a package imports, anywhere in it; of typing-only imports, too."""
    found = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    known = packages_distributions()
    third_party = found - sys.stdlib_module_names - {*PACKAGES, "tests"}
    return {normal(known.get(name, [name])[0]) for name in third_party}


@pytest.mark.slow
def test_every_import_is_declared():
    declared = names_of(PROJECT["dependencies"])
    optional = names_of(each for extra in ("alfworld", "webshop") for each in PROJECT["optional-dependencies"][extra])
    assert set().union(*map(imported, PACKAGES)) <= declared | optional


@pytest.mark.slow
def test_every_dependency_is_needed():
    declared = names_of(PROJECT["dependencies"])
    assert declared - set().union(*map(imported, PACKAGES)) == set(NOT_IMPORTED)


def test_every_package_is_typed():
    assert all((ROOT / package / "py.typed").is_file() for package in PACKAGES)
