"""SFIM: smoothing-filter-based intensity modulation (Liu, IJRS 21(18), 2000)."""

from typing import Any

from torch import Tensor
from typing_extensions import override

from waldbench.imaging.filters import box
from waldbench.imaging.injection import Modulation, Variant, unless
from waldbench.imaging.statistics import flat_guide, match_moments
from waldbench.methods.base import Method, register


@register(
    tasks={"ms", "hs"},
    year=2000,
    paper="Liu, International Journal of Remote Sensing 21(18):3461-3472",
    doi="10.1080/014311600750037499",
    faithful="box filter of ratio + 1 pixels a side; the guide is not equalised unless match=True",
    inferred=(
        "an odd ratio takes a box of ratio pixels, so that it stays centred",
        "modulation clipped to [0, 10], as newer toolboxes do; variant='toolbox' is the published one",
        "a flat guide has nothing to inject: the interpolated image is returned",
    ),
)
class SFIM(Method):
    """Injection by multiplication: every band times the guide over its box-filtered self.

    Args:
        match: bring the guide to mean and standard deviation of each band.
        variant: "clipped", or "toolbox": the published modulation, which dark pixels drive without bounds.
        options: sensor and guide_bands, as in `Method`.
    """

    margin = 2

    def __init__(self, *, match: bool = False, variant: Variant = "clipped", **options: Any) -> None:
        super().__init__(**options)
        self.match = match
        self.modulation = Modulation(variant)
        self.size = self.ratio // 2 * 2 + 1

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        matched = match_moments(guide, like=lms) if self.match else guide
        return unless(flat_guide(guide), lms * self.modulation(matched, box(matched, self.size)), lms)
