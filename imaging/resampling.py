"""Interpolation, antialiased resizing and decimation with the field's sampling phase.

Low-resolution pixel k sits on high-resolution pixel ratio * k + ratio // 2 (0-based), for every function here except
`imresize`, which keeps the image's centre (MATLAB's convention).
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil
from typing import Literal

import torch
from torch import Tensor

from waldbench.imaging.operators import AxisOperator, separable
from waldbench.imaging.strips import height

# Aiazzi et al., IEEE TGRS 40(10), 2002: 23-tap polynomial kernel; odd offsets 1, 3, ... 11. They sum to 1.99999999959
# and are not renormalised.
TAPS = (0.610668182370, -0.145397186478, 0.043619155884, -0.010385513306, 0.001615524292, -0.000120162964)


def decimate(x: Tensor, ratio: int) -> Tensor:
    """Keep every `ratio`-th sample of x (..., H, W), starting at ratio // 2; a view."""
    return x[..., ratio // 2 :: ratio, ratio // 2 :: ratio]


def interp23(x: Tensor, ratio: int) -> Tensor:
    """Interpolate x (..., h, w) to (..., ratio h, ratio w) with the 23-tap polynomial kernel and circular borders.

    Factors of two use the 23-tap kernel (Aiazzi et al. 2002), a remaining odd factor cubic convolution (a = -1/2), so that
    every ratio keeps the phase ratio * k + ratio // 2. Input samples are reproduced exactly at their positions.

    Raises:
        ValueError: if ratio is below 1.
    """
    if ratio < 1:
        raise ValueError(f"ratio: expected an integer of at least 1, got {ratio}")
    if ratio == 1:
        return x
    return separable(x, interpolator(height(x), ratio), interpolator(x.shape[-1], ratio))


@lru_cache(maxsize=64)
def interpolator(size: int, ratio: int) -> AxisOperator:
    """What `interp23` does along one axis of `size` samples."""
    response = _impulse_response(ratio)
    reach = len(response) // 2
    phase = torch.arange(size * ratio) - ratio // 2
    starts = torch.div(phase - reach + ratio - 1, ratio, rounding_mode="floor")
    offsets = phase[:, None] - ratio * (starts[:, None] + torch.arange(2 * reach // ratio + 1))
    inside = offsets.abs() <= reach
    weights = torch.where(inside, response[(offsets + reach).clamp(0, 2 * reach)], 0.0)
    return AxisOperator(starts, weights, size, "circular")


@lru_cache(maxsize=64)
def cubic_interpolator(size: int, ratio: int) -> AxisOperator:
    """Keys' cubic convolution from `size` to ratio * size samples, symmetric borders."""
    position = (torch.arange(size * ratio, dtype=torch.float64) - ratio // 2) / ratio
    starts = position.floor().long() - 1
    return AxisOperator(starts, cubic(position[:, None] - (starts[:, None] + torch.arange(4))), size, "symmetric")


def _impulse_response(ratio: int) -> Tensor:
    odd, doublings = ratio, 0
    while odd % 2 == 0:
        odd, doublings = odd // 2, doublings + 1
    response = (
        cubic(torch.arange(-2 * odd, 2 * odd + 1, dtype=torch.float64) / odd) if odd > 1 else torch.ones(1, dtype=torch.float64)
    )
    kernel = torch.zeros(23, dtype=torch.float64)
    kernel[11] = 1.0
    for number, tap in enumerate(TAPS):
        kernel[11 + 2 * number + 1] = kernel[11 - 2 * number - 1] = tap
    for _ in range(doublings):
        stretched = torch.zeros(2 * len(response) - 1, dtype=torch.float64)
        stretched[::2] = response
        response = torch.nn.functional.conv1d(stretched[None, None], kernel[None, None], padding=22)[0, 0]
    return response


def cubic(distance: Tensor) -> Tensor:
    """Keys' cubic convolution kernel with a = -1/2."""
    d = distance.abs()
    near = (1.5 * d - 2.5) * d * d + 1
    far = ((-0.5 * d + 2.5) * d - 4) * d + 2
    return torch.where(d <= 1, near, torch.where(d < 2, far, torch.zeros_like(d)))


def linear(distance: Tensor) -> Tensor:
    """The triangle kernel."""
    return (1 - distance.abs()).clamp(min=0)


def resize(x: Tensor, size: tuple[int, int], kernel: Literal["cubic", "linear"] = "cubic") -> Tensor:
    """Resize x (..., H, W) to `size`, rows and columns, each by its own factor; else as `imresize`."""
    rows, columns = (
        (given, wanted / given, kernel, wanted) for given, wanted in zip((height(x), x.shape[-1]), size, strict=True)
    )
    return separable(x, resizer(*rows), resizer(*columns))


def imresize(x: Tensor, factor: float, kernel: Literal["cubic", "linear"] = "cubic") -> Tensor:
    """Resize x (..., H, W) to (..., ceil(factor H), ceil(factor W)), antialiased when shrinking, symmetric borders.

    Follows the convention of MATLAB's function of this name.
    """
    return separable(x, resizer(height(x), factor, kernel), resizer(x.shape[-1], factor, kernel))


@lru_cache(maxsize=64)
def resizer(size: int, factor: float, kernel: str, length: int | None = None) -> AxisOperator:
    """What `imresize` does along one axis of `size` samples, to `length` of them where that is known."""
    shape, support = (cubic, 4.0) if kernel == "cubic" else (linear, 2.0)
    narrow = min(factor, 1.0)
    centre = (torch.arange(length or ceil(factor * size), dtype=torch.float64) + 0.5) / factor - 0.5
    starts = torch.floor(centre - support / narrow / 2).long()
    taps = starts[:, None] + torch.arange(ceil(support / narrow) + 2)
    weights = shape(narrow * (centre[:, None] - taps))
    return AxisOperator(starts, weights / weights.sum(1, keepdim=True), size, "symmetric")
