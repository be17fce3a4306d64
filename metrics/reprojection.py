"""Reprojection: is the fused image, seen through the sensor again, the low-resolution image that it was made from?

Scarpa, Ciotola, Remote Sensing 14(8):1808, 2022 (doi 10.3390/rs14081808), call it the reprojection protocol. They estimate
a shift of every band first; here bands are taken as registered, with the field's sampling phase.
"""

from __future__ import annotations

from torch import Tensor

from waldbench.imaging import Sensor
from waldbench.imaging.filters import mtf
from waldbench.metrics.base import register
from waldbench.metrics.hypercomplex import q2n
from waldbench.metrics.spectral import ergas, sam


def reproject(fused: Tensor, ms: Tensor, sensor: Sensor) -> Tensor:
    """Blur the fused image (B, C, H, W) with the sensor's MTF and decimate it to the grid of ms (B, C, h, w).

    Raises:
        ValueError: if the sensor's ratio does not lead from one grid to the other, or for another band count.
    """
    low = mtf(fused, sensor, step=sensor.ratio)
    if low.shape != ms.shape:
        raise ValueError(
            f"fused of {tuple(fused.shape[-2:])} at ratio {sensor.ratio} gives {tuple(low.shape)}, and ms has {tuple(ms.shape)}; "
            f"use the sensor with the scene's ratio (sensor.with_ratio)"
        )
    return low


@register(
    title="R-SAM",
    direction="lower",
    best=0.0,
    unit="°",
    convention="SAM of ms and the fused image blurred by the sensor's MTF (kernel not normalised) and decimated; no shift of "
    "bands is estimated",
    reference="Scarpa, Ciotola, Remote Sensing 14(8):1808, 2022, doi 10.3390/rs14081808",
)
def r_sam(fused: Tensor, ms: Tensor, *, sensor: Sensor) -> Tensor:
    """Spectral angle after reprojection.

    Args:
        fused: fused images (B, C, H, W) in digital numbers.
        ms: low-resolution images (B, C, h, w).
        sensor: sensor of the images; its MTF and ratio reproject the fused image.

    Returns:
        (B,) float64 in degrees, [0, 180].

    Raises:
        ValueError: if the sensor has another band count or ratio.

    Example:
        >>> import torch
        >>> from waldbench import sensors
        >>> from waldbench.metrics.reprojection import r_sam
        >>> red, yellow = torch.tensor([[1.0, 0.0], [1.0, 1.0]])[:, None, :, None, None].expand(2, 1, 2, 8, 8)
        >>> round(r_sam(red, yellow[..., :2, :2], sensor=sensors.generic(2)).item(), 4)
        45.0
    """
    return sam(reproject(fused, ms, sensor), ms)


@register(
    title="R-ERGAS",
    direction="lower",
    best=0.0,
    convention="ERGAS (100 / ratio, means of ms) of ms and the fused image blurred by the sensor's MTF (kernel not normalised) "
    "and decimated; no shift of bands is estimated",
    reference="Scarpa, Ciotola, Remote Sensing 14(8):1808, 2022, doi 10.3390/rs14081808",
)
def r_ergas(fused: Tensor, ms: Tensor, *, sensor: Sensor) -> Tensor:
    """Relative global error after reprojection.

    Returns (B,) float64 of at least 0; arguments and errors as in `r_sam`.

    Example:
        >>> import torch
        >>> from waldbench import sensors
        >>> from waldbench.metrics.reprojection import r_ergas, reproject
        >>> fused, sensor = torch.full((1, 1, 8, 8), 100.0), sensors.generic(1)
        >>> seen = reproject(fused, fused[..., :2, :2], sensor)
        >>> round(r_ergas(1.1 * fused, seen, sensor=sensor).item(), 4)  # 100 / 4 times a relative error of 0.1
        2.5
    """
    return ergas(reproject(fused, ms, sensor), ms, sensor=sensor)


@register(
    title="R-Q2n",
    direction="higher",
    best=1.0,
    convention="Q2n (blocks of 32x32 pixels of ms) of ms and the fused image blurred by the sensor's MTF (kernel not normalised) "
    "and decimated; no shift of bands is estimated",
    reference="Scarpa, Ciotola, Remote Sensing 14(8):1808, 2022, doi 10.3390/rs14081808",
)
def r_q2n(fused: Tensor, ms: Tensor, *, sensor: Sensor, block: int = 32) -> Tensor:
    """Q2n after reprojection.

    Args:
        fused: fused images (B, C, H, W) in digital numbers.
        ms: low-resolution images (B, C, h, w).
        sensor: sensor of the images; its MTF and ratio reproject the fused image.
        block: block side in pixels of ms.

    Returns:
        (B,) float64 in [0, 1]; 1 - r_q2n is `d_lambda_k` of the convention "hs-toolbox".

    Raises:
        ValueError: if the sensor has another band count or ratio, or ms has less than half a block a side.

    Example:
        >>> import torch
        >>> from waldbench import sensors
        >>> from waldbench.metrics.reprojection import r_q2n, reproject
        >>> fused, sensor = torch.arange(64.0).view(1, 1, 8, 8), sensors.generic(1)
        >>> round(r_q2n(fused, reproject(fused, fused[..., :2, :2], sensor), sensor=sensor, block=2).item(), 4)
        1.0
    """
    return q2n(reproject(fused, ms, sensor), ms, block=block)
