"""Spatial consistency by local correlation of the fused bands with the guide."""

from __future__ import annotations

import torch
from torch import Tensor

from waldbench.imaging import Sensor
from waldbench.imaging.operators import separable
from waldbench.metrics.base import register, require_panchromatic
from waldbench.metrics.uiqi import FLAT, require_size, window_sum


@register(
    title="D_ρ",
    direction="lower",
    best=0.0,
    convention="1 - mean over all bands and all ratio x ratio windows inside the image of Pearson's correlation with the guide; "
    "two flat windows count as 1, a flat and a varying one as 0",
    reference="Scarpa, Ciotola, Remote Sensing 14(8):1808, 2022, doi 10.3390/rs14081808",
)
def d_rho(fused: Tensor, guide: Tensor, *, sensor: Sensor) -> Tensor:
    """Spatial distortion as lack of local correlation with the guide.

    It means little for bands outside the guide's spectral range: see `band_correlation` for the value of every band.

    Args:
        fused: fused images (B, C, H, W).
        guide: panchromatic images (B, 1, H, W).
        sensor: sensor of the images; its ratio is the window's side in pixels.

    Returns:
        (B,) float64 in [0, 2].

    Raises:
        ValueError: if the guide has more than one channel, or the image is smaller than one window.

    Example:
        >>> import torch
        >>> from waldbench import sensors
        >>> from waldbench.metrics.local_correlation import d_rho
        >>> guide = torch.arange(64.0).view(1, 1, 8, 8)
        >>> round(d_rho(-guide, guide, sensor=sensors.generic(1)).item(), 4)
        2.0
    """
    return 1 - band_correlation(fused, guide, sensor.ratio).mean(-1)


def band_correlation(fused: Tensor, guide: Tensor, window: int) -> Tensor:
    """Mean correlation of every band with the guide in window x window neighbourhoods, (B, C) float64 in [-1, 1].

    Arguments and errors as in `d_rho`; `window` is in pixels, 2 or more.
    """
    require_panchromatic("d_rho", guide)
    if window < 2:
        raise ValueError(f"window: expected 2 or more pixels a side, got {window}; a single pixel has no correlation")
    require_size(fused, window)
    rows, columns = window_sum(fused.shape[-2], window), window_sum(fused.shape[-1], window)

    def moments(x: Tensor) -> tuple[Tensor, Tensor]:
        total, power = separable(x, rows, columns), separable(x * x, rows, columns)
        scatter = window * window * power - total * total
        return total, torch.where(scatter > FLAT * window * window * power, scatter, 0.0)

    pan = guide[:, 0].double()
    pan_total, pan_scatter = moments(pan)
    values = []
    for band in range(fused.shape[1]):
        x = fused[:, band].double()
        total, scatter = moments(x)
        cross = window * window * separable(x * pan, rows, columns) - total * pan_total
        norm = (scatter * pan_scatter).sqrt()
        both_flat = ((scatter == 0) & (pan_scatter == 0)).double()
        correlation = torch.where(norm > 0, cross / torch.where(norm > 0, norm, 1.0), both_flat)
        values.append(correlation.clamp(-1, 1).mean((-2, -1)))
    return torch.stack(values, -1)
