"""Indices without reference: spectral and spatial distortion, QNR and hybrid QNR.

They compare relations between bands and guide before and after fusion, at full resolution, and need a panchromatic guide.
"""

from __future__ import annotations

import torch
from torch import Tensor

from waldbench.imaging import Sensor
from waldbench.imaging.filters import mtf
from waldbench.imaging.resampling import imresize, interp23
from waldbench.metrics import conventions
from waldbench.metrics.base import register, require_panchromatic
from waldbench.metrics.hypercomplex import q2n
from waldbench.metrics.reprojection import reproject
from waldbench.metrics.uiqi import block_uiqi, gaussian_uiqi


@register(
    title="D_λ",
    direction="lower",
    best=0.0,
    convention="DLPan: against lms at the guide's scale, distinct 32x32 blocks (a partial block at the bottom or right is left "
    "out), n-1 covariance, mean over band pairs; one band gives 0",
    reference="Alparone et al., PE&RS 74(2):193-200, 2008, doi 10.14358/PERS.74.2.193",
)
def d_lambda(fused: Tensor, lms: Tensor, *, block: int = 32, p: float = 1, convention: str = conventions.DEFAULT) -> Tensor:
    """Spectral distortion: how much the UIQI between bands changes by fusion.

    Args:
        fused: fused images (B, C, H, W).
        lms: interpolated low-resolution images of the same shape.
        block: block side in pixels.
        p: exponent of the mean over band pairs.
        convention: "dlpan" or "torchmetrics-compatible" (Gaussian windows; `block` is ignored).

    Returns:
        (B,) float64 in [0, 2].

    Raises:
        ValueError: if the image is smaller than one block, or for an unknown convention.

    Example:
        >>> import torch
        >>> from waldbench.metrics.no_reference import d_lambda
        >>> band = torch.arange(64.0).view(1, 1, 8, 8)  # UIQI of 2 x and x is 0.64
        >>> round(d_lambda(torch.cat([band, band], 1), torch.cat([band, 2 * band], 1), block=8).item(), 4)
        0.36
    """
    conventions.choose("d_lambda", convention)
    if convention == conventions.TORCHMETRICS:
        pairs = (_gaussian_pairs(fused) - _gaussian_pairs(lms)).abs()
    else:
        first, second = torch.triu_indices(fused.shape[1], fused.shape[1], offset=1, device=fused.device)
        pairs = (block_uiqi(fused, fused, block) - block_uiqi(lms, lms, block)).abs()[:, first, second]
    return (pairs**p).sum(-1).div(max(pairs.shape[1], 1)) ** (1 / p)


def _gaussian_pairs(x: Tensor) -> Tensor:
    count = x.shape[1]
    pairs = [gaussian_uiqi(x[:, i], x[:, j]) for i in range(count) for j in range(i + 1, count)]
    return torch.stack(pairs, -1) if pairs else torch.zeros(len(x), 0, dtype=torch.float64, device=x.device)


@register(
    title="D_s",
    direction="lower",
    best=0.0,
    convention="DLPan: guide low-passed by bicubic antialiased shrinking and 23-tap interpolation, against lms at the guide's "
    "scale, distinct 32x32 blocks (a partial block at the bottom or right is left out), n-1 covariance",
    reference="Alparone et al., PE&RS 74(2):193-200, 2008, doi 10.14358/PERS.74.2.193",
)
def d_s(fused: Tensor, lms: Tensor, guide: Tensor, *, sensor: Sensor, block: int = 32, q: float = 1) -> Tensor:
    """Spatial distortion: how much the UIQI between bands and guide changes by fusion.

    Args:
        fused: fused images (B, C, H, W).
        lms: interpolated low-resolution images of the same shape.
        guide: panchromatic images (B, 1, H, W).
        sensor: sensor of the images; its ratio sets the low-pass of the guide.
        block: block side in pixels.
        q: exponent of the mean over bands.

    Returns:
        (B,) float64 in [0, 2].

    Raises:
        ValueError: if the guide has more than one channel, or the image is smaller than one block.

    Example:
        >>> import torch
        >>> from waldbench import sensors
        >>> from waldbench.metrics.no_reference import d_s, low_pass
        >>> guide, sensor = torch.arange(64.0).view(1, 1, 8, 8), sensors.generic(1)
        >>> round(d_s(2 * guide, low_pass(guide, sensor), guide, sensor=sensor, block=8).item(), 4)  # UIQI of 2 x and x is 0.64
        0.36
    """
    require_panchromatic("d_s", guide)
    change = (block_uiqi(fused, guide, block) - block_uiqi(lms, low_pass(guide, sensor), block)).abs()
    return (change**q).mean((-2, -1)) ** (1 / q)


def low_pass(guide: Tensor, sensor: Sensor) -> Tensor:
    """The guide (B, 1, H, W) at the resolution of ms on its own grid, float64: bicubic shrinking, 23-tap interpolation."""
    return interp23(imresize(guide.double(), 1 / sensor.ratio), sensor.ratio)


@register(
    title="D_λ,K",
    direction="lower",
    best=0.0,
    convention="DLPan: 1 - Q2n of lms and the MTF-blurred fused image at the guide's scale (not decimated), blocks as in q2n",
    reference="Khan, Alparone, Chanussot, IEEE TGRS 47(11):3880-3891, 2009, doi 10.1109/TGRS.2009.2029094",
)
def d_lambda_k(
    fused: Tensor,
    lms: Tensor,
    ms: Tensor | None = None,
    *,
    sensor: Sensor,
    block: int = 32,
    convention: str = conventions.DEFAULT,
) -> Tensor:
    """Khan's spectral distortion: the fused image, blurred by the sensor's MTF, should be lms.

    Args:
        fused: fused images (B, C, H, W) in digital numbers.
        lms: interpolated low-resolution images of the same shape.
        ms: low-resolution images (B, C, h, w); read by the convention "hs-toolbox" alone.
        sensor: sensor of the images; its MTF blurs the fused image.
        block: block side in pixels.
        convention: "dlpan" (scale of the guide) or "hs-toolbox" (scale of ms, so blocks of 32 cover more ground).

    Returns:
        (B,) float64 in [0, 1].

    Raises:
        ValueError: if the sensor has another band count, the image is too small for the block, or for an unknown convention.

    Example:
        >>> import torch
        >>> from waldbench import sensors
        >>> from waldbench.imaging.filters import mtf
        >>> from waldbench.metrics.no_reference import d_lambda_k
        >>> fused, sensor = torch.arange(64.0).view(1, 1, 8, 8), sensors.generic(1)
        >>> round(1 - d_lambda_k(fused, mtf(fused, sensor), sensor=sensor, block=8).item(), 4)
        1.0
    """
    if conventions.choose("d_lambda_k", convention) == conventions.HS:
        if ms is None:
            raise ValueError("d_lambda_k of the convention 'hs-toolbox' compares with ms, got none; pass ms=")
        return 1 - q2n(reproject(fused, ms, sensor), ms, block=block)
    return 1 - q2n(mtf(fused, sensor), lms, block=block)


@register(
    title="QNR",
    product_of=("d_lambda", "d_s"),
    direction="higher",
    best=1.0,
    convention="DLPan: (1 - D_λ)^alpha (1 - D_s)^beta per image, both exponents 1; conventions of d_lambda and d_s",
    reference="Alparone et al., PE&RS 74(2):193-200, 2008, doi 10.14358/PERS.74.2.193",
)
def qnr(
    fused: Tensor,
    lms: Tensor,
    guide: Tensor,
    *,
    sensor: Sensor,
    block: int = 32,
    p: float = 1,
    q: float = 1,
    alpha: float = 1,
    beta: float = 1,
) -> Tensor:
    """Quality with no reference.

    Returns (B,) float64 of at most 1; arguments and errors as in `d_lambda` and `d_s`.

    Example:
        >>> import torch
        >>> from waldbench import sensors
        >>> from waldbench.metrics.no_reference import low_pass, qnr
        >>> guide, sensor = torch.arange(64.0).view(1, 1, 8, 8), sensors.generic(1)
        >>> round(qnr(2 * guide, low_pass(guide, sensor), guide, sensor=sensor, block=8).item(), 4)  # one band: 1 - d_s
        0.64
    """
    spectral = 1 - d_lambda(fused, lms, block=block, p=p)
    spatial = 1 - d_s(fused, lms, guide, sensor=sensor, block=block, q=q)
    return spectral**alpha * spatial**beta


@register(
    title="HQNR",
    product_of=("d_lambda_k", "d_s"),
    direction="higher",
    best=1.0,
    convention="DLPan: (1 - D_λ,K)(1 - D_s) per image; conventions of d_lambda_k and d_s",
    reference="Aiazzi et al., IGARSS 2014:2850-2853; Vivone et al., doi 10.1109/MGRS.2020.3019315",
)
def hqnr(fused: Tensor, lms: Tensor, guide: Tensor, *, sensor: Sensor, block: int = 32, q: float = 1) -> Tensor:
    """Hybrid quality with no reference.

    Returns (B,) float64 of at most 1; arguments and errors as in `d_lambda_k` and `d_s`.

    Example:
        >>> import torch
        >>> from waldbench import Scene, metrics, sensors
        >>> image = torch.arange(64.0).view(1, 1, 8, 8)
        >>> scene, options = Scene(image[..., :2, :2], image, image), {"sensor": sensors.generic(1), "block": 8}
        >>> total, *parts = (metrics.compute(key, image, scene, **options) for key in ("hqnr", "d_lambda_k", "d_s"))
        >>> torch.allclose(total, (1 - parts[0]) * (1 - parts[1]))
        True
    """
    spectral = 1 - d_lambda_k(fused, lms, sensor=sensor, block=block)
    return spectral * (1 - d_s(fused, lms, guide, sensor=sensor, block=block, q=q))
