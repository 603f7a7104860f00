"""The GPU check where there is no GPU: what it says then, and all of it at tiny sizes on the CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAY_BE_ZERO = {"largest_difference_of_logits", "success"}
ROLLOUTS = {"2 episodes", "3 episodes", "4 episodes"}


def check(output, *arguments, **more):
    """Run it; return its exit status and its JSON."""
    command = [sys.executable, "-m", "tests.gpu.check", "--output", str(output), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | more, capture_output=True, text=True, timeout=960)
    return done.returncode, json.loads(output.read_text(encoding="utf-8"))


def numbers(value, name=""):
    """Every number in it, with the name under which it stands; not those that may be 0."""
    if isinstance(value, dict):
        return [pair for key, inner in value.items() if key not in MAY_BE_ZERO for pair in numbers(inner, key)]
    if isinstance(value, list):
        return [pair for inner in value for pair in numbers(inner, name)]
    return [(name, value)] if isinstance(value, int | float) and not isinstance(value, bool) else []


@pytest.fixture(scope="module")
def dry_run(tmp_path_factory):
    """The JSON of a whole dry run, which has to go well."""
    status, report = check(tmp_path_factory.mktemp("gpu") / "check.json", "--dry-run", "--minutes", "15")
    errors = {name: part["error"] or part["skipped"] for name, part in report["parts"].items()}
    assert not any(errors.values()), errors
    assert status == 0
    return report


def test_without_a_gpu_it_says_so_and_is_content(tmp_path):
    status, report = check(tmp_path / "check.json", CUDA_VISIBLE_DEVICES="")
    assert status == 0
    assert "no GPU" in report["skipped"]
    assert report["machine"]["gpu"] is None
    assert report["machine"]["packages"]["torch"]
    assert {part["skipped"] for name, part in report["parts"].items() if name != "machine"} == {report["skipped"]}


@pytest.mark.slow
@pytest.mark.server
def test_every_part_has_figures(dry_run):
    figures = {name: part["figures"] for name, part in dry_run["parts"].items()}
    found = numbers(figures)
    assert len(found) > 60
    assert [(name, value) for name, value in found if not value > 0] == []
    assert {name for name in figures["rollout"] if "episodes" in name} == ROLLOUTS
    assert {name for name in figures["plain generate"] if "episodes" in name} == ROLLOUTS
    for part in ("training", "rollout"):
        assert len(figures[part]["profile"]["ops"]) == 15


@pytest.mark.slow
@pytest.mark.server
def test_real_code_is_set_against_the_plain_way(dry_run):
    ratios = dry_run["against_the_plain_way"]
    assert set(ratios) == {"training", *(f"rollout, {count}" for count in ROLLOUTS)}
    assert all(ratio > 0 for ratio in ratios.values())


@pytest.mark.slow
@pytest.mark.server
def test_the_same_device_twice_plays_the_same(dry_run):
    bundled = dry_run["parts"]["agreement"]["figures"]["bundled"]
    assert bundled["same_replies"] is True
    assert bundled["first_difference"] is None
    assert bundled["largest_difference_of_logits"] == 0
    assert bundled["largest_logit"] > 0


@pytest.mark.slow
@pytest.mark.server
def test_seeds_run_to_their_end(dry_run):
    seeds = [value for name, value in dry_run["parts"]["seeds"]["figures"].items() if name.startswith("seed ")]
    assert [seed["state"] for seed in seeds] == ["finished", "finished"]
    for seed in seeds:
        assert {"dev, iteration 0", "test, iteration 0"} <= set(seed["success"])
        assert {"training, iteration 0", "evaluation, iteration 0"} <= set(seed["stage_seconds"])
