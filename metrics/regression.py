"""Spatial consistency by regression: how much of the guide do the fused bands explain?"""

from __future__ import annotations

import torch
from torch import Tensor

from waldbench.imaging import Sensor
from waldbench.imaging.flatness import is_flat
from waldbench.imaging.least_squares import least_squares
from waldbench.metrics import conventions
from waldbench.metrics.base import register, require_panchromatic
from waldbench.metrics.no_reference import d_lambda_k


@register(
    title="D_s,R",
    direction="lower",
    best=0.0,
    convention="1 - R^2 of the guide regressed on all fused bands over all pixels, with intercept; R^2 from variances",
    reference="Alparone, Garzelli, Vivone, IGARSS 2018; Vivone et al., arXiv 2407.01355",
)
def d_s_reg(fused: Tensor, guide: Tensor, *, convention: str = conventions.DEFAULT) -> Tensor:
    """Share of the guide's variance that no linear combination of the fused bands explains.

    The more bands, the smaller the value: compare it between images of one band count only. A flat guide gives 0.

    Args:
        fused: fused images (B, C, H, W).
        guide: panchromatic images (B, 1, H, W).
        convention: "dlpan" or "hs-toolbox" (no intercept).

    Returns:
        (B,) float64 in [0, 1]; without intercept it can exceed 1.

    Raises:
        ValueError: if the guide has more than one channel, or for an unknown convention.

    Example:
        >>> import torch
        >>> from waldbench.metrics.regression import d_s_reg
        >>> band, other = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]]).view(2, 1, 1, 2, 2)  # uncorrelated
        >>> round(d_s_reg(band, band + other).item(), 4)
        0.5
    """
    conventions.choose("d_s_reg", convention)
    require_panchromatic("d_s_reg", guide)
    weights = least_squares(fused, guide, constant=convention != conventions.HS)[:, : fused.shape[1], :, None]
    residual = guide[:, 0].double()
    # Band by band: a float64 copy of a hyperspectral cube would be needlessly large. The constant does not change a variance.
    for band in range(fused.shape[1]):
        residual = torch.addcmul(residual, fused[:, band].double(), weights[:, band], value=-1)
    total, unexplained = (image.var((-2, -1), correction=0) for image in (guide[:, 0].double(), residual))
    still = is_flat(total, guide[:, 0].double().square().mean((-2, -1)))
    return torch.where(still, 0.0, unexplained / torch.where(still, 1.0, total))


@register(
    title="RQNR",
    direction="higher",
    best=1.0,
    convention="(1 - D_λ,K)(1 - D_s,R) per image; conventions of d_lambda_k (scale of the guide) and d_s_reg (with intercept)",
    reference="Vivone et al., arXiv 2407.01355; Arienzo et al., IEEE GRSM 10(3), 2022, doi 10.1109/MGRS.2022.3170092",
)
def rqnr(
    fused: Tensor,
    lms: Tensor,
    guide: Tensor,
    ms: Tensor | None = None,
    *,
    sensor: Sensor,
    block: int = 32,
    convention: str = conventions.DEFAULT,
) -> Tensor:
    """Quality with no reference, with regression as its spatial part.

    Returns (B,) float64 of at most 1; arguments and errors as in `d_lambda_k` and `d_s_reg`.

    Example:
        >>> import torch
        >>> from waldbench import sensors
        >>> from waldbench.imaging.filters import mtf
        >>> from waldbench.metrics.regression import rqnr
        >>> fused, sensor = torch.arange(64.0).view(1, 1, 8, 8), sensors.generic(1)
        >>> round(rqnr(fused, mtf(fused, sensor), 2 * fused, sensor=sensor, block=8).item(), 4)
        1.0
    """
    conventions.choose("rqnr", convention)
    spectral = 1 - d_lambda_k(fused, lms, ms, sensor=sensor, block=block, convention=convention)
    return spectral * (1 - d_s_reg(fused, guide, convention=convention))
