"""GIHS: generalised (fast) intensity-hue-saturation (Tu, Su, Shyu, Huang, Information Fusion 2(3), 2001)."""

from typing import Any

from torch import Tensor
from typing_extensions import override

from waldbench.imaging.injection import unless
from waldbench.imaging.statistics import flat_guide, match_moments
from waldbench.methods.base import Method, register


@register(
    tasks={"ms", "hs"},
    year=2001,
    paper="Tu, Su, Shyu, Huang, Information Fusion 2(3):177-186",
    doi="10.1016/S1566-2535(01)00036-7",
    faithful="intensity is the plain mean of all bands; the guide is not equalised unless match=True",
    inferred=("a flat guide has nothing to inject: the interpolated image is returned",),
)
class GIHS(Method):
    """Component substitution by addition: every band plus the difference of guide and intensity.

    Args:
        match: first bring the guide to mean and standard deviation of the intensity.
        options: sensor and guide_bands, as in `Method`.
    """

    margin = 0

    def __init__(self, *, match: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.match = match

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        nothing, intensity = flat_guide(guide), lms.mean(1, keepdim=True)
        if self.match:
            guide = match_moments(guide, like=intensity)
        return unless(nothing, lms + (guide - intensity), lms)
