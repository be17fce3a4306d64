"""Multi-scale structural similarity. The mean SSIM of the field (MSSIM) is `ssim`, a mean over pixels already."""

from __future__ import annotations

import torch
from torch import Tensor

from waldbench.imaging import Sensor
from waldbench.metrics.base import register
from waldbench.metrics.spatial import ssim_factors

# Wang, Simoncelli, Bovik 2003, section 3.2: exponents of the five scales, finest first.
EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
LEAST = 11 * 2 ** (len(EXPONENTS) - 1)


@register(
    title="MS-SSIM",
    direction="higher",
    best=1.0,
    convention="Wang 2003: 5 scales, means over 2x2 pixels between them, factors of ssim averaged over each scale, luminance at "
    "the coarsest only, negative means count as 0, range 2^bits - 1, mean over bands",
    reference="Wang, Simoncelli, Bovik, Asilomar Conf. 2003:1398-1402, doi 10.1109/ACSSC.2003.1292216",
)
def mssim(fused: Tensor, gt: Tensor, *, sensor: Sensor) -> Tensor:
    """Multi-scale structural similarity, mean over bands.

    Args:
        fused: fused images (B, C, H, W) in digital numbers.
        gt: ground truth of the same shape.
        sensor: sensor of the images; its scale is the dynamic range.

    Returns:
        (B,) float64 in [0, 1].

    Raises:
        ValueError: if the image has fewer than 176 pixels a side, so that the coarsest scale holds no window.

    Example:
        >>> import torch
        >>> from waldbench import sensors
        >>> from waldbench.metrics.multiscale import mssim
        >>> black, white = torch.zeros(1, 1, 176, 176), torch.full((1, 1, 176, 176), 2047.0)
        >>> round(mssim(black, white, sensor=sensors.generic(1)).item(), 4)  # luminance alone: (0.0001 / 1.0001) ** 0.1333
        0.293
    """
    height, width = gt.shape[-2:]
    if min(height, width) < LEAST:
        raise ValueError(f"image of {height}x{width} is too small for mssim; needs at least {LEAST}x{LEAST}")
    return torch.stack([_band(fused[:, band], gt[:, band], sensor.scale) for band in range(gt.shape[1])], -1).mean(-1)


def _band(x: Tensor, y: Tensor, peak: float) -> Tensor:
    x, y = x.double(), y.double()
    value = torch.ones(len(x), dtype=torch.float64, device=x.device)
    for number, exponent in enumerate(EXPONENTS, 1):
        luminance, structure = ssim_factors(x, y, peak)
        factor = luminance * structure if number == len(EXPONENTS) else structure
        value = value * factor.mean((-2, -1)).clamp(min=0) ** exponent
        x, y = (torch.nn.functional.avg_pool2d(image, 2) for image in (x, y))
    return value
