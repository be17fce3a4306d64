"""AWLP: additive wavelet luminance proportional (Otazu, Gonzalez-Audicana, Fors, Nunez, IEEE TGRS 43(10), 2005)."""

from typing import Any

from torch import Tensor
from typing_extensions import override

from waldbench.imaging.filters import spline_low_pass
from waldbench.imaging.injection import EPS, HIGHEST, Modulation, Variant, unless
from waldbench.imaging.resampling import imresize
from waldbench.imaging.statistics import divide, std, zero_mean
from waldbench.methods.base import Method, register


@register(
    tasks={"ms", "hs"},
    year=2005,
    paper="Otazu, Gonzalez-Audicana, Fors, Nunez, IEEE TGRS 43(10):2376-2385",
    doi="10.1109/TGRS.2005.856106",
    faithful="as in the reference toolbox: guide equalised by the deviation of its bicubic-degraded self, undilated B3 spline",
    inferred=(
        "a band's share of the intensity clipped to [-10, 10]; variant='toolbox' is the published one",
        "a flat band, or a guide whose low-pass is flat, is left as interpolated",
        "no value leaves the range of the inputs by more than its width",
    ),
)
class AWLP(Method):
    """Injection of the guide's wavelet planes, in proportion to every band's share of the intensity.

    Args:
        variant: "clipped", or "toolbox": the published shares, which dark pixels drive without bounds.
        options: sensor and guide_bands, as in `Method`.
    """

    margin = 8

    def __init__(self, *, variant: Variant = "clipped", **options: Any) -> None:
        super().__init__(**options)
        self.modulation = Modulation(variant)

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        degraded = imresize(imresize(guide, 1 / self.ratio), self.ratio)
        guide = zero_mean(guide)
        planes = guide - spline_low_pass(guide, self.ratio)
        share = lms / (lms.mean(1, keepdim=True) + EPS)
        if self.modulation.clips:
            share = share.nan_to_num_(0.0).clamp_(-HIGHEST, HIGHEST)
        gains = divide(std(lms), std(degraded))
        return unless(gains == 0, self.modulation.limited(lms + gains * planes * share, ms, guide), lms)
