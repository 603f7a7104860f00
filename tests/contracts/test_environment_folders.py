"""Every environment is one folder of one shape, and nothing outside it but the registry and presets names it."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

from leap_core.config import load_config
from leap_core.envs import ENVIRONMENTS
from leap_core.envs.base import EnvironmentParams, find_suite
from leap_core.prompts import prompts_folder

ROOT = Path(__file__).parents[2]
FOLDERS = ROOT / "leap_core" / "envs"
MODULES = ("suite", "params", "environment", "privileged", "sight", "oracle", "doctor")
FILES = {"__init__.py", "defaults.toml", *(f"{module}.py" for module in MODULES)}
TEMPLATES = {
    "student": {"system.jinja", "first.jinja", "turn.jinja"},
    "teacher": {"system.jinja"},
    "judge": {"about.jinja"},
}
NAMED_ELSEWHERE = {
    ("leap_core/envs/__init__.py", None),  # the registry
    ("leap_core/config.py", "alfworld"),  # the default of environment.name
    ("leap_core/store/provenance.py", "alfworld"),  # the package of that name
}


def files_in(folder):
    return {path.name for path in folder.iterdir() if path.is_file()}


def test_each_folder_is_registered_by_its_name():
    assert {path.parent.name for path in FOLDERS.glob("*/suite.py")} == set(ENVIRONMENTS)
    for name, where in ENVIRONMENTS.items():
        assert where.startswith(f"leap_core.envs.{name}.suite:")


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_folder_has_these_files_and_keeps_others_in_folders_of_their_own(name):
    assert files_in(FOLDERS / name) == FILES


@pytest.mark.parametrize("role", TEMPLATES)
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_folder_has_prompts_for_each_role(name, role):
    sets = {path.name: files_in(path) for path in prompts_folder(name, role).iterdir()}
    assert "default" in sets
    assert all(templates >= TEMPLATES[role] for templates in sets.values())


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_settings_are_typed_described_and_have_defaults(name):
    module = import_module(f"leap_core.envs.{name}.params")
    (kind,) = (
        kind for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, EnvironmentParams) and kind is not EnvironmentParams
    )  # fmt: skip
    assert all(field.description and not field.is_required() for field in kind.model_fields.values())
    assert callable(import_module(f"leap_core.envs.{name}.doctor").examine)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_experiment_that_sets_nothing_but_the_environment_is_whole(name, tmp_path):
    preset = tmp_path / "preset.toml"
    preset.write_text(f'environment = {{ name = "{name}" }}\n')
    config = load_config(preset)
    assert config.demonstrations.level in find_suite(name)(config.environment).oracle().levels
    assert config.correction.level in find_suite(name)(config.environment).oracle().levels


def names_in(path):
    """All names, imports and texts of a module but docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            yield str(node.value)
        yield from (str(getattr(node, field, "")) for field in ("id", "attr", "arg", "name", "module"))


@pytest.mark.parametrize("package", ["flows", "tasks", "leap_core"])
def test_nothing_else_names_an_environment(package):
    words = {word for name in ENVIRONMENTS for word in (name, name.partition("_")[0])}
    pattern = re.compile(rf"(?<![a-z])({'|'.join(words)})", re.IGNORECASE)
    folders = [FOLDERS / name for name in ENVIRONMENTS]
    found = {
        (path.relative_to(ROOT).as_posix(), text)
        for path in (ROOT / package).rglob("*.py")
        if not any(folder in path.parents for folder in folders)
        for text in names_in(path)
        if pattern.search(text)
    }
    assert not {(path, text) for path, text in found if not NAMED_ELSEWHERE & {(path, None), (path, text)}}
