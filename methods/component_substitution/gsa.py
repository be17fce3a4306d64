"""GSA: adaptive Gram-Schmidt (Aiazzi, Baronti, Selva, IEEE TGRS 45(10), 2007)."""

from torch import Tensor
from typing_extensions import override

from waldbench.imaging import Sensor
from waldbench.imaging.filters import spline_low_pass
from waldbench.imaging.resampling import decimate
from waldbench.imaging.statistics import combine, inject, regress, single_band, slope, zero_mean
from waldbench.methods.base import Method, nothing_to_sharpen, register


@register(
    tasks={"ms", "hs", "sar"},
    year=2007,
    paper="Aiazzi, Baronti, Selva, IEEE TGRS 45(10):3230-3239",
    doi="10.1109/TGRS.2007.901007",
    faithful="weights from the low-resolution bands against the B3-spline-filtered, decimated guide; guide not rescaled",
    inferred=("the two bands of a SAR guide enter as their mean in dB, which no paper on this method foresees",),
)
class GSA(Method):
    """Component substitution whose intensity is regressed on the low-resolution bands against the degraded guide."""

    margin = 6

    @classmethod
    @override
    def supports(cls, sensor: Sensor, task: str) -> str | None:
        return nothing_to_sharpen("gsa", sensor)

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        guide = zero_mean(single_band(guide))
        weights = regress(zero_mean(ms), onto=decimate(spline_low_pass(guide, self.ratio), self.ratio))
        intensity = zero_mean(combine(lms, weights))
        return inject(lms, slope(intensity, lms), guide - intensity)
