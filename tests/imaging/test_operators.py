"""Operators, filters and resampling against direct evaluation of their definitions (golden vectors: tests/golden)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from waldbench.imaging import interp23, sensors
from waldbench.imaging.filters import box, gaussian_kernel, gaussian_low_pass, glp_low_pass, mtf, mtf_pan, spline_low_pass
from waldbench.imaging.operators import AxisOperator, fold, separable
from waldbench.imaging.resampling import decimate, imresize

MODES = {"replicate": "edge", "symmetric": "symmetric", "circular": "wrap"}


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("border", MODES)
@given(st.integers(1, 9), st.integers(0, 20))
@settings(max_examples=20, deadline=None)
def test_fold_is_numpy_padding(border, size, reach):
    index = fold(torch.arange(-reach, size + reach), size, border)
    assert index.tolist() == np.pad(np.arange(size), reach, mode=MODES[border]).tolist()


@pytest.mark.parametrize("border", MODES)
@pytest.mark.parametrize("size", [1, 5, 63, 64, 65, 150])
def test_an_operator_is_a_padded_correlation(border, size):
    taps = random(7, seed=1)
    operator = AxisOperator(torch.arange(size) - 3, taps.expand(size, -1), size, border)
    x = random(2, 3, 4, size)
    padded = torch.from_numpy(np.pad(x.numpy(), [(0, 0)] * 3 + [(3, 3)], mode=MODES[border]))
    expected = (padded.unfold(-1, 7, 1) * taps).sum(-1)
    torch.testing.assert_close(operator.along_columns(x), expected)
    torch.testing.assert_close(operator.along_rows(x.mT), expected.mT)


@pytest.mark.parametrize("shrinking", ["rows", "columns"])
def test_axes_commute(shrinking):
    short = AxisOperator(torch.arange(10) * 4, random(10, 5), 44, "symmetric")
    long = AxisOperator(torch.arange(70) // 2 - 1, random(70, 3), 35, "circular")
    x = random(2, 44, 35) if shrinking == "rows" else random(2, 35, 44)
    rows, columns = (short, long) if shrinking == "rows" else (long, short)
    torch.testing.assert_close(separable(x, rows, columns), columns.along_columns(rows.along_rows(x)))


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (40, 33), (70, 130)])
@pytest.mark.parametrize("ratio", [2, 3, 4, 6])
def test_mtf_is_a_correlation_with_replicated_border(size, ratio):
    x = random(1, 2, *size)
    sensor = sensors.generic(2, ratio)
    kernel = gaussian_kernel(0.3, ratio)[None, None]
    padded = torch.nn.functional.pad(x, (20,) * 4, mode="replicate").transpose(0, 1)
    expected = torch.nn.functional.conv2d(padded, kernel).transpose(0, 1)
    torch.testing.assert_close(mtf(x, sensor), expected, rtol=1e-12, atol=1e-12)
    # Single precision keeps fewer terms of the kernel's expansion: 0.01 DN of 2047 is 5e-6.
    torch.testing.assert_close(mtf(x.float(), sensor).double(), expected, rtol=0, atol=5e-6)
    if min(size) >= ratio:
        torch.testing.assert_close(
            mtf(x, sensor, step=ratio), decimate(expected, ratio)[..., : size[0] // ratio, : size[1] // ratio]
        )


@pytest.mark.parametrize(("ratio", "loss"), [(2, 0.0004), (4, 0.0014), (6, 0.003), (8, 0.006)])
def test_kernels_are_symmetric_and_not_normalised(ratio, loss):
    kernel = gaussian_kernel(0.3, ratio)
    assert kernel.shape == (41, 41)
    torch.testing.assert_close(kernel, kernel.T)
    torch.testing.assert_close(kernel, kernel.flip(0, 1))
    assert 0 < 1 - float(kernel.sum()) < loss


@pytest.mark.parametrize("sensor", [sensors.get("wv3"), sensors.get("ge1"), sensors.generic(1)])
def test_a_guide_is_low_passed_for_every_band(sensor):
    guide = random(2, 1, 40, 32)
    expected = glp_low_pass(guide.repeat(1, sensor.count, 1, 1), sensor, 4)
    torch.testing.assert_close(glp_low_pass(guide, sensor, 4), expected)


def test_mtf_refuses_another_band_count():
    with pytest.raises(ValueError, match="8 bands, the image has 4"):
        mtf(random(1, 4, 8, 8), sensors.get("wv3"))


def test_mtf_refuses_an_image_below_one_pixel():
    with pytest.raises(ValueError, match="at least 4x4"):
        mtf(random(1, 4, 3, 8), sensors.get("qb"), step=4)


@pytest.mark.parametrize("size", [(9, 300), (40, 21), (200, 64)])
@pytest.mark.parametrize("ratio", [2, 3, 4, 8])
def test_spline_passes_extend_the_growing_signal(size, ratio):
    x = random(1, 1, *size)
    levels = int(np.ceil(np.log2(ratio)))
    expected = x.numpy()[0, 0]
    for axis in (0, 1):
        expected = np.apply_along_axis(_spline, axis, expected, levels)
    torch.testing.assert_close(spline_low_pass(x, ratio)[0, 0], torch.from_numpy(expected))


def _spline(signal: np.ndarray, levels: int) -> np.ndarray:
    taps = np.array([1, 4, 6, 4, 1]) / 16
    for _ in range(levels):
        signal = np.convolve(np.pad(signal, 4, mode="symmetric"), taps, mode="valid")
    for _ in range(levels):
        signal = np.convolve(signal, taps, mode="valid")
    return signal


@pytest.mark.parametrize("ratio", [1, 2, 3, 4, 5, 6, 8])
@pytest.mark.parametrize("size", [(1, 1), (7, 12), (30, 31)])
def test_interpolation_keeps_the_samples(ratio, size):
    x = random(2, 3, *size)
    y = interp23(x, ratio)
    assert y.shape == (2, 3, ratio * size[0], ratio * size[1])
    torch.testing.assert_close(decimate(y, ratio), x, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(interp23(torch.ones_like(x), ratio), torch.ones_like(y), rtol=0, atol=1e-8)


def test_interpolation_refuses_ratio_zero():
    with pytest.raises(ValueError, match="at least 1"):
        interp23(random(1, 1, 4, 4), 0)


@pytest.mark.parametrize("factor", [0.25, 0.5, 1 / 3, 2, 4])
def test_imresize_keeps_constants_and_centre(factor):
    x = torch.full((1, 2, 24, 36), 7.0, dtype=torch.float64)
    y = imresize(x, factor)
    assert y.shape[-2:] == (round(24 * factor), round(36 * factor))
    torch.testing.assert_close(y, torch.full_like(y, 7.0))
    z = random(1, 1, 24, 36)
    torch.testing.assert_close(imresize(z.flip(-1, -2), factor), imresize(z, factor).flip(-1, -2))


def test_box_is_a_mean():
    x = random(1, 2, 9, 11)
    padded = torch.nn.functional.pad(x, (2, 2, 2, 2), mode="replicate")
    torch.testing.assert_close(box(x, 5), torch.nn.functional.avg_pool2d(padded, 5, 1))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_is_the_cpu():
    x, sensor = random(2, 8, 96, 80), sensors.get("wv3")
    for function in (
        lambda y: mtf(y, sensor),
        lambda y: mtf_pan(y, sensor, step=4),
        lambda y: gaussian_low_pass(y, 4),
        lambda y: interp23(y, 4),
        lambda y: imresize(y, 0.25),
        lambda y: spline_low_pass(y, 4),
    ):
        torch.testing.assert_close(function(x.cuda()).cpu(), function(x))
