"""The pool of environments: whatever an environment does, the caller gets an answer for each request, in order."""

import os
import re
import signal
import time
from functools import partial

import pytest

from leap_core.envs.base import StepResult
from leap_core.envs.workers import EnvironmentFailure, EnvironmentPool
from leap_core.types import Observation, Spec


class Counter:
    """Counts commands; some commands do harm."""

    def __init__(self):
        self.num_steps = 0

    def reset(self, spec):
        if spec.instruction == "refuse":
            raise ValueError("not this one")
        self.spec, self.num_steps = spec, 0
        return Observation(text=f"{spec.id}: 0")

    def step(self, command):
        if command == "raise":
            raise RuntimeError("out of order")
        if command == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if command == "hang":
            time.sleep(600)
        self.num_steps += 1
        text = f"{self.spec.id}: {self.num_steps} {command}"
        if command == "who":
            text = str(os.getpid())
        return StepResult(observation=Observation(text=text), terminated=False, score=0.0, success=False)

    def close(self):
        if self.num_steps > 2:
            raise RuntimeError("does not want to end")


def spec_of(slot, instruction="count"):
    return Spec(id=slot, env="counter", split="train", instruction=instruction)


def texts(results):
    return [result.text if isinstance(result, EnvironmentFailure) else result.observation.text for result in results]


def start(pool, slots):
    return [observation.text for observation in pool.reset_many([(slot, spec_of(slot)) for slot in slots])]


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_results_are_in_order_whatever_the_number_of_workers(num_workers):
    slots = ["a", "b", "c", "d", "e"]
    with EnvironmentPool(Counter, num_workers) as pool:
        assert start(pool, slots) == [f"{slot}: 0" for slot in slots]
        assert texts(pool.step_many([(slot, "x") for slot in reversed(slots)])) == [f"{s}: 1 x" for s in slots[::-1]]
        assert start(pool, ["b"]) == ["b: 0"]
        pool.close_slots(["a", "never started"])
        results = pool.step_many([("b", "y"), ("a", "y"), ("c", "y"), ("never started", "y")])
        assert texts(results)[::2] == ["b: 1 y", "c: 2 y"]
        assert all(isinstance(result, EnvironmentFailure) for result in results[1::2])
        assert pool.step_many([]) == []


@pytest.mark.parametrize("num_workers", [0, 2])
def test_exception_fails_one_episode(num_workers):
    with EnvironmentPool(Counter, num_workers) as pool:
        first = pool.reset_many([("a", spec_of("a", "refuse")), ("b", spec_of("b")), ("c", spec_of("c"))])
        assert first[0] == EnvironmentFailure(slot="a", text="ValueError: not this one")
        assert first[1].text == "b: 0"
        results = pool.step_many([("b", "raise"), ("c", "x")])
        assert results[0] == EnvironmentFailure(slot="b", text="RuntimeError: out of order")
        assert texts(results[1:]) == ["c: 1 x"]
        for _ in range(3):
            pool.step_many([("c", "x")])
        pool.close_slots(["c"])
        assert start(pool, ["c"]) == ["c: 0"]


def test_dead_worker_is_replaced():
    with EnvironmentPool(Counter, 2) as pool:
        start(pool, ["a", "b", "c", "d"])
        pids = texts(pool.step_many([(slot, "who") for slot in "abcd"]))
        assert (pids[0], pids[1]) == (pids[2], pids[3])
        results = pool.step_many([("a", "die"), ("b", "x")])
        assert isinstance(results[0], EnvironmentFailure)
        assert "exit code -9" in results[0].text
        assert "slot 'a'" in results[0].text
        assert texts(results[1:]) == ["b: 2 x"]
        later = pool.step_many([("c", "x"), ("d", "x")])
        assert "slot 'a'" in later[0].text
        assert texts(later[1:]) == ["d: 2 x"]
        assert start(pool, ["a", "c"]) == ["a: 0", "c: 0"]
        assert texts(pool.step_many([("a", "x"), ("c", "x")])) == ["a: 1 x", "c: 1 x"]


def test_worker_killed_between_batches():
    with EnvironmentPool(Counter, 1) as pool:
        start(pool, ["a"])
        os.kill(int(texts(pool.step_many([("a", "who")]))[0]), signal.SIGKILL)
        assert "exit code -9" in pool.step_many([("a", "x")])[0].text
        assert start(pool, ["a"]) == ["a: 0"]


@pytest.mark.slow
def test_hanging_worker_is_replaced():
    with EnvironmentPool(Counter, 2, step_timeout_s=0.5) as pool:
        start(pool, ["a", "b", "c"])
        results = pool.step_many([("c", "x"), ("a", "hang"), ("b", "x")])
        assert texts(results)[::2] == ["c: 1 x", "b: 1 x"]
        assert re.search(r"0\.5 s.*slot 'a'", results[1].text)
        assert start(pool, ["a"]) == ["a: 0"]


def no_environment(reason):
    raise OSError(reason)


def test_factory_that_fails():
    with EnvironmentPool(partial(no_environment, "no disk"), 1) as pool:
        assert pool.reset_many([("a", spec_of("a"))]) == [EnvironmentFailure(slot="a", text="OSError: no disk")]


def test_closing_twice_is_fine():
    pool = EnvironmentPool(Counter, 1)
    start(pool, ["a"])
    pid = int(texts(pool.step_many([("a", "who")]))[0])
    pool.close()
    pool.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


class Imports(Counter):
    """Tells what a worker has imported."""

    def reset(self, spec):
        import sys

        return Observation(text=" ".join(sorted({"torch", "transformers", "datasets", "prefect"} & sys.modules.keys())))


def test_workers_import_no_heavy_packages():
    with EnvironmentPool(Imports, 1) as pool:
        assert start(pool, ["a"]) == [""]
