"""Errors under clouds and beside them."""

from __future__ import annotations

import torch
from torch import Tensor

from waldbench.imaging import Sensor
from waldbench.imaging.clouds import covered
from waldbench.metrics import conventions
from waldbench.metrics.base import register
from waldbench.metrics.pixel import unit


@register(
    pixelwise=True,
    title="MAE_cloudy",
    direction="lower",
    best=0.0,
    unit="DN",
    convention="over the pixels whose cloud and shadow mask is 0.2 or more, all bands, digital numbers",
    reference="Meraner, Ebel, Zhu, Schmitt, ISPRS JPRS 166:333-346, 2020, doi 10.1016/j.isprsjprs.2020.05.013",
)
def mae_cloudy(
    fused: Tensor, gt: Tensor, mask: Tensor, *, sensor: Sensor | None = None, convention: str = conventions.DEFAULT
) -> Tensor:
    """Mean absolute error where clouds or their shadows hide the ground: what was made up.

    Args:
        fused: fused images (B, C, H, W) in digital numbers.
        gt: ground truth of the same shape.
        mask: clouds and shadows (B, 1, H, W), 0 to 1.
        sensor: sensor of the images, needed by the convention "cloud-removal", which divides by its scale.
        convention: "dlpan" (digital numbers) or "cloud-removal" (reflectance).

    Returns:
        (B,) float64; NaN for an image without a covered pixel.

    Raises:
        ValueError: for an unknown convention.

    Example:
        >>> import torch
        >>> from waldbench.metrics.cloud import mae_cloudy
        >>> errors, mask = torch.tensor([[5.0, 1.0], [1.0, 0.0]])[:, None, None, None]
        >>> round(mae_cloudy(errors, torch.zeros(1, 1, 1, 2), mask).item(), 4)
        5.0
    """
    conventions.choose("mae_cloudy", convention)
    return _mean_error(fused, gt, covered(mask)) / unit(sensor, convention)


@register(
    pixelwise=True,
    title="MAE_clear",
    direction="lower",
    best=0.0,
    unit="DN",
    convention="over the pixels whose cloud and shadow mask is below 0.2, all bands, digital numbers",
    reference="Meraner, Ebel, Zhu, Schmitt, ISPRS JPRS 166:333-346, 2020, doi 10.1016/j.isprsjprs.2020.05.013",
)
def mae_clear(
    fused: Tensor, gt: Tensor, mask: Tensor, *, sensor: Sensor | None = None, convention: str = conventions.DEFAULT
) -> Tensor:
    """Mean absolute error where the sky was clear: what a method spoilt; NaN for an image covered all over.

    Arguments and errors as in `mae_cloudy`.

    Example:
        >>> import torch
        >>> from waldbench.metrics.cloud import mae_clear
        >>> errors, mask = torch.tensor([[5.0, 1.0], [1.0, 0.0]])[:, None, None, None]
        >>> round(mae_clear(errors, torch.zeros(1, 1, 1, 2), mask).item(), 4)
        1.0
    """
    conventions.choose("mae_clear", convention)
    return _mean_error(fused, gt, ~covered(mask)) / unit(sensor, convention)


def _mean_error(fused: Tensor, gt: Tensor, where: Tensor) -> Tensor:
    error = (fused - gt).abs_().mean(1, keepdim=True, dtype=torch.float64)
    # 0 / 0 is NaN: an error over no pixel at all.
    return (error * where).sum((1, 2, 3)) / where.sum((1, 2, 3))
