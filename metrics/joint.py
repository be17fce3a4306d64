"""JQM: one number from consistency with ms at its scale and with the guide at the guide's scale."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from waldbench.imaging import Sensor
from waldbench.imaging.filters import mtf_pan
from waldbench.imaging.nonnegative import nonnegative
from waldbench.imaging.statistics import combine, gram
from waldbench.metrics.base import register, require_panchromatic
from waldbench.metrics.reprojection import reproject
from waldbench.metrics.uiqi import FLAT


@register(
    title="JQM",
    direction="higher",
    best=1.0,
    convention="v = 0.5; composite of means, deviations (n-1) and correlation over the whole image, range 2^bits - 1, images "
    "clipped to it; intensity weights are non-negative least squares of the MTF-degraded guide on ms unless given",
    reference="Palubinskas, Remote Sensing 7(7):9292-9310, 2015, doi 10.3390/rs70709292",
)
def jqm(
    fused: Tensor, ms: Tensor, guide: Tensor, *, sensor: Sensor, weights: Sequence[float] | None = None, v: float = 0.5
) -> Tensor:
    """Joint quality measure: v Q(degraded fused, ms) + (1 - v) Q(weighted sum of fused bands, guide).

    Args:
        fused: fused images (B, C, H, W) in digital numbers.
        ms: low-resolution images (B, C, h, w).
        guide: panchromatic images (B, 1, H, W).
        sensor: sensor of the images; its MTF and ratio degrade them, its scale is the peak.
        weights: spectral response of the guide, one weight a band that sum up to about 1; None estimates them from ms and guide.
        v: weight of the low-resolution part, 0 to 1.

    Returns:
        (B,) float64 in [-1, 1].

    Raises:
        ValueError: if the guide has more than one channel, the sensor another band count or ratio, or weights are not one a band.

    Example:
        >>> import torch
        >>> from waldbench import sensors
        >>> from waldbench.metrics.joint import jqm
        >>> white = torch.full((1, 1, 8, 8), 2047.0)
        >>> round(jqm(white / 2, white[..., :2, :2], white, sensor=sensors.generic(1)).item(), 2)  # 1 - 0.5 ** 2
        0.75
    """
    require_panchromatic("jqm", guide)
    if weights is not None and len(weights) != fused.shape[1]:
        raise ValueError(f"weights: expected one of {fused.shape[1]} bands each, got {len(weights)}")
    low, peak = reproject(fused, ms, sensor), sensor.scale
    bands = [composite(low[:, band], ms[:, band], peak) for band in range(ms.shape[1])]
    share = response(ms, guide, sensor) if weights is None else torch.tensor([weights], dtype=torch.float64)
    intensity = combine(fused, share.to(fused)[..., None, None].expand(len(fused), -1, -1, -1))
    return v * torch.stack(bands, -1).mean(-1) + (1 - v) * composite(intensity[:, 0], guide[:, 0], peak)


def composite(x: Tensor, y: Tensor, peak: float) -> Tensor:
    """Palubinskas' CMSC of single bands x and y (B, H, W), clipped to [0, peak]: (B,) float64 in [-1, 1].

    It is (1 - (difference of means)^2 / peak^2) (1 - (difference of deviations)^2 / (peak / 2)^2) correlation; the correlation
    of two flat bands counts as 1, that of a flat and a varying one as 0.
    """
    x, y = (image.flatten(1).double().clamp(0, peak) for image in (x, y))
    mean_x, mean_y = x.mean(1), y.mean(1)
    powers = torch.linalg.vecdot(x, x), torch.linalg.vecdot(y, y)
    x, y = x - mean_x[:, None], y - mean_y[:, None]
    scatters = torch.linalg.vecdot(x, x), torch.linalg.vecdot(y, y)
    varies = [scatter > FLAT * power for scatter, power in zip(scatters, powers, strict=True)]
    norm = (scatters[0] * scatters[1]).sqrt()
    both = varies[0] & varies[1]
    correlation = torch.where(both, torch.linalg.vecdot(x, y) / torch.where(both, norm, 1.0), (~varies[0] & ~varies[1]).double())
    spread_x, spread_y = (scatter.div(max(x.shape[1] - 1, 1)).sqrt() for scatter in scatters)
    # The largest possible deviation of values in [0, peak] is peak / 2, up to the n - 1.
    apart = ((spread_x - spread_y) / (peak / 2)).square().clamp(max=1)
    return (1 - ((mean_x - mean_y) / peak).square()) * (1 - apart) * correlation


def response(ms: Tensor, guide: Tensor, sensor: Sensor) -> Tensor:
    """Non-negative weights of the bands of ms whose sum comes closest to the degraded guide, (B, C) float64."""
    low = mtf_pan(guide, sensor, step=sensor.ratio)
    matrix, right = gram(ms, ms), gram(ms, low)[..., 0]
    scale = matrix.diagonal(dim1=-2, dim2=-1).sqrt()
    scale = torch.where(scale > 0, scale, 1.0)
    return nonnegative(matrix / scale[..., None] / scale[:, None], right / scale) / scale
