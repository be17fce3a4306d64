"""Pixel errors and correlations: PSNR, RMSE, MAE, CC."""

from __future__ import annotations

import torch
from torch import Tensor

from waldbench.imaging import Sensor
from waldbench.metrics import conventions
from waldbench.metrics.base import register
from waldbench.metrics.spectral import band_mse


@register(
    pixelwise=True,
    title="PSNR",
    direction="higher",
    best="inf",
    unit="dB",
    convention="joint: one MSE over all pixels and bands, peak 2^bits - 1 of the sensor, no clipping; equal images give infinity",
    reference="Vivone et al., IEEE GRSM 9(1):53-81, 2021, doi 10.1109/MGRS.2020.3019315",
)
def psnr(fused: Tensor, gt: Tensor, *, sensor: Sensor) -> Tensor:
    """Peak signal-to-noise ratio of one error over all bands.

    Args:
        fused: fused images (B, C, H, W) in digital numbers.
        gt: ground truth of the same shape.
        sensor: sensor of the images; its scale is the peak.

    Returns:
        (B,) float64 in dB.

    Example:
        >>> import torch
        >>> from waldbench import sensors
        >>> from waldbench.metrics.pixel import psnr
        >>> gt = torch.zeros(1, 8, 2, 2)
        >>> round(psnr(gt + 204.7, gt, sensor=sensors.get("wv3")).item(), 4)  # an error of a tenth of the peak
        20.0
    """
    return _decibel(band_mse(fused, gt).mean(-1), sensor.scale)


@register(
    pixelwise=True,
    title="MPSNR",
    direction="higher",
    best="inf",
    unit="dB",
    convention="mean over bands of the PSNR of each band, peak 2^bits - 1; about 1.5 dB above the joint PSNR on 8 bands",
    reference="Vivone et al., IEEE GRSM 9(1):53-81, 2021, doi 10.1109/MGRS.2020.3019315",
)
def mpsnr(fused: Tensor, gt: Tensor, *, sensor: Sensor) -> Tensor:
    """Mean over bands of the peak signal-to-noise ratio.

    Arguments and result as in `psnr`.

    Example:
        >>> import torch
        >>> from waldbench import sensors
        >>> from waldbench.metrics.pixel import mpsnr
        >>> errors = torch.tensor([204.7, 20.47]).view(1, 2, 1, 1)  # 20 dB and 40 dB below the peak
        >>> round(mpsnr(errors, torch.zeros(1, 2, 1, 1), sensor=sensors.generic(2)).item(), 4)
        30.0
    """
    return _decibel(band_mse(fused, gt), sensor.scale).mean(-1)


def _decibel(mse: Tensor, peak: float) -> Tensor:
    return 10 * (peak**2 / mse).log10()


@register(
    pixelwise=True,
    title="RMSE",
    direction="lower",
    best=0.0,
    unit="DN",
    convention="over all pixels and bands, digital numbers",
    reference="Vivone et al., IEEE GRSM 9(1):53-81, 2021, doi 10.1109/MGRS.2020.3019315",
)
def rmse(fused: Tensor, gt: Tensor) -> Tensor:
    """Root mean squared error over pixels and bands.

    Images are (B, C, H, W) in digital numbers; returns (B,) float64 in digital numbers.

    Example:
        >>> import torch
        >>> from waldbench.metrics.pixel import rmse
        >>> round(rmse(torch.tensor([-1.0, 7.0]).view(1, 1, 1, 2), torch.zeros(1, 1, 1, 2)).item(), 4)  # the root of (1 + 49) / 2
        5.0
    """
    return band_mse(fused, gt).mean(-1).sqrt()


@register(
    pixelwise=True,
    title="MAE",
    direction="lower",
    best=0.0,
    unit="DN",
    convention="over all pixels and bands, digital numbers",
    reference="Vivone et al., IEEE GRSM 9(1):53-81, 2021, doi 10.1109/MGRS.2020.3019315",
)
def mae(fused: Tensor, gt: Tensor, *, sensor: Sensor | None = None, convention: str = conventions.DEFAULT) -> Tensor:
    """Mean absolute error over pixels and bands.

    Images are (B, C, H, W) in digital numbers; returns (B,) float64 in digital numbers, under the convention "cloud-removal" in
    units of the sensor's scale.

    Raises:
        ValueError: for an unknown convention.

    Example:
        >>> import torch
        >>> from waldbench.metrics.pixel import mae
        >>> round(mae(torch.tensor([-1.0, 7.0]).view(1, 1, 1, 2), torch.zeros(1, 1, 1, 2)).item(), 4)
        4.0
    """
    conventions.choose("mae", convention)
    return (fused - gt).abs_().mean((1, 2, 3), dtype=torch.float64) / unit(sensor, convention)


def unit(sensor: Sensor | None, convention: str) -> float:
    """What absolute errors are divided by: 1, or the sensor's scale under the convention "cloud-removal"."""
    if convention != conventions.CLOUDS:
        return 1.0
    if sensor is None:
        raise ValueError(f"convention '{convention}' needs the sensor: errors are divided by its scale")
    return sensor.scale


@register(
    pixelwise=True,
    title="CC",
    direction="higher",
    best=1.0,
    convention="mean over bands of Pearson's correlation of all pixels; two flat bands count as 1, a flat and a varying one as 0",
    reference="Vivone et al., IEEE GRSM 9(1):53-81, 2021, doi 10.1109/MGRS.2020.3019315",
)
def cc(fused: Tensor, gt: Tensor) -> Tensor:
    """Correlation coefficient, mean over bands.

    Images are (B, C, H, W); returns (B,) float64 in [-1, 1].

    Example:
        >>> import torch
        >>> from waldbench.metrics.pixel import cc
        >>> gt = torch.arange(4.0).view(1, 1, 2, 2)
        >>> round(cc(5 - 2 * gt, gt).item(), 4)
        -1.0
    """
    return torch.stack([_pearson(fused[:, band], gt[:, band]) for band in range(gt.shape[1])], -1).mean(-1)


def _pearson(x: Tensor, y: Tensor) -> Tensor:
    x, y = (image.flatten(1).double() for image in (x, y))
    flat_x, flat_y = (image.amax(1) == image.amin(1) for image in (x, y))
    x, y = (image - image.mean(1, keepdim=True) for image in (x, y))
    norm = (torch.linalg.vecdot(x, x) * torch.linalg.vecdot(y, y)).sqrt()
    defined = ~(flat_x | flat_y) & (norm > 0)
    value = torch.linalg.vecdot(x, y) / torch.where(defined, norm, 1.0)
    return torch.where(defined, value, (flat_x & flat_y).double())
