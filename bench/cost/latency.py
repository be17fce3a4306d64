"""How long a call takes: warm-up, synchronisation, median and interquartile range."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

# Never fewer: a spread needs them.
FEWEST = 3
SLOW_MS = 1000.0


@dataclass(frozen=True)
class Latency:
    """Median and interquartile range in ms over so many calls."""

    median_ms: float
    iqr_ms: float
    repeats: int


def latency(call: Callable[[], Any], device: torch.device, seconds: float = 0.2, threads: int = 1) -> Latency:
    """Time a call repeatedly for about `seconds` after a warm-up, which a slow call does without.

    Args:
        call: what is timed; on CUDA the time between two events around it.
        device: where it runs.
        seconds: of measurement, in at least three calls.
        threads: of torch on the CPU; put back afterwards.
    """
    with _threads(threads):
        once = _cuda(call, device) if device.type == "cuda" else _wall(call)
        # A call of a second or more is not distorted by what the first one sets up: it counts.
        times = [first] if (first := once()) > SLOW_MS else []
        end = time.perf_counter() + seconds
        times += [once() for _ in range(FEWEST - len(times))]
        while time.perf_counter() < end:
            times.append(once())
    low, median, high = np.percentile(times, [25, 50, 75])
    return Latency(float(median), float(high - low), len(times))


def _wall(call: Callable[[], Any]) -> Callable[[], float]:
    def once() -> float:
        start = time.perf_counter()
        call()
        return (time.perf_counter() - start) * 1e3

    return once


def _cuda(call: Callable[[], Any], device: torch.device) -> Callable[[], float]:
    def once() -> float:
        with torch.cuda.device(device):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            torch.cuda.synchronize(device)
            start.record()
            call()
            end.record()
            end.synchronize()
            return float(start.elapsed_time(end))

    return once


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
