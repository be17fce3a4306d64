"""AWLP: additive wavelet luminance proportional (Otazu, Gonzalez-Audicana, Fors, Nunez, IEEE TGRS 43(10), 2005)."""

from torch import Tensor
from typing_extensions import override

from waldbench.imaging.filters import spline_low_pass
from waldbench.imaging.resampling import imresize
from waldbench.imaging.statistics import EPS, divide, std, zero_mean
from waldbench.methods.base import Method, register


@register(
    tasks={"ms", "hs"},
    year=2005,
    paper="Otazu, Gonzalez-Audicana, Fors, Nunez, IEEE TGRS 43(10):2376-2385",
    doi="10.1109/TGRS.2005.856106",
    faithful="as in the reference toolbox: guide equalised by the deviation of its bicubic-degraded self, undilated B3 spline",
)
class AWLP(Method):
    """Injection of the guide's wavelet planes, in proportion to every band's share of the intensity."""

    margin = 8

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        degraded = imresize(imresize(guide, 1 / self.ratio), self.ratio)
        guide = zero_mean(guide)
        planes = guide - spline_low_pass(guide, self.ratio)
        share = lms / (lms.mean(1, keepdim=True) + EPS)
        return lms + divide(std(lms), std(degraded)) * planes * share
