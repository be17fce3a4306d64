"""GSA: adaptive Gram-Schmidt (Aiazzi, Baronti, Selva, IEEE TGRS 45(10), 2007)."""

from torch import Tensor

from imaging.filters import spline_low_pass
from imaging.resampling import decimate
from imaging.statistics import combine, inject, regress, slope, zero_mean
from methods import Method, register


@register(
    tasks={"ms", "hs"},
    year=2007,
    paper="Aiazzi, Baronti, Selva, IEEE TGRS 45(10):3230-3239",
    doi="10.1109/TGRS.2007.901007",
    faithful="weights from the low-resolution bands against the B3-spline-filtered, decimated guide; guide not rescaled",
)
class GSA(Method):
    """Component substitution whose intensity is regressed on the low-resolution bands against the degraded guide."""

    margin = 6

    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Fuse; shapes as in `Method`."""
        guide = zero_mean(guide)
        weights = regress(zero_mean(ms), onto=decimate(spline_low_pass(guide, self.ratio), self.ratio))
        intensity = zero_mean(combine(lms, weights))
        return inject(lms, slope(intensity, lms), guide - intensity)
