"""The wheel: complete, and of use far from the checkout. Built without a network, from a copy of the sources."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("flows", "tasks", "leap_core")
pytestmark = pytest.mark.slow


def pip(*arguments):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments), "--no-deps"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel of a copy: a build leaves folders behind, and an old one's must not get into this one."""
    sources, built = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("built")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, sources / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    pip("wheel", sources, "--wheel-dir", built, "--no-build-isolation")
    return next(built.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder with nothing but the package, inside a repository of somebody else's."""
    repository = tmp_path_factory.mktemp("theirs")
    git = ("git", "-c", "user.name=me", "-c", "user.email=me@localhost")
    subprocess.run([*git, "init", "--quiet", repository], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message=theirs"], cwd=repository, check=True)
    pip("install", wheel, "--target", repository / "site")
    return repository / "site"


def run(installed, *command, cwd):
    own = {name: value for name, value in os.environ.items() if name != "LEAP_HOME"} | {"PYTHONPATH": str(installed)}
    return subprocess.run([*map(str, command)], cwd=cwd, env=own, capture_output=True, text=True, timeout=120)


def test_holds_every_file_of_the_packages(wheel):
    there = {path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()}
    files = {path.relative_to(ROOT).as_posix() for path in there if "__pycache__" not in path.parts}
    # Of each kind one, so that the comparison below cannot be of little with little.
    kinds = {Path(name).suffix or Path(name).name for name in files}
    assert kinds >= {".py", ".jinja", ".json", ".toml", ".safetensors", ".sh", ".css", ".js", ".pddl", "gitignore"}
    assert {"leap_core/students/bundled/model.safetensors", "flows/presets/demo.toml"} <= files
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert in_wheel == files


def test_the_command_starts_outside_the_checkout(installed, tmp_path):
    done = run(installed, sys.executable, installed / "bin" / "leap", "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "leap run demo" in done.stdout


def test_presets_and_the_bundled_student_are_found(installed, tmp_path):
    done = run(installed, sys.executable, "-m", "flows", "plan", "demo", "--home", tmp_path / "home", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "evaluation-i4-dev" in done.stdout


def test_the_revision_is_not_that_of_the_repository_around_it(installed, tmp_path):
    code = "import leap_core.store.provenance as it; print(it.__file__, it.git_revision())"
    done = run(installed, sys.executable, "-c", code, cwd=tmp_path)
    assert done.stdout.split() == [str(installed / "leap_core" / "store" / "provenance.py"), "None"]
