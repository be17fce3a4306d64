"""Latency in quiet: after the trainings, one method at a time, beside a fixed calculation that tells how fast the machine was.

A latency that is measured while other cells train says more about them than about the method. Here three rounds of calls
alternate with a calibration, a fixed convolution on one thread; the record keeps the calibration's time, the load of the machine
and how far the rounds spread. Where that is more than 15 %, tables mark the number and `run_bench.py cost --again` repeats it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from waldbench import methods
from waldbench.bench.cost import summary
from waldbench.bench.cost.latency import latency
from waldbench.bench.cost.memory import keep_freed_memory
from waldbench.bench.files import write_atomically
from waldbench.bench.results.columns import is_unsteady
from waldbench.bench.results.store import Cell, Store
from waldbench.imaging import Sensor
from waldbench.methods.base import Method

ROUNDS = 3
SECONDS = 0.2


@dataclass(frozen=True)
class Target:
    """What is measured; plain data, so that it crosses processes."""

    method: str
    sensor: Sensor
    arguments: dict[str, Any] = field(default_factory=dict)
    no_guide: bool = False
    device: str = "cpu"
    plugins: tuple[str, ...] = ()


def measure(target: Target) -> dict[str, Any]:
    """Measure one method here and now; call it in a process of its own.

    Returns:
        cpu_ms_256 and cpu_iqr_ms_256 (median over the rounds, and the interquartile range of the middle one), cpu_spread (largest
        less smallest median of a round, over their median), calibration_ms (median), load (of the machine, over one minute), and
        cuda_ms_256, cuda_iqr_ms_256 where the device is a GPU.
    """
    from waldbench.bench import plugins

    plugins.add(target.plugins)
    method = methods.create(target.method, sensor=target.sensor, **target.arguments).eval()
    if target.no_guide:
        from waldbench.methods.ablation import without_guide

        method = without_guide(method)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    keep_freed_memory()
    with torch.inference_mode():
        found = _rounds(method) | {"load": load, "quiet": True}
        device = torch.device(target.device)
        if device.type == "cuda":
            method.to(device)
            images = summary.example(method, 256, device)
            gpu = latency(lambda: method(*images), device)
            found |= {"cuda_ms_256": gpu.median_ms, "cuda_iqr_ms_256": gpu.iqr_ms}
    return found


def _rounds(method: Method) -> dict[str, Any]:
    images = summary.example(method, 256, summary.CPU)
    calibrate = calibration()
    rounds, calibrations = [], []
    for _ in range(ROUNDS):
        calibrations.append(latency(calibrate, summary.CPU, SECONDS / 4).median_ms)
        rounds.append(latency(lambda: method(*images), summary.CPU, SECONDS))
    medians = [found.median_ms for found in rounds]
    middle = float(np.median(medians))
    nearest = min(rounds, key=lambda found: abs(found.median_ms - middle))
    return {
        "cpu_ms_256": middle,
        "cpu_iqr_ms_256": nearest.iqr_ms,
        "cpu_spread": (max(medians) - min(medians)) / middle if middle else 0.0,
        "cpu_threads": 1,
        "calibration_ms": float(np.median(calibrations)),
    }


def calibration() -> Callable[[], Any]:
    """The fixed calculation: a 3 x 3 convolution of 16 to 16 channels of 256 x 256 pixels, single precision."""
    draw = torch.Generator().manual_seed(0)
    image, kernel = torch.rand(1, 16, 256, 256, generator=draw), torch.rand(16, 16, 3, 3, generator=draw)
    return lambda: torch.nn.functional.conv2d(image, kernel, padding=1)


def keep(store: Store, cell: Cell, found: Mapping[str, Any]) -> None:
    """Put a measurement into the records of every seed of a cell's method: they have one latency."""
    for path in store.folder(cell).parent.glob("seed-*"):
        number = path.name.removeprefix("seed-")
        if not number.isdecimal():
            continue
        record = store.read(Cell(cell.protocol, cell.dataset, cell.method, int(number)))
        if record is not None and record.ok:
            record.cost = record.cost | dict(found)
            content = json.dumps(record.to_json(), indent=1, sort_keys=True, allow_nan=False)
            write_atomically(path / "record.json", content.encode())


def unsteady(store: Store) -> list[tuple[Cell, str]]:
    """One cell of each method whose latency spreads too far, with the key of its sensor."""
    found: dict[tuple[str, str, str], tuple[Cell, str]] = {}
    for cell, record in store.cells():
        if record.ok and is_unsteady(record.cost):
            found.setdefault((cell.protocol, cell.dataset, cell.method), (cell, record.dataset["sensor"]))
    return list(found.values())
