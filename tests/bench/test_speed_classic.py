"""Speed of classic operators, methods and indices: 512x512 pixels, 8 bands, float32, one thread.

`pytest tests/bench/test_speed_classic.py` prints the table; compare machines by ratios, never by milliseconds.
"""

from __future__ import annotations

import pytest
import torch

from tests.bench.timed import SENSOR, one_thread, synthetic  # noqa: F401
from waldbench import methods, metrics
from waldbench.imaging import Scene, interp23
from waldbench.imaging.filters import mtf

SIZE = 512


@pytest.fixture(scope="module")
def scene() -> Scene:
    return synthetic(SIZE)


def measure(benchmark, function, *arguments) -> None:
    benchmark.extra_info["threads"] = torch.get_num_threads()
    result = benchmark.pedantic(function, arguments, rounds=3, warmup_rounds=1)
    assert bool(torch.isfinite(result).all())


def test_interp23(benchmark, scene):
    measure(benchmark, interp23, scene.ms, 4)


def test_mtf(benchmark, scene):
    measure(benchmark, mtf, scene.gt, SENSOR)


@pytest.mark.parametrize("key", ["brovey", "gsa", "mtf-glp", "mtf-glp-hpm"])
def test_method(benchmark, scene, key):
    measure(benchmark, methods.create(key, sensor=SENSOR), scene.ms, scene.lms, scene.guide)


@pytest.mark.parametrize("key", ["q2n", "sam", "ergas", "scc", "ssim", "uiqi", "qnr", "hqnr"])
def test_index(benchmark, scene, key):
    card = metrics.card(key)
    options = {name: SENSOR for name in ("sensor",) if name in metrics.catalogue[key].arguments}
    images = [scene.images()[name] for name in card.needs]
    function = metrics.catalogue[key].load()
    measure(benchmark, lambda: function(scene.lms, *images, **options))
