"""MTF-GLP-HPM: high-pass modulation on the MTF-matched pyramid (Aiazzi et al., URBAN, 2003)."""

from torch import Tensor
from typing_extensions import override

from waldbench.imaging.filters import gaussian_low_pass, glp_low_pass
from waldbench.imaging.statistics import EPS, match_moments
from waldbench.methods.base import Method, register


@register(
    tasks={"ms", "hs"},
    year=2003,
    paper="Aiazzi, Alparone, Baronti, Garzelli, Selva, GRSS/ISPRS Workshop URBAN 2003:90-94",
    doi="10.1109/DFUA.2003.1219964",
    faithful="as in the reference toolbox: guide equalised by the deviation of its low-passed self",
)
class MTFGLPHPM(Method):
    """Injection by multiplication: every band times the equalised guide over its Laplacian low-pass."""

    margin = 17

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        guide = match_moments(guide, like=lms, spread=gaussian_low_pass(guide, self.ratio))
        return lms * guide / (glp_low_pass(guide, self.sensor, self.ratio) + EPS)
