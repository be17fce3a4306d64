"""PRACS: partial replacement adaptive component substitution (Choi, Yu, Kim, IEEE TGRS 49(1), 2011)."""

from typing import Any

from torch import Tensor
from typing_extensions import override

from waldbench.imaging.injection import Modulation, Variant, unless
from waldbench.imaging.least_squares import regress
from waldbench.imaging.resampling import imresize
from waldbench.imaging.statistics import combine, correlation, divide, flat, match_moments, std, zero_mean
from waldbench.methods.base import Method, register

BETA = 0.95


@register(
    tasks={"ms", "hs"},
    year=2011,
    paper="Choi, Yu, Kim, IEEE TGRS 49(1):295-309",
    doi="10.1109/TGRS.2010.2051674",
    faithful="as in the reference toolbox: beta 0.95, bands matched to the guide and clipped at zero",
    inferred=(
        "local instability, at most 1, clipped at -1; variant='toolbox' is the published one",
        "a guide whose low-pass is flat has nothing to inject: the interpolated image is returned",
        "no value leaves the range of the inputs by more than its width",
    ),
)
class PRACS(Method):
    """Component substitution whose high-resolution intensity is, for every band, part guide and part band.

    Args:
        variant: "clipped", or "toolbox": the published local instability, which dark pixels drive without bounds.
        options: sensor and guide_bands, as in `Method`.
    """

    margin = 6

    def __init__(self, *, variant: Variant = "clipped", **options: Any) -> None:
        super().__init__(**options)
        self.modulation = Modulation(variant)

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        bands = match_moments(lms, like=guide).clamp_(min=0)
        degraded = self._degrade(guide)
        low = combine(bands, regress(bands, degraded, constant=True))
        share = correlation(low, bands)
        sharp = share * guide + (1 - share) * bands
        smooth = self._fit(bands, self._degrade(sharp))
        detail = zero_mean(sharp - smooth)
        deviation = std(lms)
        weight = BETA * correlation(smooth, lms) * divide(deviation, deviation.mean(1, keepdim=True))
        instability = 1 - (1 - divide(correlation(low, lms) * lms, smooth)).abs()
        if self.modulation.clips:
            instability = instability.clamp_(min=-1)
        fused = self.modulation.limited(lms + weight * instability * detail, ms, guide)
        return unless(flat(degraded), fused, lms)

    def _degrade(self, image: Tensor) -> Tensor:
        return imresize(imresize(image, 1 / self.ratio), self.ratio)

    @staticmethod
    def _fit(bands: Tensor, targets: Tensor) -> Tensor:
        """Fit every target by all bands and a constant."""
        weights = regress(bands, targets, constant=True)[..., 0]
        count = bands.shape[1]
        fit = weights[:, :count].mT @ bands.flatten(2) + weights[:, count:].mT
        return fit.view_as(targets)
