"""Low-pass filters: sensor MTF (Gaussian matched at Nyquist), the toolbox's Gaussian, B3 spline, box.

Definitions: Vivone et al., IEEE GRSM 9(1), 2021 (doi 10.1109/MGRS.2020.3019315). The 41x41 kernels are not normalised:
their sums are 0.998 to 0.999 at ratio 4.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, log, log2, pi

import torch
from torch import Tensor
from torch.nn import functional

from waldbench.imaging.operators import AxisOperator, separable
from waldbench.imaging.sensors import Sensor
from waldbench.imaging.strips import height

SIZE = 41
# Below this share of its peak a term of a kernel's separable expansion is dropped in single precision.
SINGLE = 2e-6


@lru_cache(maxsize=256)
def gaussian_kernel(gain: float, ratio: int, width: int = SIZE - 1) -> Tensor:
    """41x41 float64 kernel whose frequency response falls to `gain` at the Nyquist frequency of the 1/ratio grid.

    Frequency sampling of a Gaussian, windowed by a rotated Kaiser window (beta 0.5). `width` is 40 for MTF filters and 41 for
    the toolbox's generic low-pass: a discrepancy of the toolbox that its numbers depend on.
    """
    c = torch.arange(-(SIZE // 2), SIZE // 2 + 1, dtype=torch.float64)
    variance = (width / (2 * ratio)) ** 2 / (-2 * log(gain))
    response = torch.exp(-(c**2) / (2 * variance))
    basis = torch.cos(2 * pi * c[:, None] * c / SIZE)
    ideal = basis @ response / SIZE
    return torch.outer(ideal, ideal) * _rotated_kaiser(c)


def _rotated_kaiser(c: Tensor) -> Tensor:
    profile = torch.kaiser_window(SIZE, periodic=False, beta=0.5, dtype=torch.float64)[SIZE // 2 :]
    # Squared integer radii keep the twelve points at radius 20 inside; a rounded root could drop them.
    squared = c[:, None] ** 2 + c**2
    radius = squared.sqrt()
    low = radius.floor().long().clamp(max=SIZE // 2 - 1)
    window = profile[low] + (profile[low + 1] - profile[low]) * (radius - low)
    return torch.where(squared <= (SIZE // 2) ** 2, window, 0.0)


def mtf(x: Tensor, sensor: Sensor, ratio: int | None = None, step: int = 1) -> Tensor:
    """Blur each band of x (B, C, H, W) with the sensor's MTF at `ratio`, replicate borders.

    With step > 1 only the samples that `decimate(..., step)` would keep are computed: (B, C, H // step, W // step).
    """
    return _filter(x, _gains(sensor.mtf, x.shape[1]), ratio or sensor.ratio, SIZE - 1, step)


def mtf_pan(x: Tensor, sensor: Sensor, ratio: int | None = None, step: int = 1) -> Tensor:
    """Blur a panchromatic image (B, G, H, W) with the sensor's PAN MTF; arguments as in `mtf`."""
    return _filter(x, (sensor.pan_mtf,) * x.shape[1], ratio or sensor.ratio, SIZE - 1, step)


def gaussian_low_pass(x: Tensor, ratio: int, step: int = 1) -> Tensor:
    """The toolbox's generic low-pass (gain 0.3) of x (B, C, H, W), replicate borders; `step` as in `mtf`."""
    return _filter(x, (0.3,) * x.shape[1], ratio, SIZE, step)


def glp_low_pass(x: Tensor, sensor: Sensor, ratio: int) -> Tensor:
    """Generalised-Laplacian low-pass: MTF blur, decimation and 23-tap interpolation of x, with the MTF of every band.

    x is an image (B, C, H, W) or one guide (B, 1, H, W) for all C bands of the sensor; the result is (B, C, H, W), for a
    guide a broadcast view where all bands have one MTF.
    """
    from waldbench.imaging.resampling import interp23

    if x.shape[1] > 1 or len(sensor.mtf) == 1:
        return interp23(mtf(x, sensor, ratio, step=ratio), ratio)
    distinct = sorted(set(sensor.mtf))
    low = torch.cat([interp23(_apply(x, gaussian_kernel(gain, ratio), ratio), ratio) for gain in distinct], 1)
    if len(distinct) == 1:
        return low.expand(-1, len(sensor.mtf), -1, -1)
    return low[:, [distinct.index(gain) for gain in sensor.mtf]]


def _gains(gains: tuple[float, ...], count: int) -> tuple[float, ...]:
    if len(gains) != count:
        raise ValueError(f"sensor has MTF gains for {len(gains)} bands, the image has {count} bands; use the sensor of the image")
    return gains


def _filter(x: Tensor, gains: tuple[float, ...], ratio: int, width: int, step: int) -> Tensor:
    if len(set(gains)) == 1:
        return _apply(x, gaussian_kernel(gains[0], ratio, width), step)
    bands = [_apply(x[:, b : b + 1], gaussian_kernel(gain, ratio, width), step) for b, gain in enumerate(gains)]
    return torch.cat(bands, dim=1)


def _apply(x: Tensor, kernel: Tensor, step: int) -> Tensor:
    if x.shape[-2] // step == 0 or x.shape[-1] // step == 0:
        raise ValueError(f"image of {tuple(x.shape[-2:])} pixels is too small for ratio {step}; needs at least {step}x{step}")
    terms = _separable_terms(kernel, 1e-15 if x.dtype == torch.float64 else SINGLE)
    total = None
    for rows, columns in terms:
        part = separable(x, _fir(height(x), rows, step), _fir(x.shape[-1], columns, step))
        total = part if total is None else total.add_(part)
    assert total is not None
    return total


@lru_cache(maxsize=256)
def _separable_terms(kernel: Tensor, tolerance: float) -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
    left, values, right = torch.linalg.svd(kernel)
    keep = int((values > tolerance * values[0]).sum())
    root = values[:keep].sqrt()
    return [(tuple((left[:, i] * root[i]).tolist()), tuple((right[i] * root[i]).tolist())) for i in range(keep)]


@lru_cache(maxsize=512)
def _fir(size: int, taps: tuple[float, ...], step: int = 1) -> AxisOperator:
    starts = torch.arange(size // step) * step + (step // 2 if step > 1 else 0) - len(taps) // 2
    weights = torch.tensor(taps, dtype=torch.float64).expand(len(starts), -1)
    return AxisOperator(starts, weights, size, "replicate")


def spline_low_pass(x: Tensor, ratio: int) -> Tensor:
    """B3-spline low-pass of x (..., H, W): ceil(log2 ratio) undilated passes of [1 4 6 4 1]/16 (the toolbox's wavelet).

    Each pass extends the current signal symmetrically, so the borders differ from one long filter.
    """
    levels = ceil(log2(ratio))
    return separable(x, _spline(height(x), levels), _spline(x.shape[-1], levels))


@lru_cache(maxsize=64)
def _spline(size: int, levels: int) -> AxisOperator:
    reach = 8 * levels
    small = min(size, 4 * reach)
    matrix = _spline_matrix(small, levels)
    rows = torch.arange(size)
    source = torch.where(rows < small - reach, rows.clamp(max=reach), (rows - size + small).clamp(min=reach))
    source = torch.where(rows < reach, rows, source)
    shift = rows - source
    return AxisOperator(shift, matrix[source], size, "symmetric") if size <= small else _banded(matrix, source, shift, size)


def _banded(matrix: Tensor, source: Tensor, shift: Tensor, size: int) -> AxisOperator:
    small = matrix.shape[1]
    width = small // 2
    first = (source - width // 2).clamp(0, small - width)
    weights = matrix[source].gather(1, first[:, None] + torch.arange(width))
    return AxisOperator(first + shift, weights, size, "symmetric")


def _spline_matrix(size: int, levels: int) -> Tensor:
    taps = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], dtype=torch.float64)[None, None] / 16
    signal = torch.eye(size, dtype=torch.float64)[:, None]
    for _ in range(levels):
        signal = _extend(signal, 4)
        signal = functional.conv1d(signal, taps)
    for _ in range(levels):
        signal = functional.conv1d(signal, taps)
    return signal[:, 0].T.contiguous()


def _extend(signal: Tensor, count: int) -> Tensor:
    from waldbench.imaging.operators import fold

    index = fold(torch.arange(-count, signal.shape[-1] + count), signal.shape[-1], "symmetric")
    return signal[..., index]


def box(x: Tensor, size: int) -> Tensor:
    """Mean over size x size windows of x (..., H, W), replicate borders; size is odd."""
    taps = (1.0 / size,) * size
    return separable(x, _fir(height(x), taps), _fir(x.shape[-1], taps))
