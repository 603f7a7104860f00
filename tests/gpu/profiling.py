"""Where the time goes: the most expensive operations and kernels, as lines of text."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from tests.gpu.job import wait_for_device

SHOWN = 15


class Profiler:
    """Watches what happens between `start` and `stop`."""

    def __init__(self, device: str) -> None:
        self._on_gpu = device != "cpu"
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if self._on_gpu else [])]
        self._profile = profile(activities=activities)

    def start(self) -> None:
        """Begin to watch."""
        wait_for_device()
        self._profile.start()
        self._since = time.perf_counter()

    def stop(self) -> dict[str, Any]:
        """End it.

        Returns:
            Seconds; the share of them in which the GPU computed, the rest being spent on telling it what to do; the
            operations and the kernels that took most of it.
        """
        wait_for_device()
        seconds = time.perf_counter() - self._since
        self._profile.stop()
        events = self._profile.key_averages()
        if not self._on_gpu:
            return {"seconds": seconds, "ops": _lines(events, lambda event: event.self_cpu_time_total)}
        on_gpu = torch.autograd.DeviceType.CUDA
        kernels = [event for event in events if event.device_type == on_gpu and not _is_range(event)]
        ops = [event for event in events if event.device_type != on_gpu]
        busy = sum(_gpu_time(event) for event in kernels) / 1e6
        return {
            "seconds": seconds,
            "gpu_busy_share": busy / seconds,
            "ops": _lines(ops, _gpu_time),
            "kernels": _lines(kernels, _gpu_time),
            "ops_by_cpu_time": _lines(ops, lambda event: event.self_cpu_time_total),
        }


def _is_range(event: Any) -> bool:
    """Whether it is no kernel but a range that code has named, whose kernels are there for themselves."""
    return bool(getattr(event, "is_user_annotation", False))


def _gpu_time(event: Any) -> float:
    """Microseconds on the GPU, without those of operations within; its name is another in older releases."""
    return float(getattr(event, "self_device_time_total", None) or getattr(event, "self_cuda_time_total", 0.0))


def _lines(events: Sequence[Any], time_of: Callable[[Any], float]) -> list[str]:
    """The most expensive events, one a line: milliseconds, share of all of them, calls, name."""
    total = sum(time_of(event) for event in events) or 1.0
    first = sorted(events, key=time_of, reverse=True)[:SHOWN]
    return [
        f"{time_of(event) / 1000:10.2f} ms {time_of(event) / total:6.1%} {event.count:7} x  {event.key[:100]}"
        for event in first
    ]
