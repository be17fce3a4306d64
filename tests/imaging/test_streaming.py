"""Scenes fused strip by strip against the same scenes fused whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from waldbench import methods
from waldbench.imaging import interp23, sensors, streaming, strips
from waldbench.imaging.filters import mtf
from waldbench.imaging.operators import separable
from waldbench.imaging.resampling import cubic_interpolator
from waldbench.imaging.statistics import mean

STREAMED = [key for key in methods.names("ms") if methods.create(key, sensor=sensors.generic(4)).margin is not None]


def scene(count=4, ratio=4, height=70, width=11):
    generator = torch.Generator().manual_seed(count + ratio)
    gt = interp23(torch.rand(1, count, height, width, generator=generator, dtype=torch.float64), ratio) * 1500 + 200
    guide = gt.mean(1, keepdim=True) + 50 * torch.rand(1, 1, *gt.shape[-2:], generator=generator, dtype=torch.float64)
    sensor = replace(sensors.generic(count, ratio), mtf=tuple(0.25 + 0.01 * band for band in range(count)))
    return sensor, mtf(gt, sensor, step=ratio), guide


def stream(function, ms, guide, **options):
    out = np.full((ms.shape[1], *guide.shape[-2:]), np.nan)
    passes = streaming.fuse(
        function,
        ms[0].numpy(),
        guide[0].numpy(),
        lambda top, rows: streaming.store(out, top, rows),
        dtype=torch.float64,
        **options,
    )
    return torch.from_numpy(out)[None], passes


def test_the_usual_methods_stream():
    assert {"exp", "brovey", "gihs", "gs", "gsa", "pca", "bt-h", "hpf", "sfim", "awlp", "mtf-glp", "mtf-glp-hpm"} <= set(STREAMED)


@pytest.mark.parametrize(("count", "ratio"), [(4, 4), (5, 2), (3, 3), (1, 6)])
@pytest.mark.parametrize("key", STREAMED)
def test_strips_are_the_whole_image(key, count, ratio):
    sensor, ms, guide = scene(count, ratio, height={4: 70, 2: 120, 3: 60, 6: 60}[ratio])
    reason = methods.supports(key, sensor, "ms")
    if reason:
        pytest.skip(reason)
    method = methods.create(key, sensor=sensor)
    fused, passes = stream(method, ms, guide, margin=method.margin, rows=7)
    torch.testing.assert_close(fused, method(ms, interp23(ms, ratio), guide), rtol=1e-9, atol=1e-7)
    assert passes <= 10


@pytest.mark.parametrize("rows", [4, 33, 70, 200])
def test_any_strip_height(rows):
    sensor, ms, guide = scene()
    method = methods.create("mtf-glp-hpm", sensor=sensor)
    fused, _ = stream(method, ms, guide, margin=method.margin, rows=rows)
    torch.testing.assert_close(fused, method(ms, interp23(ms, 4), guide), rtol=1e-9, atol=1e-7)


def test_a_margin_that_is_too_small_shows():
    sensor, ms, guide = scene()
    method = methods.create("mtf-glp-hpm", sensor=sensor)
    fused, _ = stream(method, ms, guide, margin=3, rows=7)
    assert not torch.allclose(fused, method(ms, interp23(ms, 4), guide), rtol=1e-9, atol=1e-7)


def test_cubic_interpolation_and_single_precision():
    sensor, ms, guide = scene()
    method = methods.create("brovey", sensor=sensor)
    lms = separable(ms, cubic_interpolator(ms.shape[-2], 4), cubic_interpolator(ms.shape[-1], 4))
    fused, passes = stream(method, ms, guide, margin=0, rows=5, interpolation="cubic")
    torch.testing.assert_close(fused, method(ms, lms, guide))
    assert passes == 1


def test_a_whole_scene_of_16_bit_numbers_saturates():
    _, ms, guide = scene()
    ms, guide = (ms * 30).round().clamp(0, 65535), (guide * 60).round().clamp(0, 65535)
    arrays = [image[0].numpy().astype(np.uint16) for image in (ms, guide)]
    out = np.zeros((4, *guide.shape[-2:]), np.uint16)
    method = methods.create("brovey", sensor=sensors.generic(4))
    streaming.fuse(method, *arrays, lambda top, rows: streaming.store(out, top, rows), margin=0)
    expected = method(ms, interp23(ms, 4), guide)[0].round().clamp(0, 65535)
    assert out.max() == 65535
    # Rounding differs where a value lies half-way between two numbers.
    assert float((torch.from_numpy(out.astype(float)) - expected).abs().max()) <= 1


def test_statistics_that_never_settle_are_an_error():
    _, ms, guide = scene(height=20)
    calls = []

    def restless(ms, lms, guide):
        calls.append(0)
        return lms + mean(lms * len(calls))

    with pytest.raises(strips.UnsettledError, match="as a whole"):
        stream(restless, ms, guide, margin=0, rows=10)


@pytest.mark.parametrize("name", ["ms", "guide"])
def test_bad_input(name):
    sensor, ms, guide = scene()
    (ms if name == "ms" else guide)[..., -1, -1] = np.nan
    method = methods.create("gsa", sensor=sensor)
    with pytest.raises(ValueError, match=f"{name} has NaN"):
        stream(method, ms, guide, margin=method.margin, rows=7)
    with pytest.raises(ValueError, match="integer multiple"):
        stream(method, ms, guide[..., 1:], margin=method.margin)
    with pytest.raises(ValueError, match="expected ms"):
        streaming.check_sizes(ms.numpy(), guide.numpy())
