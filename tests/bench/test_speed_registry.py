"""Speed of every registered method and index, one thread, float32, WorldView-3: a guide of 128 pixels a side.

`pytest tests/bench/test_speed_registry.py --benchmark-only --benchmark-json results/benchmarks/NAME.json` stores the rounds;
`python -m bench.timings A.json B.json` compares two such files, `run_bench.py report` makes `speed.csv` of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

import methods
import metrics
from imaging import Scene, interp23, sensors
from imaging.filters import mtf

SENSOR = sensors.get("wv3")
SIDE = 128
ROUNDS = 5
METHODS = [key for key in methods.names("ms") if not key.startswith("toy-")]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def scene() -> Scene:
    generator = torch.Generator().manual_seed(0)
    gt = interp23(torch.rand(1, SENSOR.count, SIDE // 4, SIDE // 4, generator=generator), 4) * 1500 + 200
    ms = mtf(gt, SENSOR, step=4)
    guide = gt.mean(1, keepdim=True) + 50 * torch.rand(1, 1, SIDE, SIDE, generator=generator)
    return Scene(ms=ms, lms=interp23(ms, 4), guide=guide, gt=gt)


def measure(benchmark, group, function) -> None:
    benchmark.group = group
    benchmark.extra_info["threads"] = torch.get_num_threads()
    result = benchmark.pedantic(function, rounds=ROUNDS, warmup_rounds=1)
    assert bool(torch.isfinite(result).all())


@pytest.mark.parametrize("key", METHODS)
def test_method(benchmark, scene, key):
    if reason := methods.supports(key, SENSOR, "ms"):
        pytest.skip(reason)
    method = methods.create(key, sensor=SENSOR).eval()
    measure(benchmark, methods.card(key).family, lambda: method(scene.ms, scene.lms, scene.guide))


@pytest.mark.parametrize("key", metrics.names())
def test_index(benchmark, scene, key):
    try:
        metrics.compute(key, scene.lms, scene, sensor=SENSOR)
    except ValueError as error:
        pytest.skip(str(error))
    kind = "index with reference" if key in metrics.names("gt") else "index without reference"
    measure(benchmark, kind, lambda: metrics.compute(key, scene.lms, scene, sensor=SENSOR))
