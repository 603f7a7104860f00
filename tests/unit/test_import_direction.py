"""Imports point one way: flows -> tasks -> leap_core, and inside the core along its layers."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "trl", "transformers", "peft", "datasets", "vllm", "textworld", "prefect"}
LAYERS = [
    {"errors", "text"},
    {"pace"},
    {"types", "registry"},
    {"settings"},
    {"config", "disk", "parts", "prompts"},
    {"store"},
    {"envs"},
    {"gate"},
    {"students", "teachers", "trainers", "chat"},
    {"method", "report"},
    {"loading"},
]


def imports_of(path, top_level_only=False):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def modules(package):
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize(("package", "forbidden"), [("leap_core", {"prefect", "flows", "tasks"}), ("tasks", {"flows"})])
def test_imports_point_down(package, forbidden):
    found = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(package)
        for name in imports_of(path)
        if name.split(".")[0] in forbidden
    }
    assert not found


def test_only_stage_knows_how_prefect_caches():
    found = {str(path.relative_to(ROOT)) for path in modules("tasks") for name in imports_of(path) if "prefect" in name}
    assert found == {"tasks/stage.py"}


def test_layers_of_the_core():
    level = {name: number for number, names in enumerate(LAYERS) for name in names}
    for path in modules("leap_core"):
        own = path.relative_to(ROOT / "leap_core").parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        assert own in level, f"leap_core/{own} is in no layer: add it to LAYERS"
        for name in imports_of(path):
            parts = name.split(".")
            if parts[0] == "leap_core" and len(parts) > 1:
                assert level[parts[1]] <= level[own], f"{path.relative_to(ROOT)} imports {name}, which is above it"


def test_help_imports_nothing_heavy():
    code = "import sys, flows.command.main; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert not HEAVY & set(loaded.split())
