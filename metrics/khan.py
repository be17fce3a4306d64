"""Khan's protocol: consistency of the low-passed image with ms, and of the high-passed image with the guide.

Khan, Alparone, Chanussot, IEEE TGRS 47(11):3880-3891, 2009 (doi 10.1109/TGRS.2009.2029094). Filters match the sensor's MTF.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from waldbench.imaging import Sensor
from waldbench.imaging.filters import mtf
from waldbench.metrics.base import register, require_panchromatic
from waldbench.metrics.no_reference import d_lambda_k, low_pass
from waldbench.metrics.uiqi import FLAT, block_rows, centre, from_moments, require_size


@register(
    title="D_s,K",
    direction="lower",
    best=0.0,
    convention="at the guide's scale: UIQI in distinct 32x32 blocks (all three factors) of details, which are images minus their "
    "blur by each band's MTF; low-passed guide as in d_s",
    reference="Khan, Alparone, Chanussot, IEEE TGRS 47(11):3880-3891, 2009, doi 10.1109/TGRS.2009.2029094",
)
def d_s_k(fused: Tensor, lms: Tensor, guide: Tensor, *, sensor: Sensor, block: int = 32) -> Tensor:
    """Khan's spatial distortion: how much the likeness of details between bands and guide changes by fusion.

    Args:
        fused: fused images (B, C, H, W).
        lms: interpolated low-resolution images of the same shape.
        guide: panchromatic images (B, 1, H, W).
        sensor: sensor of the images; its MTF separates the details.
        block: block side in pixels.

    Returns:
        (B,) float64 in [0, 2].

    Raises:
        ValueError: if the guide has more than one channel, the sensor another band count, or the image is smaller than a block.

    Example:
        >>> import torch
        >>> from waldbench import sensors
        >>> from waldbench.metrics.khan import d_s_k, low_pass
        >>> guide, sensor = torch.arange(64.0).view(1, 1, 8, 8), sensors.generic(1)
        >>> round(d_s_k(2 * guide, low_pass(guide, sensor), guide, sensor=sensor, block=8).item(), 4)  # UIQI of 2 x and x is 0.64
        0.36
    """
    require_panchromatic("d_s_k", guide)
    require_size(fused, block)
    if len(sensor.mtf) != fused.shape[1]:
        raise ValueError(f"sensor has MTF gains for {len(sensor.mtf)} bands, the image has {fused.shape[1]}; use its own sensor")
    high, low = (_likeness(x, pan, sensor, block) for x, pan in ((fused, guide), (lms, low_pass(guide, sensor))))
    return (high - low).abs().mean(-1)


def _likeness(x: Tensor, pan: Tensor, sensor: Sensor, block: int) -> Tensor:
    """Index of the details of every band of x and of the guide, mean over blocks, (B, C)."""
    pan = pan.double()
    details: dict[float, Tensor] = {}
    values = []
    for band in range(x.shape[1]):
        gain = sensor.mtf[band]
        one = replace(sensor, mtf=(gain,))
        if gain not in details:
            details[gain] = pan - mtf(pan, one)
        image = x[:, band : band + 1].double()
        values.append(_block_index(image - mtf(image, one), details[gain], block))
    return torch.stack(values, -1)


def _block_index(x: Tensor, y: Tensor, block: int) -> Tensor:
    """UIQI of single bands (B, 1, H, W), mean over blocks, (B,)."""
    parts = []
    for a, b in zip(block_rows(x, block), block_rows(y, block), strict=True):
        # Details of a flat block are a constant (the kernels' sum is not 1) that varies by rounding only.
        flat = FLAT * (torch.linalg.vecdot(a, a) + torch.linalg.vecdot(b, b))
        (mean_a, a), (mean_b, b) = centre(a), centre(b)
        variances = torch.linalg.vecdot(a, a) + torch.linalg.vecdot(b, b)
        parts.append(from_moments(torch.linalg.vecdot(a, b), variances, mean_a, mean_b, flat))
    return torch.cat(parts, 1).mean((-2, -1))


@register(
    title="FQNR",
    direction="higher",
    best=1.0,
    convention="(1 - D_λ,K)(1 - D_s,K) per image; conventions of d_lambda_k and d_s_k",
    reference="Khan, Alparone, Chanussot, IEEE TGRS 47(11):3880-3891, 2009, doi 10.1109/TGRS.2009.2029094",
)
def fqnr(fused: Tensor, lms: Tensor, guide: Tensor, *, sensor: Sensor, block: int = 32) -> Tensor:
    """Filter-based quality with no reference (Khan's protocol).

    Returns (B,) float64 of at most 1; arguments and errors as in `d_lambda_k` and `d_s_k`.

    Example:
        >>> import torch
        >>> from waldbench import Scene, metrics, sensors
        >>> image = torch.arange(64.0).view(1, 1, 8, 8)
        >>> scene, options = Scene(image[..., :2, :2], image, image), {"sensor": sensors.generic(1), "block": 8}
        >>> total, *parts = (metrics.compute(key, image, scene, **options) for key in ("fqnr", "d_lambda_k", "d_s_k"))
        >>> torch.allclose(total, (1 - parts[0]) * (1 - parts[1]))
        True
    """
    spectral = 1 - d_lambda_k(fused, lms, sensor=sensor, block=block)
    return spectral * (1 - d_s_k(fused, lms, guide, sensor=sensor, block=block))
