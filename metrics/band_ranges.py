"""Errors of the bands that the guide sees, apart from those that it does not: asked of hyperspectral images."""

from __future__ import annotations

import torch
from torch import Tensor

from waldbench.imaging import Sensor
from waldbench.metrics.base import register
from waldbench.metrics.spectral import ergas


@register(
    pixelwise=True,
    title="ERGAS in PAN",
    direction="lower",
    best=0.0,
    convention="ERGAS over the bands whose centre lies in the guide's spectral range; 0 where there is none",
    reference="after Ciotola, Guarino, Vivone et al., arXiv 2407.01355 (indices of the bands that overlap PAN)",
)
def ergas_pan(fused: Tensor, gt: Tensor, *, sensor: Sensor) -> Tensor:
    """Relative error of the bands inside the guide's spectral range, `ergas` of these bands alone.

    Args:
        fused: fused images (B, C, H, W) in digital numbers.
        gt: ground truth of the same shape.
        sensor: sensor of the images; its centres and `pan` choose the bands, its ratio scales the value.

    Returns:
        (B,) float64, 0 or more; 0 where no band lies there.

    Example:
        >>> import torch
        >>> from waldbench import sensors
        >>> from waldbench.metrics.band_ranges import ergas_pan
        >>> gt, error = torch.full((1, 8, 2, 2), 100.0), torch.tensor([50.0, 10, 10, 10, 10, 10, 50, 50]).view(1, 8, 1, 1)
        >>> round(ergas_pan(gt + error, gt, sensor=sensors.get("wv3")).item(), 4)  # PAN sees bands 2 to 6
        2.5
    """
    return _ergas_of(sensor.within_pan(), fused, gt, sensor)


@register(
    pixelwise=True,
    title="ERGAS beyond",
    direction="lower",
    best=0.0,
    convention="ERGAS over the bands whose centre lies outside the guide's spectral range; 0 where there is none",
    reference="after Ciotola, Guarino, Vivone et al., arXiv 2407.01355 (indices of the bands that do not overlap PAN)",
)
def ergas_beyond(fused: Tensor, gt: Tensor, *, sensor: Sensor) -> Tensor:
    """Relative error of the bands outside the guide's spectral range, whose details the guide does not show.

    Arguments and result as in `ergas_pan`.

    Example:
        >>> import torch
        >>> from waldbench import sensors
        >>> from waldbench.metrics.band_ranges import ergas_beyond
        >>> gt, error = torch.full((1, 8, 2, 2), 100.0), torch.tensor([10.0, 50, 50, 50, 50, 50, 10, 10]).view(1, 8, 1, 1)
        >>> round(ergas_beyond(gt + error, gt, sensor=sensors.get("wv3")).item(), 4)
        2.5
    """
    return _ergas_of(tuple(not inside for inside in sensor.within_pan()), fused, gt, sensor)


def _ergas_of(chosen: tuple[bool, ...], fused: Tensor, gt: Tensor, sensor: Sensor) -> Tensor:
    if len(chosen) != gt.shape[1]:
        raise ValueError(f"sensor has {len(chosen)} bands, the image has {gt.shape[1]}; use the sensor of the image")
    bands = [band for band, wanted in enumerate(chosen) if wanted]
    if not bands:
        return torch.zeros(len(gt), dtype=torch.float64, device=gt.device)
    return ergas(fused[:, bands], gt[:, bands], sensor=sensor)
