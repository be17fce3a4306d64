"""BT-H: Brovey with haze correction (Lolli, Alparone, Garzelli, Vivone, IEEE GRSL 14(12), 2017)."""

from typing import Any

from torch import Tensor
from typing_extensions import override

from waldbench.imaging.filters import gaussian_low_pass
from waldbench.imaging.injection import Modulation, Variant, unless
from waldbench.imaging.least_squares import regress
from waldbench.imaging.statistics import combine, divide, haze, mean, std
from waldbench.methods.base import Method, register


@register(
    tasks={"ms", "hs"},
    year=2017,
    paper="Lolli, Alparone, Garzelli, Vivone, IEEE GRSL 14(12):2255-2259",
    doi="10.1109/LGRS.2017.2761021",
    faithful="haze of each band as in the reference toolbox: a share of the first percentile for four bands, else the minimum",
    inferred=(
        "modulation clipped to [0, 10], as newer toolboxes do; variant='toolbox' is the published one",
        "a guide whose low-pass is flat has nothing to inject: the interpolated image is returned",
        "no value leaves the range of the inputs by more than its width",
    ),
)
class BTH(Method):
    """Brovey's multiplication after the path radiance (haze) is taken off every band and off the intensity.

    Args:
        variant: "clipped", or "toolbox": the published modulation, which dark pixels drive without bounds.
        options: sensor and guide_bands, as in `Method`.
    """

    margin = 11

    def __init__(self, *, variant: Variant = "clipped", **options: Any) -> None:
        super().__init__(**options)
        self.modulation = Modulation(variant)

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        low = gaussian_low_pass(guide, self.ratio)
        weights = regress(lms, onto=low)
        path = haze(lms)
        # Without the haze there is less to cancel where the intensity, by which is divided, nears zero.
        clear = lms - path
        intensity = combine(clear, weights)
        spread = std(low)
        matched = (guide - mean(low)) * divide(std(intensity), spread) + mean(intensity)
        fused = clear.clamp_(min=0).mul_(self.modulation(matched, intensity)).add_(path)
        return unless(spread == 0, self.modulation.limited(fused, ms, guide), lms)
