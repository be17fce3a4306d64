"""MTF-GLP-HPM-R: regression-based high-pass modulation (Vivone, Restaino, Chanussot, IEEE TGRS 56(2), 2018)."""

from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from waldbench.imaging.filters import glp_low_pass
from waldbench.imaging.injection import Modulation, Variant, unless
from waldbench.imaging.statistics import mean, slope
from waldbench.methods.base import Method, register


@register(
    tasks={"ms", "hs"},
    year=2018,
    paper="Vivone, Restaino, Chanussot, IEEE TGRS 56(2):984-996",
    doi="10.1109/TGRS.2017.2757508",
    faithful="as in the reference toolbox: the offset uses the mean of the guide, not of its low-pass",
    inferred=(
        "modulation clipped to [0, 10], as newer toolboxes do; variant='toolbox' is the published one",
        "a band whose slope is 0, as with a guide whose low-pass is flat, is left as interpolated",
        "no value leaves the range of the inputs by more than its width",
    ),
)
class MTFGLPHPMR(Method):
    """High-pass modulation of a guide that is shifted so that it is proportional to the band.

    Args:
        variant: "clipped", or "toolbox": the published modulation, which dark pixels drive without bounds.
        options: sensor and guide_bands, as in `Method`.
    """

    margin = 17

    def __init__(self, *, variant: Variant = "clipped", **options: Any) -> None:
        super().__init__(**options)
        self.modulation = Modulation(variant)

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        low = glp_low_pass(guide, self.sensor, self.ratio)
        slopes = slope(low, lms)
        # Dividing by the slope, as published, would shift a band of slope 0 to infinity.
        level = mean(lms) - slopes * mean(guide)
        fused = self.modulation(torch.addcmul(level, slopes, guide), torch.addcmul(level, slopes, low)).mul_(lms)
        return unless(slopes == 0, self.modulation.limited(fused, ms, guide), lms)
