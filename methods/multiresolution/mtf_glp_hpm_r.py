"""MTF-GLP-HPM-R: regression-based high-pass modulation (Vivone, Restaino, Chanussot, IEEE TGRS 56(2), 2018)."""

from torch import Tensor
from typing_extensions import override

from waldbench.imaging.filters import glp_low_pass
from waldbench.imaging.statistics import EPS, divide, mean, slope
from waldbench.methods.base import Method, register


@register(
    tasks={"ms", "hs"},
    year=2018,
    paper="Vivone, Restaino, Chanussot, IEEE TGRS 56(2):984-996",
    doi="10.1109/TGRS.2017.2757508",
    faithful="as in the reference toolbox: the offset uses the mean of the guide, not of its low-pass",
)
class MTFGLPHPMR(Method):
    """High-pass modulation of a guide that is shifted so that it is proportional to the band."""

    margin = 17

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        low = glp_low_pass(guide, self.sensor, self.ratio)
        shift = divide(mean(lms), slope(low, lms)) - mean(guide)
        return lms * (guide + shift) / (low + shift + EPS)
