"""Speed of every registered method and index, one thread, float32, WorldView-3: a guide of 128 pixels a side.

`pytest tests/bench/test_speed_registry.py --benchmark-only --benchmark-json results/benchmarks/NAME.json` stores the rounds;
`python -m waldbench.bench.cost.timings A.json B.json` compares two such files, `run_bench.py report` makes `speed.csv` of them.
"""

from __future__ import annotations

import pytest
import torch

from tests.bench.timed import SENSOR, one_thread, synthetic  # noqa: F401
from waldbench import methods, metrics
from waldbench.imaging import Scene

SIDE = 128
ROUNDS = 5
METHODS = [key for key in methods.names("ms") if not key.startswith("toy-")]


@pytest.fixture(scope="module")
def scene() -> Scene:
    return synthetic(SIDE)


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
