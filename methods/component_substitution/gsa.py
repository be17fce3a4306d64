"""GSA: adaptive Gram-Schmidt (Aiazzi, Baronti, Selva, IEEE TGRS 45(10), 2007)."""

from torch import Tensor
from typing_extensions import override

from waldbench.imaging import Sensor
from waldbench.imaging.filters import spline_low_pass
from waldbench.imaging.injection import limited, unless
from waldbench.imaging.least_squares import regress
from waldbench.imaging.resampling import decimate
from waldbench.imaging.statistics import combine, flat, inject, single_band, slope, zero_mean
from waldbench.methods.base import Method, nothing_to_sharpen, register


@register(
    tasks={"ms", "hs", "sar"},
    year=2007,
    paper="Aiazzi, Baronti, Selva, IEEE TGRS 45(10):3230-3239",
    doi="10.1109/TGRS.2007.901007",
    faithful="weights from the low-resolution bands against the B3-spline-filtered, decimated guide; guide not rescaled",
    inferred=(
        "the two bands of a SAR guide enter as their mean in dB, which no paper on this method foresees",
        "a guide whose low-pass is flat has nothing to inject: the interpolated image is returned",
        "no value leaves the range of the inputs by more than its width",
    ),
)
class GSA(Method):
    """Component substitution whose intensity is regressed on the low-resolution bands against the degraded guide."""

    margin = 6

    @classmethod
    def supports(cls, sensor: Sensor, task: str) -> str | None:
        """None if ms is coarser than the guide, else the reason why not."""
        return nothing_to_sharpen("gsa", sensor)

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        guide = single_band(guide)
        low = decimate(spline_low_pass(guide, self.ratio), self.ratio)
        # The constant takes the means, which are restored by working without them; a flat band is told from it by its level.
        intensity = combine(lms, regress(ms, onto=low, constant=True)[:, :-1])
        fused = inject(lms, slope(intensity, lms), zero_mean(guide) - zero_mean(intensity))
        return unless(flat(low), limited(fused, ms, guide), lms)
