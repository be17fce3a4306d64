"""Spectral fidelity: spectral angle and relative global error."""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor

from waldbench.imaging import Sensor
from waldbench.metrics import conventions
from waldbench.metrics.base import register

EPS = 2.0**-52


@register(
    pixelwise=True,
    title="SAM",
    direction="lower",
    best=0.0,
    unit="°",
    convention="DLPan: degrees, mean over the pixels where both spectra have a norm, no shift, no clipping of images",
    reference="Yuhas, Goetz, Boardman, JPL Airborne Geoscience Workshop, 1992; Vivone et al., doi 10.1109/MGRS.2020.3019315",
)
def sam(fused: Tensor, gt: Tensor, *, convention: str = conventions.DEFAULT) -> Tensor:
    """Mean spectral angle.

    Pixels where either spectrum is zero are left out. If that leaves none, the value is 0 for equal images and else 90.

    Args:
        fused: fused images (B, C, H, W) in digital numbers.
        gt: ground truth of the same shape.
        convention: "dlpan", "hs-toolbox" or "cloud-removal" (mean over all pixels), or "torchmetrics-compatible" (radians).

    Returns:
        (B,) float64 in degrees, [0, 180].

    Raises:
        ValueError: for an unknown convention.

    Example:
        >>> import torch
        >>> from waldbench.metrics.spectral import sam
        >>> red, yellow = torch.tensor([[1.0, 0.0], [1.0, 1.0]])[:, None, :, None, None]
        >>> round(sam(red, yellow).item(), 4)
        45.0
    """
    conventions.choose("sam", convention)
    angle, valid = _angles(fused, gt)
    if convention in {conventions.HS, conventions.CLOUDS}:
        return angle.mean((-2, -1))
    if convention == conventions.TORCHMETRICS:
        angle = angle.deg2rad()
    count = valid.sum((-2, -1))
    equal = (fused == gt).flatten(1).all(1)
    worst = torch.where(equal, 0.0, pi / 2 if convention == conventions.TORCHMETRICS else 90.0).double()
    return torch.where(count > 0, angle.sum((-2, -1)) / count.clamp(min=1), worst)


def sam_map(fused: Tensor, gt: Tensor) -> Tensor:
    """Spectral angle of every pixel, (B, H, W) float64 in degrees; 0 where either spectrum is zero."""
    return _angles(fused, gt)[0]


def _angles(fused: Tensor, gt: Tensor) -> tuple[Tensor, Tensor]:
    shape = (fused.shape[0], *fused.shape[-2:])
    dot, power, power_gt = (torch.zeros(shape, dtype=torch.float64, device=fused.device) for _ in range(3))
    # Band by band: a float64 copy of a hyperspectral cube would be needlessly large.
    for band in range(fused.shape[1]):
        x, y = fused[:, band].double(), gt[:, band].double()
        dot.addcmul_(x, y)
        power.addcmul_(x, x)
        power_gt.addcmul_(y, y)
    norm = (power * power_gt).sqrt_()
    valid = norm > 0
    # Rounding can push a cosine above 1; its complex arc cosine has real part 0, which is what the toolbox keeps.
    cosine = torch.where(valid, dot / norm, 1.0).clamp_(-1, 1)
    return torch.rad2deg(cosine.acos_()), valid


@register(
    pixelwise=True,
    title="ERGAS",
    direction="lower",
    best=0.0,
    convention="DLPan: 100 / ratio, band means of the reference; bands of mean zero divide by 2^-52",
    reference="Wald, Data Fusion, Presses des Mines, 2002; Vivone et al., doi 10.1109/MGRS.2020.3019315",
)
def ergas(fused: Tensor, gt: Tensor, *, sensor: Sensor) -> Tensor:
    """Relative dimensionless global error in synthesis: (100 / ratio) sqrt(mean over bands of MSE / mean^2).

    Values of different ratios must not be compared.

    Args:
        fused: fused images (B, C, H, W) in digital numbers.
        gt: ground truth of the same shape.
        sensor: sensor of the images; its ratio scales the value.

    Returns:
        (B,) float64, 0 or more.

    Example:
        >>> import torch
        >>> from waldbench import sensors
        >>> from waldbench.metrics.spectral import ergas
        >>> gt = torch.full((1, 8, 2, 2), 100.0)
        >>> round(ergas(gt + 10, gt, sensor=sensors.get("wv3")).item(), 4)  # 100 / 4 times a relative error of 0.1
        2.5
    """
    mse = band_mse(fused, gt)
    mean = gt.mean((-2, -1), dtype=torch.float64)
    relative = mse / torch.where(mean == 0, EPS, mean) ** 2
    return 100 / sensor.ratio * relative.mean(-1).sqrt()


def band_mse(fused: Tensor, gt: Tensor) -> Tensor:
    """Mean squared error of every band, (B, C) float64."""
    return (fused - gt).square_().mean((-2, -1), dtype=torch.float64)
