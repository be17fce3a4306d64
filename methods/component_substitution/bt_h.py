"""BT-H: Brovey with haze correction (Lolli, Alparone, Garzelli, Vivone, IEEE GRSL 14(12), 2017)."""

from torch import Tensor
from typing_extensions import override

from waldbench.imaging.filters import gaussian_low_pass
from waldbench.imaging.statistics import EPS, combine, divide, haze, mean, regress, std
from waldbench.methods.base import Method, register


@register(
    tasks={"ms", "hs"},
    year=2017,
    paper="Lolli, Alparone, Garzelli, Vivone, IEEE GRSL 14(12):2255-2259",
    doi="10.1109/LGRS.2017.2761021",
    faithful="haze of each band as in the reference toolbox: a share of the first percentile for four bands, else the minimum",
)
class BTH(Method):
    """Brovey's multiplication after the path radiance (haze) is taken off every band and off the intensity."""

    margin = 11

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        low = gaussian_low_pass(guide, self.ratio)
        weights = regress(lms, onto=low)
        path = haze(lms)
        # Without the haze there is less to cancel where the intensity, by which is divided, nears zero.
        clear = lms - path
        intensity = combine(clear, weights)
        guide = (guide - mean(low)) * divide(std(intensity), std(low)) + mean(intensity)
        return clear.clamp_(min=0).mul_(guide / (intensity + EPS)).add_(path)
